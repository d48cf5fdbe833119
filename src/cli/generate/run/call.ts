/** One call of `svd generate`: its checks, the options of the library's call, and the writing. */
import { randomInt } from 'node:crypto';
import type { PictureOptions } from '../../../batch/generateMany.ts';
import type { FloatArray, RgbImage } from '../../../media/image.ts';
import { loadEncoder } from '../../../media/video/exportVideo.ts';
import type { OffloadMode } from '../../../memory/offloadModes.ts';
import type { MemoryPlan } from '../../../memory/plan.ts';
import type { MemorySettings } from '../../../memory/stages.ts';
import { peakDeviceBytes } from '../../../ops/device.ts';
import { latentPreviews } from '../../../pipelines/latentPreviews.ts';
import { unlessAborted } from '../../../pipelines/turns.ts';
import type { Frames, GenerateOptions, OutputType } from '../../../pipelines/types.ts';
import { Generator } from '../../../random/generator.ts';
import { counted } from '../../../text/messages.ts';
import { unlikeTraining } from '../../packagedModel.ts';
import { UsageError } from '../../terminal/errors.ts';
import type { Session } from '../../terminal/session.ts';
import type { Seed } from '../../terminal/values.ts';
import { checkSampling } from '../checkCommand.ts';
import { checkModelIsKept, checkPlaces } from '../checkPlaces.ts';
import { checkSpace } from '../checkSpace.ts';
import { outputPaths } from '../defaultOutput.ts';
import type { Inputs } from '../inputs.ts';
import type { GenerateCommand } from '../options.ts';
import { outputsOf, type Result, writeOutputs } from '../outputs.ts';
import { KeptState } from '../resume/keptState.ts';
import type { KeepRule } from '../resume/rule.ts';
import { type StoredSettings, storedSettings } from '../storedSettings.ts';
import { IN_TERMINAL, Preview, writePreview } from '../watch/preview.ts';
import { Profile, type ProfileLine } from '../watch/profile.ts';
import { StageRecorder } from '../watch/stages.ts';
import { callOf, type FoundModel, type LoadedModel, placesOf, sizeOf } from './model.ts';

/** A call that can be written where it says. */
export interface Call {
  command: GenerateCommand;
  inputs: Inputs;
  /** Where the videos go. */
  paths: string[];
  encoder: Awaited<ReturnType<typeof loadEncoder>>;
  seeds: Seed[];
  kept: KeptState;
  /** Whether a result that cannot be written goes elsewhere. Default: yes. */
  hasSpare?: boolean;
}

/**
 * Checks where the outputs of a call go, looks for a state of it, and chooses its seeds.
 * @param isKept When the state of the call is kept.
 * @throws Error with one sentence if it cannot be made.
 */
export async function prepareCall(
  command: GenerateCommand,
  inputs: Inputs,
  session: Session,
  isKept: KeepRule,
): Promise<Call> {
  const videos = inputs.pictures * command.numVideosPerPrompt;
  const paths = outputPaths(command, videos);
  await checkPlaces(command, paths);
  const encoder = await loadEncoder(command.format, command.encoder);
  const kept = new KeptState(command, inputs, session, isKept);
  const seeds = (await kept.find()) ?? seedsFor(command, videos);
  if (command.seeds.length === 0) session.note(`the seed is ${seeds[0]}`);
  return { command, inputs, paths, encoder, seeds, kept };
}

/** @throws Error if a call does not go together with a model, or the disk has no room for it. */
export async function checkWithModel({ command, inputs, paths }: Call, model: FoundModel) {
  const { trained } = model;
  checkSampling({ ...command, scheduler: command.scheduler ?? trained.scheduler });
  await checkModelIsKept(command, paths, placesOf(model));
  const videos = inputs.pictures * command.numVideosPerPrompt;
  const frames = videos * (command.numFrames ?? trained.numFrames ?? 1);
  await checkSpace(command, paths, { ...sizeOf(model, command), frames });
}

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

/** A call that the library is to run. */
export interface StartedCall {
  options: PictureOptions<OutputType>;
  /** Writes the frames that the library returns. */
  finish(frames: Frames[OutputType]): Promise<Report>;
}

/**
 * Plans a call, and goes back to its state if there is one.
 * @throws MemoryError if there is too little memory.
 */
export async function startCall(
  { command, inputs, paths, encoder, seeds, kept, hasSpare }: Call,
  model: LoadedModel,
  session: Session,
): Promise<StartedCall> {
  const { signal, progress, note } = session;
  const { pipe, backend, trained } = model;
  await model.scaleLoras(command);
  const plan = await model.plan(command, inputs.pictures, session);
  if (plan.choices.length > 0) note(`to fit into memory: ${plan.choices.join('; ')}`);
  const hash = async () => (await unlessAborted(model.identity, signal))?.hash;
  const { height, width } = sizeOf(model, command);
  const numFrames = command.numFrames ?? pipe.unet.config.numFrames;
  const unlike = unlikeTraining(trained, { height, width, numFrames });
  if (unlike !== undefined) note(unlike);

  const toTensors = command.format === 'safetensors';
  const stages = new StageRecorder(command.dump !== undefined);
  const profile = command.profile ? new Profile() : undefined;
  const generators = seeds.map((seed) => new Generator(BigInt(seed)));
  const advance = advancing(plan, session);
  const options: StartedCall['options'] = {
    ...callOf(command),
    ...{ height, width, numFrames, latents: inputs.latents, signal },
    ...previewsOf(command, inputs, session),
    outputType: toTensors ? (command.outputType === 'latent' ? 'latent' : 'array') : 'image',
    generator: generators.length === 1 ? generators[0] : generators,
    onStage: toTensors || command.dump !== undefined ? stages.record : undefined,
    onBlock: (path) => {
      profile?.onBlock(path);
      advance(path);
    },
    recording: profile === undefined,
    onProgress: progress.update,
    ...(await kept.callOptions(seeds, stages, hash)),
  };

  return {
    options,
    async finish(frames) {
      const result = resultOf(frames, options.outputType, stages);
      progress.update({ stage: 'writing', step: 0, steps: 1 });
      const { settings: memory, offload, choices, processBytes, deviceBytes } = plan;
      const settings = storedSettings(command, {
        ...{ height, width, numFrames, seeds, offload, ...encoder },
        ...{ backend: backend.name, dtype: command.dtype ?? 'float32' },
        checkpoint: await unlessAborted(model.identity, signal),
        decodeChunkSize: memory.decodeChunkSize,
      });
      const outputs = outputsOf(result, paths, command.format);
      if (command.dump !== undefined) outputs.push({ path: command.dump, tensors: stages.all });
      await writeOutputs(outputs, settings, signal, hasSpare);
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
    },
  };
}

/** Shows the progress within a stage, by the blocks that are done. */
function advancing({ stages }: MemoryPlan, { progress }: Session): (path: string) => void {
  const works = new Map(
    stages.flatMap(({ blocks }) => blocks.map(({ path, work }) => [path, work])),
  );
  return (path) => {
    const work = works.get(path.slice(path.indexOf('.') + 1));
    if (work !== undefined) progress.advance(work);
  };
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

/** What is written of frames in the form of `outputType`. The recorder has the final latents. */
function resultOf(
  frames: Frames[OutputType],
  outputType: OutputType | undefined,
  stages: StageRecorder,
): Result {
  if (outputType === 'image') return { videos: frames as Frames['image'] };
  if (outputType === 'array')
    return { tensors: { frames: frames as FloatArray, latents: stages.finalLatents } };
  (frames as Frames['latent']).dispose();
  return { tensors: { latents: stages.finalLatents } };
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
