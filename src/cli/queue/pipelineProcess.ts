/**
 * The process that computes for a worker of the queue. It is started by fork, and keeps what it has
 * loaded from job to job.
 */
import { stat } from 'node:fs/promises';
import { useBackend } from '../../backends/index.ts';
import type { CheckpointIdentity } from '../../checkpoints/index.ts';
import { endWithParent } from '../../files/endWithParent.ts';
import { loadEncoder } from '../../media/video/exportVideo.ts';
import { MemoryError } from '../../memory/errors.ts';
import { Refusal } from '../../queue/files.ts';
import {
  type FromProcess,
  mayPass,
  type Outcome,
  type Task,
  type ToProcess,
} from '../../queue/task.ts';
import { firstLineOf, messageOf } from '../../text/messages.ts';
import { generateCommand } from '../generate/checkCommand.ts';
import { chooseBackend, onBackend } from '../generate/generateVideo.ts';
import { readInputs } from '../generate/inputs.ts';
import { type GenerateCommand, generateOptions } from '../generate/options.ts';
import { stateFileOf } from '../generate/resume/keptState.ts';
import type { KeepRule } from '../generate/resume/rule.ts';
import { checkWithModel, prepareCall, type Report, startCall } from '../generate/run/call.ts';
import {
  type FoundModel,
  findModel,
  identityOf,
  type LoadedModel,
  loadModel,
  placesOf,
} from '../generate/run/model.ts';
import { Interrupted } from '../terminal/errors.ts';
import { partOf, type Values } from '../terminal/options.ts';
import { ProgressLine } from '../terminal/progress.ts';
import type { Session } from '../terminal/session.ts';
import type { workerOptions } from './options.ts';
import { StepKeeper } from './stepKeeper.ts';

type Setup = Values<typeof workerOptions>;

const tell = (message: FromProcess) => process.send?.(message);

/** A call of a task, and where its checkpoint is. */
interface TaskCall {
  command: GenerateCommand;
  model?: string;
}

/** Computes tasks with the options of a worker. What it has loaded stays for the next task. */
class TaskRunner {
  private readonly setup: Setup;
  private readonly identities = new Map<string, CheckpointIdentity>();
  private loaded?: { key: string; model: LoadedModel };
  private keeper?: StepKeeper;

  constructor(setup: Setup) {
    this.setup = setup;
  }

  /** Ends the task after its step. */
  stop(): void {
    this.keeper?.stop();
  }

  async run(task: Task): Promise<Outcome> {
    const progress = new ProgressLine();
    this.keeper = new StepKeeper(
      progress,
      (step) => tell({ progress: step }),
      () => tell({ state: stateFileOf(task)! }),
    );
    const { signal, isKept } = this.keeper;
    const note = (text: string) => tell({ note: text });
    try {
      const call = callOf(task, this.setup);
      const { output, backend } = await this.compute(
        call,
        task,
        { signal, progress, note },
        isKept,
      );
      return { kind: 'done', paths: output, backend: backend.name };
    } catch (error) {
      return outcomeOf(error, task);
    } finally {
      this.keeper = undefined;
    }
  }

  private async compute(
    { command: asked, model: place }: TaskCall,
    { job, picture }: Task,
    session: Session,
    isKept: KeepRule,
  ): Promise<Report> {
    const backend = await chooseBackend(asked, session);
    const command = onBackend(asked, backend, session);
    await loadEncoder(command.format, command.encoder).catch(refuse);
    const found = await findModel({ ...command, model: place }, session).catch(refuse);
    const identity = await this.identify(found, command, session.signal);
    if (identity.hash !== job.checkpoint.hash)
      throw new Refusal(
        `the checkpoint ${placesOf(found).join(', ')} of this worker is not that of the job: its ` +
          `hash is ${identity.hash.slice(0, 12)} and not ${job.checkpoint.hash.slice(0, 12)}`,
      );
    using inputs = await readInputs([picture]);
    const call = await prepareCall(command, inputs, session, isKept);
    await checkWithModel(call, found);
    const load = () => loadModel(found, command, inputs.pictures, backend, session, identity);
    const isKeptModel = this.loaded !== undefined;
    const start = async () => {
      const model = await this.modelFor(command, identity, load);
      return { model, ...(await startCall({ ...call, hasSpare: false }, model, session)) };
    };
    const { model, options, finish } = await start().catch((error) => {
      if (!(error instanceof MemoryError && isKeptModel)) throw error;
      this.unload(); // loaded for this call, it may fit
      return start();
    });
    const { frames } = await model.pipe.generate(inputs.image, { ...options, returnDict: true });
    return finish(frames);
  }

  private async identify(
    found: FoundModel,
    command: GenerateCommand,
    signal: AbortSignal,
  ): Promise<CheckpointIdentity> {
    const { opening, loras } = found;
    // A LoRA is often trained on, and written anew.
    const states = await Promise.all(loras.map(({ path }) => stat(path)));
    const written = states.map(({ mtimeMs, size }) => [mtimeMs, size]);
    const key = JSON.stringify([placesOf(found), opening, command.variant, written]);
    const known = this.identities.get(key);
    if (known) return known;
    const identity = await identityOf(found, command, signal).catch(refuse);
    this.identities.set(key, identity);
    return identity;
  }

  /** The model that is loaded, or another one in its place if the options of loading are others. */
  private async modelFor(
    command: GenerateCommand,
    { hash }: CheckpointIdentity,
    load: () => Promise<LoadedModel>,
  ): Promise<LoadedModel> {
    const key = JSON.stringify([hash, partOf(command, generateOptions, 'loading')]);
    if (this.loaded?.key === key) return this.loaded.model;
    this.unload();
    this.loaded = { key, model: await load() };
    return this.loaded.model;
  }

  private unload(): void {
    this.loaded?.model[Symbol.dispose]();
    this.loaded = undefined;
  }
}

/** @throws Refusal with the reason. */
function refuse(error: unknown): never {
  if (error instanceof Interrupted || mayPass(error)) throw error;
  throw new Refusal(messageOf(error), { cause: error });
}

/** The call of `svd generate` that a task is. @throws Refusal if this worker is not for it. */
function callOf({ job, output }: Task, setup: Setup): TaskCall {
  const { model, ...options } = setup;
  const others = { json: false, profile: false, quiet: false, noResume: false };
  const lora = job.checkpoint.loras?.map(({ path, scale }) => `${path}=${scale}`);
  const given: Record<string, unknown> = { ...job.settings, lora, ...options, ...others, output };
  // In the order of the table, in which the output stores them.
  const values = Object.keys(generateOptions).map((name) => [name, given[name]]);
  try {
    const command = generateCommand(Object.fromEntries(values), [job.picture.name]);
    return { command, model: model ?? job.checkpoint.path };
  } catch (error) {
    return refuse(error); // svd queue add has checked everything but the options of this worker
  }
}

function outcomeOf(error: unknown, { job, picture }: Task): Outcome {
  if (error instanceof Interrupted) return { kind: 'stopped' };
  const reason = messageOf(error).replaceAll(picture, job.picture.name);
  if (error instanceof Refusal || error instanceof MemoryError) return { kind: 'refused', reason };
  return { kind: 'failed', reason, mayPass: mayPass(error) };
}

/** Chooses the backend. @returns The options of the worker, with it. */
async function setUp(setup: Setup): Promise<Setup> {
  const { threads } = setup;
  const { name, device } = await useBackend(setup.backend, { threads });
  tell({ ready: { backend: device ? `${name} (${device})` : name } });
  return { ...setup, backend: name as Setup['backend'] };
}

endWithParent();
// The worker decides: a signal to the whole group is not for this process.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
console.warn = (text: string) => tell({ note: text });

let runner: Promise<TaskRunner> | undefined;
process.on('message', async (message: ToProcess) => {
  if (message === 'stop') (await runner)?.stop();
  else if ('setup' in message) {
    runner = setUp(message.setup as Setup).then((setup) => new TaskRunner(setup));
    runner.catch((error) => tell({ ready: { problem: firstLineOf(error) } }));
  } else tell({ outcome: await (await runner!).run(message.task) });
});
