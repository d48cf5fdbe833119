/**
 * Keeps where a long call stands in a file beside its output, so that the same command goes on from
 * there after it was killed, stopped or has failed.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { openSafetensors } from '../../../checkpoints/safetensors/file.ts';
import { isAlive, processName } from '../../../files/process.ts';
import { isStream } from '../../../files/writing/target.ts';
import { machine } from '../../../files/writing/temporary.ts';
import { loadSamplingState, saveSamplingState } from '../../../pipelines/resume/stateFile.ts';
import type { FloatArray, GenerateOptions, SamplingState } from '../../../pipelines/types.ts';
import { messageOf } from '../../../text/messages.ts';
import type { Session } from '../../terminal/session.ts';
import type { Seed } from '../../terminal/values.ts';
import type { Inputs } from '../inputs.ts';
import type { GenerateCommand } from '../options.ts';
import type { StageRecorder } from '../watch/stages.ts';
import { type Call, callOf, differenceOf } from './call.ts';
import type { KeepRule } from './rule.ts';

/** The file for the state of a call; undefined where its output is a stream. */
export const stateFileOf = ({ output }: Pick<GenerateCommand, 'output'>): string | undefined =>
  isStream(output) ? undefined : `${output.replace(/(?<=.)\/+$/, '')}.resume.safetensors`;

/** Says of which outputs a state is left, as of a call that was killed while it wrote several. */
export const unfinishedNotes = (outputs: string[]): string[] =>
  outputs.flatMap((output) => {
    const path = stateFileOf({ output });
    if (path === undefined || !existsSync(path)) return [];
    return [`${path} is of a call that has not ended, which goes on with --output ${output}`];
  });

/** What a process leaves in the files that it writes. */
const OWNER = `${machine} ${processName(process.pid)}`;

/** A state, and the call that it is of. */
interface Found {
  state: Awaited<ReturnType<typeof loadSamplingState>>;
  call: Call & { options: { seeds: Seed[] } };
}

/** The call that the metadata of a state tell of; undefined if they are not of this program. */
function callIn({ call: text = '' }: Record<string, string>): Found['call'] | undefined {
  try {
    const call = JSON.parse(text);
    return Array.isArray(call.options.seeds) ? call : undefined;
  } catch {
    return undefined;
  }
}

/** The file of the state of one call. */
export class KeptState {
  /** Undefined if none is kept. */
  private readonly path?: string;
  private readonly command: GenerateCommand;
  private readonly inputs: Inputs;
  private described?: ReturnType<typeof callOf>;
  private readonly session: Session;
  private readonly isKept: KeepRule;
  private readonly said = new Set<string>();
  private found?: Found;
  /** The step that the file goes on after; undefined if there is none of this call. */
  private step?: number;
  /** Whether the file is that of another call, which has to stay until this one writes its own. */
  private isOfAnother = false;

  /** @param isKept Whether the state after a step is kept. */
  constructor(command: GenerateCommand, inputs: Inputs, session: Session, isKept: KeepRule) {
    this.path = stateFileOf(command);
    this.command = command;
    this.inputs = inputs;
    this.session = session;
    this.isKept = isKept;
  }

  /**
   * Looks for a state of this call. A note says why one that is there is not used.
   * @returns The seeds that it was made with.
   */
  async find(): Promise<Seed[] | undefined> {
    const { path, command } = this;
    if (path === undefined || !existsSync(path)) return undefined;
    if (await this.isTaken()) return undefined;
    try {
      const state = await loadSamplingState(path);
      const call = callIn(state.metadata);
      if (call === undefined) throw new Error(`${path} is not of a call of svd generate.`);
      this.found = { state, call };
    } catch (error) {
      this.noteAnew(messageOf(error));
      return undefined;
    }
    const { checkpoint } = this.found.call;
    const seeds = this.seedsOf(this.found);
    await this.compare({ ...(await this.call(seeds)), checkpoint });
    return this.found && !command.noResume ? seeds : undefined;
  }

  /**
   * The options of the library's call that go on from the state, whose dumped tensors are put into
   * `stages`, and that keep new ones.
   * @param hash Returns the SHA-256 of the checkpoint; undefined if it is not known.
   */
  async callOptions(
    seeds: Seed[],
    stages: StageRecorder,
    hash: () => Promise<string | undefined>,
  ): Promise<Pick<GenerateOptions, 'resumeFrom' | 'onState'>> {
    const { path, isKept } = this;
    if (path === undefined) return {};
    if (this.found) {
      const call = await this.call(this.seedsOf(this.found));
      await this.compare({ ...call, checkpoint: await hash() });
    }
    const found = this.command.noResume ? undefined : this.found;
    if (found) {
      const { step, tensors, latents } = found.state;
      this.session.note(`goes on after step ${step}, from ${path}`);
      this.session.progress.skip('sampling', step);
      this.step = step;
      stages.restore({ ...tensors, [`latents_step_${step - 1}`]: latents });
    }
    this.session.signal.addEventListener('abort', this.noteStep, { once: true });
    const onState = async (state: SamplingState) => {
      if (!isKept()) return;
      const checkpoint = await hash();
      if (checkpoint === undefined) return;
      await this.save(path, state, { ...(await this.call(seeds)), checkpoint }, stages.all);
    };
    return { resumeFrom: found?.state, onState };
  }

  /** Writes a state. What hinders that is said once, and is no failure of the call. */
  private async save(
    path: string,
    state: SamplingState,
    call: Call,
    tensors: Record<string, FloatArray>,
  ): Promise<void> {
    if (await this.isTaken()) return;
    const metadata = { call: JSON.stringify(call), owner: OWNER };
    try {
      await saveSamplingState(path, state, { metadata, tensors });
      this.isOfAnother = false;
      this.step = state.step;
      this.noteOnce(`if it is stopped, the same command goes on from ${path}`);
    } catch (error) {
      this.noteOnce(`the state of the call is not kept. ${messageOf(error)}`);
    }
  }

  /** Removes the file, when the outputs are written. */
  async remove(): Promise<void> {
    const { path, isOfAnother } = this;
    this.session.signal.removeEventListener('abort', this.noteStep);
    if (path === undefined || isOfAnother || !existsSync(path) || (await this.isTaken())) return;
    await rm(path).catch((error) =>
      this.session.note(`${path} is not needed any more. ${error.message}`),
    );
  }

  /** The seeds of the command, or else those of the state. */
  private seedsOf({ call }: Found): Seed[] {
    const { seeds } = this.command;
    return seeds.length > 0 ? seeds : call.options.seeds;
  }

  private async call(seeds: Seed[]): Promise<Call> {
    this.described ??= callOf(this.command, this.inputs);
    const { options, ...call } = await this.described;
    return { ...call, options: { ...options, seeds } };
  }

  /** Forgets the state that was found, with a note, if it is not of `call`. */
  private async compare(call: Call): Promise<void> {
    const difference = differenceOf(this.found!.call, call);
    if (difference === '') return;
    this.noteAnew(`${this.path} is of a call ${difference}`);
    this.found = undefined;
    this.isOfAnother = true;
  }

  /** Whether the file belongs to another process that runs. Then it stays as it is. */
  private async isTaken(): Promise<boolean> {
    const file = await openSafetensors(this.path!).catch(() => undefined);
    await file?.close();
    const { owner } = file?.metadata ?? {};
    const pid = Number(/ (\d+)/.exec(owner ?? '')?.[1]);
    const runs = owner === `${machine} ${processName(pid)}` && isAlive(pid);
    const isTaken = runs && owner !== OWNER;
    if (isTaken)
      this.noteOnce(`the state of the call is not kept: ${this.path} is of process ${pid}`);
    return isTaken;
  }

  /** Tells whoever stops the call where it will go on. */
  private readonly noteStep = () => {
    const { deepCache } = this.command;
    if (this.step !== undefined)
      this.session.note(`the same command goes on after step ${this.step}, from ${this.path}`);
    else if (deepCache && deepCache.interval > 1)
      this.session.note(
        `the same command starts anew: with --deep-cache, states are kept every ` +
          `${deepCache.interval} steps, before one that runs in full`,
      );
  };

  /** Says why a state is not used, where that was not asked for. */
  private noteAnew(why: string): void {
    if (!this.command.noResume) this.session.note(`the call starts anew: ${why}`);
  }

  private noteOnce(text: string): void {
    if (!this.said.has(text)) this.session.note(text);
    this.said.add(text);
  }
}
