/** The work of `svd generate`, from the check of its output to the writing. */
import { randomInt } from 'node:crypto';
import { type BackendReport, useBackend } from '../../backends/index.ts';
import { isSingleFile } from '../../checkpoints/diffusers/names.ts';
import {
  type CheckpointIdentity,
  identifyCheckpoint,
  packagedModel,
} from '../../checkpoints/index.ts';
import type { RgbImage } from '../../media/image.ts';
import { loadEncoder } from '../../media/video/exportVideo.ts';
import type { OffloadMode } from '../../memory/offloadModes.ts';
import type { MemoryPlan } from '../../memory/plan.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import type { MemorySettings } from '../../memory/stages.ts';
import { deviceName, peakDeviceBytes } from '../../ops/device.ts';
import { useFormulations } from '../../ops/index.ts';
import { sizeOfCall } from '../../pipelines/callPlanner.ts';
import { latentPreviews } from '../../pipelines/latentPreviews.ts';
import { plannedRanks } from '../../pipelines/lora/files.ts';
import { StableVideoDiffusionPipeline } from '../../pipelines/node.ts';
import type { GenerateOptions, ImageInput } from '../../pipelines/types.ts';
import { Generator } from '../../random/generator.ts';
import { schedulerByName } from '../../schedulers/index.ts';
import { counted, messageOf } from '../../text/messages.ts';
import { locate, singleFileOptions } from '../hubModel.ts';
import { loadLoras, locateLoras } from '../lora.ts';
import { ownSize, packagedNote, trainedFor, unlikeTraining } from '../packagedModel.ts';
import { UsageError } from '../terminal/errors.ts';
import { partOf } from '../terminal/options.ts';
import { atEnd, type Session } from '../terminal/session.ts';
import type { Seed } from '../terminal/values.ts';
import { checkSampling } from './checkCommand.ts';
import { checkModelIsKept, checkPlaces } from './checkPlaces.ts';
import { checkSpace } from './checkSpace.ts';
import { outputPaths } from './defaultOutput.ts';
import { type Inputs, readInputs } from './inputs.ts';
import { type GenerateCommand, generateOptions } from './options.ts';
import { outputsOf, type Result, writeOutputs } from './outputs.ts';
import { KeptState } from './resume/keptState.ts';
import { type KeepRule, whileLong } from './resume/rule.ts';
import { fastCommand, fastNote } from './speed/fast.ts';
import { type StoredSettings, storedSettings } from './storedSettings.ts';
import { expectedOf } from './watch/expected.ts';
import { IN_TERMINAL, Preview, writePreview } from './watch/preview.ts';
import { Profile, type ProfileLine } from './watch/profile.ts';
import { StageRecorder } from './watch/stages.ts';
import { withoutEffect } from './withoutEffect.ts';

/** The report that `--json` prints. */
export interface Report {
  /** Paths of the files and folders written. */
  output: string[];
  settings: StoredSettings;
  backend: { name: string; version?: string; device?: string };
  /** Seconds per stage. */
  timings: Record<string, number>;
  /** The most memory that the process has had, without that of a graphics card. */
  peakMemoryBytes: number;
  /** On webgpu, the most memory that tensors have had on the device. */
  peakDeviceBytes?: number;
  /** The memory that was expected, and how the call ran so that it fits. */
  memory: {
    /** The expected peak of the process. */
    predictedBytes: number;
    /** The expected peak of WebAssembly's heap or of the graphics card. */
    deviceBytes?: number;
    /** Choices that save memory and cost time or change a little, in words. */
    choices: string[];
  } & MemorySettings & { offload: OffloadMode };
  /** Time per block, if asked for. */
  profile?: ProfileLine[];
}

/**
 * Makes the video or videos.
 * @param isKept When the state of the call is kept. Default: while the call is long.
 * @throws Error with one sentence; Interrupted, with nothing half-written, once `session.signal`
 * has been aborted.
 */
export async function generateVideo(
  asked: GenerateCommand,
  session: Session,
  isKept: KeepRule = whileLong(session.progress),
): Promise<Report> {
  const { signal, progress, note } = session;
  useFormulations(asked.formulation);
  const { threads, tf32 } = asked;
  const backend = await useBackend(asked.backend, { threads, tf32 });
  progress.label = backend.name;
  progress.expect({ work: {} }); // there will be some, of which the plan tells
  if (backend.reason) note(`the ${backend.name} backend: ${backend.reason}`);

  const command = fastCommand(asked);
  if (command.fast) note(fastNote(command));
  for (const text of withoutEffect(command, backend)) note(text);

  using inputs = await unlessAborted(readInputs(command.images, command.latents), signal);
  const videos = inputs.pictures * command.numVideosPerPrompt;
  const paths = outputPaths(command, videos);
  await checkPlaces(command, paths);
  const encoder = await loadEncoder(command.format, command.encoder);
  const kept = new KeptState(command, inputs, session, isKept);
  const seeds = (await kept.find()) ?? seedsFor(command, videos);
  if (command.seeds.length === 0) note(`the seed is ${seeds[0]}`);

  const model = await findModel(command, session);
  const { unet = [] } = model.opening;
  const loraFiles = model.loras.map(({ path }) => path);
  await checkModelIsKept(
    command,
    paths,
    [model.path, command.config ?? [], unet, loraFiles].flat(),
  );
  const frames = videos * (command.numFrames ?? model.trained.numFrames ?? 1);
  await checkSpace(command, paths, { ...model, frames });
  const { pipe, plan } = await loadPipeline(model, command, inputs, backend, session);
  using _pipe = atEnd(() => pipe.dispose());
  if (plan.choices.length > 0) note(`to fit into memory: ${plan.choices.join('; ')}`);
  // Beside the sampling: the files have just been read, so their bytes are still in the system's
  // cache.
  const hashing = new AbortController();
  using _hashing = atEnd(() => hashing.abort());
  const identity = identify(model, command, hashing.signal, note);
  const hash = async () => (await unlessAborted(identity, signal))?.hash;

  const { height, width } = model;
  const numFrames = command.numFrames ?? pipe.unet.config.numFrames;
  const unlike = unlikeTraining(model.trained, { height, width, numFrames });
  if (unlike !== undefined) note(unlike);
  const toTensors = command.format === 'safetensors';
  const stages = new StageRecorder(command.dump !== undefined);
  const profile = command.profile ? new Profile() : undefined;
  const blocks = new Map(
    plan.stages.flatMap((stage) => stage.blocks.map(({ path, work }) => [path, work])),
  );
  const generators = seeds.map((seed) => new Generator(BigInt(seed)));
  const options = {
    ...callOf(command),
    ...{ height, width, numFrames, latents: inputs.latents, signal },
    ...previewsOf(command, inputs, session),
    generator: generators.length === 1 ? generators[0] : generators,
    onStage: toTensors || command.dump !== undefined ? stages.record : undefined,
    onBlock: (path: string) => {
      profile?.onBlock(path);
      const block = path.slice(path.indexOf('.') + 1);
      const work = blocks.get(block);
      if (work !== undefined) progress.advance(work);
    },
    recording: profile === undefined,
    onProgress: progress.update,
    ...(await kept.callOptions(seeds, stages, hash)),
  };
  const result = await sample(pipe, inputs.image, options, toTensors ? stages : undefined);

  progress.update({ stage: 'writing', step: 0, steps: 1 });
  const { settings: memory, offload, choices, processBytes, deviceBytes } = plan;
  const settings = storedSettings(command, {
    ...{ height, width, numFrames, seeds, offload, ...encoder },
    ...{ backend: backend.name, dtype: command.dtype ?? 'float32' },
    checkpoint: await unlessAborted(identity, signal),
    decodeChunkSize: memory.decodeChunkSize,
  });
  const outputs = outputsOf(result, paths, command.format);
  if (command.dump !== undefined) outputs.push({ path: command.dump, tensors: stages.all });
  await writeOutputs(outputs, settings, signal);
  await kept.remove();
  progress.update({ stage: 'writing', step: 1, steps: 1 });
  return {
    output: paths,
    settings,
    backend,
    timings: progress.seconds(),
    peakMemoryBytes: 1024 * process.resourceUsage().maxRSS,
    peakDeviceBytes: peakDeviceBytes(),
    memory: { predictedBytes: processBytes, deviceBytes, offload, ...memory, choices },
    ...(profile && { profile: profile.lines() }),
  };
}

type Model = Awaited<ReturnType<typeof findModel>>;

/**
 * Finds the checkpoint, which it brings into the cache first if it is of the hub, and the size of
 * the video.
 */
async function findModel(command: GenerateCommand, { signal, progress, note }: Session) {
  const { model } = command;
  if (model === undefined) note(packagedNote);
  const { path, unet } = await locate(model ?? packagedModel, command, {
    ...{ signal, note, onProgress: progress.update },
  });
  const opening = { ...singleFileOptions(path, command), unet };
  const trained = await trainedFor(path, opening);
  const loras = await locateLoras(command, { signal, onProgress: progress.update });
  const loraRanks = await plannedRanks({
    model: path,
    opening: { ...opening, variant: command.variant },
    loras: loras.map((each) => each.path),
  });
  checkSampling({ ...command, scheduler: command.scheduler ?? trained.scheduler });
  const own = ownSize(trained);
  const { height = own.height, width = own.width } = command;
  return { path, opening, trained, loras, loraRanks, height, width };
}

/** The options that show previews, if they are asked for. */
function previewsOf(
  { preview: where, quiet }: GenerateCommand,
  { image }: Inputs,
  { note, progress }: Session,
): Partial<GenerateOptions> {
  if (where === undefined) return {};
  const problem = Array.isArray(image)
    ? where === IN_TERMINAL && (quiet || !process.stderr.isTTY) && 'there is no terminal'
    : 'tensors have no pictures';
  if (problem || !Array.isArray(image)) {
    note(`--preview has no effect: ${problem}`);
    return {};
  }
  const preview = new Preview(process.stderr);
  return latentPreviews(image as RgbImage[], async ([frames]) => {
    const middle = frames[Math.floor(frames.length / 2)];
    if (where !== IN_TERMINAL) return writePreview(middle, where);
    progress.clear();
    await preview.show(middle);
  });
}

/** The options of the library's call that need no more than the command line. */
function callOf(command: GenerateCommand) {
  const { seeds, latents, ...call } = partOf(command, generateOptions, 'call');
  return call;
}

async function loadPipeline(
  { path, opening, trained, loras, loraRanks, height, width }: Model,
  command: GenerateCommand,
  { pictures }: Inputs,
  backend: BackendReport,
  { signal, progress }: Session,
): Promise<{ pipe: StableVideoDiffusionPipeline; plan: MemoryPlan }> {
  let plan: MemoryPlan | undefined;
  const { variant, memory } = command;
  const { formulation, forwardChunking, scheduler, ...given } = partOf(
    command,
    generateOptions,
    'loading',
  );
  const plannedFor = {
    ...callOf(command),
    ...{ height, width, pictures, loraRanks, forwardChunkSize: forwardChunking },
  };
  const loading = {
    ...given,
    // Chosen already, with the threads there are.
    ...{ backend: backend.name, threads: undefined },
    ...{ variant, memory, signal, onProgress: progress.update },
    plannedFor,
    onPlan: (made: MemoryPlan) => {
      plan = made;
      const size = sizeOfCall(plannedFor, trained.numFrames);
      progress.expect(expectedOf(made, size, deviceName() as Device, command));
    },
  };
  const pipe = isSingleFile(path)
    ? await StableVideoDiffusionPipeline.fromSingleFile(path, { ...loading, ...opening })
    : await StableVideoDiffusionPipeline.fromPretrained(path, { ...loading, unet: opening.unet });
  await loadLoras(pipe, loras);
  if (scheduler !== undefined) pipe.scheduler = schedulerByName(scheduler);
  if (forwardChunking !== undefined) pipe.unet.enableForwardChunking(forwardChunking);
  return { pipe, plan: plan! };
}

/**
 * The hashes of the checkpoint. Without them, a note says so and the video is made all the same.
 */
async function identify(
  { path, opening, loras }: Model,
  { variant }: GenerateCommand,
  signal: AbortSignal,
  note: Session['note'],
): Promise<CheckpointIdentity | undefined> {
  try {
    return await identifyCheckpoint(path, {
      ...{ variant, ...opening, signal },
      loras: loras.map((each) => each.path),
    });
  } catch (error) {
    if (!signal.aborted)
      note(`the checkpoint is not named in the settings of the output. ${messageOf(error)}`);
    return undefined;
  }
}

/** Runs the pipeline. With `stages`, which have the final latents then, the result is tensors. */
async function sample(
  pipe: StableVideoDiffusionPipeline,
  image: ImageInput,
  options: Omit<GenerateOptions, 'returnDict'>,
  stages?: StageRecorder,
): Promise<Result> {
  if (stages === undefined)
    return { videos: (await pipe.generate(image, { ...options, outputType: 'image' })).frames };
  if (options.outputType === 'latent') {
    const { frames } = await pipe.generate(image, { ...options, outputType: 'latent' });
    frames.dispose(); // the recorder has their values
    return { tensors: { latents: stages.finalLatents } };
  }
  const { frames } = await pipe.generate(image, { ...options, outputType: 'array' });
  return { tensors: { frames, latents: stages.finalLatents } };
}

/** The seeds to use: those passed, or a random one. */
function seedsFor({ seeds }: GenerateCommand, videos: number): Seed[] {
  if (seeds.length === 0) return [randomInt(2 ** 32)];
  if (seeds.length > 1 && seeds.length !== videos) {
    throw new UsageError(
      `--seed is given ${seeds.length} times for ${counted(videos, 'video')}. Pass it once, ` +
        'or once per video.',
    );
  }
  return seeds;
}

/**
 * Waits for `work`, but no longer than until the signal. For work that cannot be stopped and leaves
 * nothing behind.
 */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const ended = new AbortController();
  using _ended = atEnd(() => ended.abort()); // so that the listener does not stay
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { signal: ended.signal });
  });
  return await Promise.race([work, aborted]);
}
