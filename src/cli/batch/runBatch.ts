/** The work of `svd batch`: many calls of `svd generate` with one pipeline. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { generateMany, type PictureCall } from '../../batch/generateMany.ts';
import { makeFolder } from '../../files/makeFolder.ts';
import { readMetadata } from '../../media/video/readMetadata.ts';
import { MemoryError } from '../../memory/errors.ts';
import { settleDevice } from '../../ops/device.ts';
import { sizeOfCall } from '../../pipelines/callPlanner.ts';
import type { Frames, OutputType } from '../../pipelines/types.ts';
import { counted, messageOf } from '../../text/messages.ts';
import { outputPaths } from '../generate/defaultOutput.ts';
import { chooseBackend, onBackend } from '../generate/generateVideo.ts';
import { type Inputs, readInputs } from '../generate/inputs.ts';
import { type GenerateCommand, generateOptions } from '../generate/options.ts';
import { type KeepRule, whileLong } from '../generate/resume/rule.ts';
import {
  checkWithModel,
  prepareCall,
  type Report,
  type StartedCall,
  startCall,
} from '../generate/run/call.ts';
import {
  type FoundModel,
  findModel,
  identify,
  type LoadedModel,
  loadModel,
  plannedCall,
} from '../generate/run/model.ts';
import { askedLora } from '../lora.ts';
import { UsageError } from '../terminal/errors.ts';
import { partOf } from '../terminal/options.ts';
import { atEnd, type Session } from '../terminal/session.ts';
import type { Item } from './items.ts';
import { Overall } from './overall.ts';
import { posters } from './posters.ts';
import type { Outcome } from './report.ts';
import {
  areWhole,
  changesSince,
  inputsOf,
  otherPicture,
  PICTURE,
  readSidecar,
  type Sidecar,
  sidecarOf,
  writeSidecar,
} from './sidecar.ts';

/** How a batch talks to what shows and stores its outcomes. */
export interface BatchWatch {
  session: Session;
  /** Called when something has become of a picture, with its report if it is done. */
  onOutcome(outcome: Outcome, report?: Report): void | Promise<void>;
  /** When the state of a call is kept. Default: while it is long. */
  isKept?: KeepRule;
}

/** Pictures with one checkpoint, loaded in one way. */
interface Group {
  outcomes: Outcome[];
  found?: FoundModel;
  identity?: Awaited<ReturnType<typeof identify>>;
}

/**
 * Makes what is not complete, one picture after the other. What becomes of each is in its outcome.
 * @throws Error if no picture can be made any more: the checkpoint cannot be loaded, a disk is full,
 * the device is lost; Interrupted once `session.signal` has been aborted.
 */
export async function runBatch(outcomes: Outcome[], watch: BatchWatch): Promise<void> {
  const groups = groupsOf(outcomes);
  /** A checkpoint that cannot be used is the failure of its pictures, unless it is that of all. */
  const each = async (work: (group: Group) => Promise<void>) => {
    for (const group of groups)
      try {
        await work(group);
      } catch (error) {
        if (groups.length === 1 || error instanceof Stop) throw stopped(error);
        watch.session.signal.throwIfAborted();
        for (const outcome of openIn(group)) await fail(outcome, error, watch);
      }
  };
  await each((group) => findComplete(group, watch));
  const overall = new Overall(groups.flatMap(openIn), workOf);
  await each((group) => runGroup(group, watch, overall));
}

/** An error that ends a batch. */
class Stop extends Error {}

const stopped = (error: unknown) => (error instanceof Stop ? error.cause : error);

const openIn = ({ outcomes }: Group) => outcomes.filter(({ state }) => state === 'open');

function groupsOf(outcomes: Outcome[]): Group[] {
  const groups = new Map<string, Group>();
  for (const outcome of outcomes) {
    const { command } = outcome.item;
    const loading = partOf(command, generateOptions, 'checkpoint', 'loading', 'machine');
    const loras = command.lora?.map((text) => askedLora(text).file);
    const key = JSON.stringify({ ...loading, lora: loras });
    const group = groups.get(key) ?? { outcomes: [] };
    group.outcomes.push(outcome);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** Work of a call in any unit, to compare it with others. */
function workOf({ item }: Outcome): number {
  const { height = 576, width = 1024, numFrames = 25, ...command } = item.command;
  const { numInferenceSteps, sigmas, maxGuidanceScale, numVideosPerPrompt } = command;
  const steps = sigmas ? sigmas.length - 1 : numInferenceSteps;
  const halves = maxGuidanceScale > 1 ? 2 : 1;
  return height * width * numFrames * numVideosPerPrompt * steps * halves;
}

/**
 * Finds the checkpoint of a group, and the outputs that an earlier run has made with it. Says what
 * is made again, and why.
 */
async function findComplete(group: Group, watch: BatchWatch): Promise<void> {
  const { session, onOutcome } = watch;
  const [{ item }] = group.outcomes;
  group.found = await findModel(item.command, session);
  const again = new Map<string, number>();
  for (const outcome of group.outcomes) {
    session.signal.throwIfAborted();
    const sidecar = outcome.item.command.noResume ? undefined : await readSidecar(outcome.item);
    if (sidecar === undefined) continue;
    const change = await changeOf(outcome, sidecar, group, watch);
    if (change !== undefined) again.set(change, (again.get(change) ?? 0) + 1);
    if (change !== undefined || outcome.state === 'failed') continue;
    outcome.sidecar = sidecar;
    outcome.state = 'complete';
    await onOutcome(outcome);
  }
  for (const [change, count] of again)
    session.note(`${counted(count, 'video')} ${count === 1 ? 'is' : 'are'} made again: ${change}`);
}

/** Why a video is made again. Fails if it shows another picture. */
async function changeOf(
  outcome: Outcome,
  sidecar: Sidecar,
  group: Group,
  watch: BatchWatch,
): Promise<string | undefined> {
  const { session } = watch;
  const { item } = outcome;
  const changes = await changesSince(item, sidecar);
  const other = changes[0] === PICTURE && otherPicture(item, sidecar);
  if (other) {
    const error = new UsageError(
      `the output "${item.output}" is the video of another picture, "${other}". Use another folder ` +
        'or name, or remove it.',
    );
    await fail(outcome, error, watch);
    return undefined;
  }
  if (changes.length > 0)
    return `${changes.join(', ')} ${changes.length === 1 ? 'has' : 'have'} changed`;
  group.identity ??= await identify(group.found!, item.command, session.signal, session.note);
  session.signal.throwIfAborted();
  if (sidecar.settings.checkpoint?.hash !== group.identity?.hash)
    return 'the checkpoint has changed';
  // An output that was altered is made again as it was.
  outcome.seeds = sidecar.settings.seeds;
  return (await areWhole(item, sidecar)) ? undefined : 'the file was altered, cut or removed';
}

/** Makes what is open in a group. */
async function runGroup(group: Group, watch: BatchWatch, overall: Overall<Outcome>): Promise<void> {
  const { session } = watch;
  const [first] = openIn(group);
  if (first === undefined) return;
  const backend = await chooseBackend(first.item.command, session);
  using model = await loadLargest(group, backend, watch);
  if (model === undefined) return;
  const open = openIn(group);
  const opened = new Set<Inputs>();
  using _opened = atEnd(() => {
    for (const inputs of opened) inputs[Symbol.dispose]();
  });
  const said = new Set<string>();
  let started: StartedCall | undefined;

  const readCall = async (outcome: Outcome): Promise<PictureCall<OutputType>> => {
    const { images, latents } = outcome.item.command;
    const inputs = await readInputs(images, latents);
    opened.add(inputs);
    outcome.inputs = await inputsOf(outcome.item);
    return {
      image: inputs.image,
      options: async () => {
        session.progress = session.progress.next(overall.begin(outcome));
        started = await start(outcome, inputs, model, watch, said);
        return started.options;
      },
    };
  };
  const calls = open.map((outcome) => () => readCall(outcome));
  const { signal } = session;
  for await (const { index, result, error } of generateMany<(typeof calls)[0], OutputType>(
    model.pipe,
    calls,
    { signal },
  )) {
    const outcome = open[index];
    try {
      if (result === undefined) throw error;
      await finish(outcome, started!, result.frames, watch);
    } catch (reason) {
      signal.throwIfAborted();
      await fail(outcome, reason, watch);
      if (await isEnd(reason)) throw new Stop('no picture can be made any more', { cause: reason });
    }
    overall.end();
  }
}

/** Loads the weights for the largest call that fits. Those that do not fit fail. */
async function loadLargest(
  group: Group,
  backend: Awaited<ReturnType<typeof chooseBackend>>,
  watch: BatchWatch,
): Promise<LoadedModel | undefined> {
  const { found, identity } = group as Required<Group>;
  const { numFrames } = found.trained;
  const sizeIn = ({ item }: Outcome) => {
    const size = sizeOfCall(plannedCall(found, item.command, 1), numFrames);
    return {
      key: JSON.stringify(size),
      pixels: size.height * size.width * size.numFrames * size.videos * (size.guided ? 2 : 1),
    };
  };
  for (;;) {
    const open = openIn(group).map((outcome) => ({ outcome, ...sizeIn(outcome) }));
    const [largest] = open.sort((a, b) => b.pixels - a.pixels);
    if (largest === undefined) return undefined;
    const command = onBackend(largest.outcome.item.command, backend, {
      ...watch.session,
      note: () => {},
    });
    try {
      return await loadModel(found, command, 1, backend, watch.session, identity);
    } catch (error) {
      if (!(error instanceof MemoryError)) throw error;
      for (const { outcome, key } of open)
        if (key === largest.key) await fail(outcome, error, watch);
    }
  }
}

/** Begins a call whose turn has come. Its notes name its picture, each once. */
async function start(
  { item, seeds = item.command.seeds }: Outcome,
  inputs: Inputs,
  model: LoadedModel,
  { session, isKept }: BatchWatch,
  said: Set<string>,
): Promise<StartedCall> {
  const note: Session['note'] = (text, kind) => {
    if (!said.has(text)) session.note(`${item.command.images[0]}: ${text}`, kind);
    said.add(text);
  };
  const own: Session = { ...session, note };
  await makeFolder(dirname(item.output));
  await checkOwn(item);
  const command: GenerateCommand = onBackend({ ...item.command, seeds }, model.backend, own);
  const call = await prepareCall(command, inputs, own, isKept ?? whileLong(own.progress));
  await checkWithModel(call, model);
  return startCall(call, model, own);
}

/** @throws UsageError if there is a file at the output that this program has not written. */
async function checkOwn({ output, command }: Item): Promise<void> {
  if (existsSync(sidecarOf(output)) || ['png', 'safetensors'].includes(command.format)) return;
  for (const path of outputPaths(command, command.numVideosPerPrompt)) {
    const isSafe = !existsSync(path) || (await readMetadata(path).catch(() => undefined));
    if (!isSafe)
      throw new UsageError(
        `the output "${path}" would replace a file that this program has not written. Use another ` +
          'folder or name.',
      );
  }
}

async function finish(
  outcome: Outcome,
  { finish }: StartedCall,
  frames: Frames[OutputType],
  { onOutcome }: BatchWatch,
): Promise<void> {
  const first = await posters(frames);
  const report = await finish(frames);
  outcome.sidecar = await writeSidecar(outcome.item, report, first, outcome.inputs!);
  outcome.state = 'done';
  await onOutcome(outcome, report);
}

async function fail(outcome: Outcome, error: unknown, watch: BatchWatch): Promise<void> {
  const { item } = outcome;
  outcome.state = 'failed';
  outcome.error = messageOf(error);
  watch.session.note(`${item.from}: ${outcome.error}`, 'error');
  await watch.onOutcome(outcome);
}

/** Whether every picture after this failure would fail, too. */
async function isEnd(error: unknown): Promise<boolean> {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '')) return true;
  try {
    await settleDevice();
    const one = tf.tidy(() => tf.square(tf.scalar(1)));
    await one.data();
    one.dispose();
    return false;
  } catch {
    return true; // the device computes nothing any more
  }
}
