/**
 * The process that computes for a worker of the queue. It is started by fork, and keeps what it has
 * loaded from job to job.
 */
import { useBackend } from '../../backends/index.ts';
import { packagedModel } from '../../checkpoints/index.ts';
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
import { generateVideo } from '../generate/generateVideo.ts';
import { type GenerateCommand, generateOptions } from '../generate/options.ts';
import { Interrupted } from '../terminal/errors.ts';
import type { Values } from '../terminal/options.ts';
import { ProgressLine } from '../terminal/progress.ts';
import { checkpointHash } from './jobOf.ts';
import type { workerOptions } from './options.ts';
import { StepKeeper } from './stepKeeper.ts';

type Setup = Values<typeof workerOptions>;

const tell = (message: FromProcess) => process.send?.(message);

/** Computes tasks with the options of a worker. */
class TaskRunner {
  private readonly setup: Setup;
  /** SHA-256 of checkpoints, by how they are opened. */
  private readonly hashes = new Map<string, string>();
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
    const keeper = new StepKeeper(
      progress,
      (step) => tell({ progress: step }),
      () => tell({ state: `${task.output}.resume.safetensors` }),
    );
    this.keeper = keeper;
    const note = (text: string) => tell({ note: text });
    const { signal } = keeper;
    try {
      const command = commandOf(task, this.setup);
      await this.checkCheckpoint(command, task.job.checkpoint.hash, signal);
      await loadEncoder(command.format, command.encoder).catch(refuse);
      const report = await generateVideo(command, { signal, progress, note }, keeper.isKept);
      return { kind: 'done', paths: report.output, backend: report.backend.name };
    } catch (error) {
      return outcomeOf(error);
    } finally {
      this.keeper = undefined;
    }
  }

  /** @throws Refusal if the checkpoint here is not that of the job. */
  private async checkCheckpoint(
    command: GenerateCommand,
    hash: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { variant, config, unet, revision } = command;
    const model = command.places?.model ?? packagedModel;
    const key = JSON.stringify([model, variant, config, unet, revision]);
    const own =
      this.hashes.get(key) ?? (await checkpointHash(command, model, { signal }).catch(refuse));
    this.hashes.set(key, own);
    if (own === hash) return;
    throw new Refusal(
      `the checkpoint ${model} of this worker is not that of the job: its hash is ` +
        `${own.slice(0, 12)} and not ${hash.slice(0, 12)}`,
    );
  }
}

/** @throws Refusal with the reason. */
function refuse(error: unknown): never {
  if (error instanceof Interrupted || mayPass(error)) throw error;
  throw new Refusal(messageOf(error), { cause: error });
}

/** The call of `svd generate` that a task is. @throws Refusal if this worker is not for it. */
function commandOf({ job, picture, output }: Task, setup: Setup): GenerateCommand {
  const { model, ...options } = setup;
  const others = { json: false, profile: false, quiet: false, noResume: false };
  const given: Record<string, unknown> = { ...job.settings, ...options, ...others, output };
  // In the order of the table, in which the output stores them.
  const values = Object.keys(generateOptions).map((name) => [name, given[name]]);
  try {
    return {
      ...generateCommand(Object.fromEntries(values), [job.picture.name]),
      places: { images: [picture], model: model ?? job.checkpoint.path },
    };
  } catch (error) {
    return refuse(error); // svd queue add has checked everything but the options of this worker
  }
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof Interrupted) return { kind: 'stopped' };
  const reason = messageOf(error);
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
