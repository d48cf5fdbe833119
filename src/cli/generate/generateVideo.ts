/** The work of `svd generate`, from checking its output to writing it. */

import { randomInt } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import { useBackend } from '../../backends/index.ts';
import { isSingleFile } from '../../checkpoints/diffusers/names.ts';
import { identifyCheckpoint } from '../../checkpoints/index.ts';
import { outputFormat } from '../../media/output.ts';
import type { OffloadMode } from '../../memory/estimate.ts';
import type { MemoryPlan } from '../../memory/plan.ts';
import type { MemorySettings } from '../../memory/stages.ts';
import { useFormulations } from '../../ops/index.ts';
import { StableVideoDiffusionPipeline } from '../../pipelines/node.ts';
import type { GenerateOptions, ImageInput } from '../../pipelines/types.ts';
import { Generator } from '../../random/generator.ts';
import { counted, messageOf } from '../../text/messages.ts';
import { folderOf, singleFileOptions } from '../hubModel.ts';
import { packagedModel, packagedNote, trainedFor, unlikeTraining } from '../packagedModel.ts';
import { UsageError } from '../terminal/errors.ts';
import type { Session } from '../terminal/session.ts';
import { readLatents, readPictures } from './inputs.ts';
import type { GenerateCommand } from './options.ts';
import { checkOutputs, outputPaths, type Result, writeResult, writeTensors } from './outputs.ts';
import { Profile, type ProfileLine } from './profile.ts';
import { StageRecorder } from './stages.ts';
import { type StoredSettings, storedSettings } from './storedSettings.ts';

export type { Session };

/** What `--json` prints. */
export interface Report {
  /** Paths of the files and folders written. */
  output: string[];
  settings: StoredSettings;
  backend: { name: string; version?: string; device?: string };
  /** Seconds per stage. */
  timings: Record<string, number>;
  /** The most memory that the process has had, without that of a graphics card. */
  peakMemoryBytes: number;
  /** What was expected of memory, and how the call ran so that it fits. */
  memory: {
    /** The expected peak of the process. */
    predictedBytes: number;
    /** The expected peak of WebAssembly's heap or of the graphics card. */
    deviceBytes?: number;
    /** What saves memory and costs time or changes a little, in words. */
    choices: string[];
  } & MemorySettings & { offload: OffloadMode };
  /** Time per block, if asked for. */
  profile?: ProfileLine[];
}

/**
 * Makes the video or videos.
 * @throws Error with one sentence; Interrupted, with nothing half-written, once `watch.signal` has
 * been aborted.
 */
export async function generateVideo(command: GenerateCommand, watch: Session): Promise<Report> {
  const { signal, progress, note } = watch;
  useFormulations(command.formulation);
  const chosen = await useBackend(command.backend, {
    threads: command.threads,
    tf32: command.tf32,
  });
  if (chosen.reason) note(`the ${chosen.name} backend: ${chosen.reason}`);

  const pictures = await unlessAborted(readPictures(command.images), signal);
  const latents =
    command.latents === undefined
      ? undefined
      : await unlessAborted(readLatents(command.latents), signal);
  const videos = pictures.count * command.numVideosPerPrompt;
  const paths = outputPaths(command.output, videos);
  await checkOutputs(command.dump === undefined ? paths : [...paths, command.dump]);
  const seeds = seedsFor(command, videos);
  if (command.seeds.length === 0) note(`the seed is ${seeds[0]}`);

  const onProgress = progress.update.bind(progress);
  if (command.model === undefined) note(packagedNote);
  const folder =
    command.model === undefined
      ? packagedModel
      : await folderOf(command.model, command, { signal, onProgress });
  const single = singleFileOptions(folder, command);
  const trained = await trainedFor(folder, single);
  const { height = trained.side ?? 576, width = trained.side ?? 1024 } = command;
  let plan: MemoryPlan | undefined;
  const loading = {
    variant: command.variant,
    backend: chosen.name,
    dtype: command.dtype,
    offload: command.offload,
    weightDtype: command.weightDtype,
    memory: command.memory,
    plannedFor: {
      ...command,
      height,
      width,
      pictures: pictures.count,
      forwardChunkSize: command.forwardChunking,
    },
    onPlan: (made: MemoryPlan) => {
      plan = made;
    },
    onProgress,
    signal,
  };
  const pipe = isSingleFile(folder)
    ? await StableVideoDiffusionPipeline.fromSingleFile(folder, { ...loading, ...single })
    : await StableVideoDiffusionPipeline.fromPretrained(folder, loading);
  const { offload, settings: levers, choices } = plan!;
  if (choices.length > 0) note(`to fit into memory: ${choices.join('; ')}`);
  const hashing = new AbortController();
  // Beside the sampling: the files have just been read, so their bytes are still in the system's
  // cache.
  const identity = identifyCheckpoint(folder, {
    variant: command.variant,
    ...single,
    signal: hashing.signal,
  }).catch((error: unknown) => {
    if (!hashing.signal.aborted)
      note(`the checkpoint is not named in the settings of the output. ${messageOf(error)}`);
    return undefined;
  });
  try {
    if (command.forwardChunking !== undefined)
      pipe.unet.enableForwardChunking(command.forwardChunking);
    const numFrames = command.numFrames ?? pipe.unet.config.numFrames;
    const unlike = unlikeTraining(trained, { height, width, numFrames });
    if (unlike !== undefined) note(unlike);
    const toTensors = outputFormat(command.output) === 'safetensors';
    const stages = new StageRecorder(command.dump !== undefined);
    const generators = seeds.map((seed) => new Generator(seed));
    const options = {
      ...command,
      height,
      width,
      numFrames,
      latents,
      generator: generators.length === 1 ? generators[0] : generators,
      onStage: toTensors || command.dump !== undefined ? stages.record : undefined,
      onProgress,
      signal,
    };
    const profile = command.profile ? new Profile() : undefined;
    const result = await sample(
      pipe,
      pictures.image,
      { ...options, onBlock: profile?.onBlock },
      toTensors ? stages : undefined,
    );
    progress.update({ stage: 'writing', step: 0, steps: 1 });
    const checkpoint = await unlessAborted(identity, signal);
    const settings = storedSettings(command, {
      height,
      width,
      numFrames,
      seeds,
      backend: chosen.name,
      checkpoint,
      offload,
      decodeChunkSize: levers.decodeChunkSize,
    });
    const output = await writeResult(result, paths, settings, signal);
    if (command.dump !== undefined) await writeTensors(stages.all, command.dump, settings);
    progress.update({ stage: 'writing', step: 1, steps: 1 });
    return {
      output,
      settings,
      backend: chosen,
      timings: progress.seconds(),
      peakMemoryBytes: 1024 * process.resourceUsage().maxRSS,
      memory: {
        predictedBytes: plan!.processBytes,
        deviceBytes: plan!.deviceBytes,
        offload,
        ...levers,
        choices,
      },
      ...(profile && { profile: profile.lines() }),
    };
  } finally {
    hashing.abort();
    pipe.dispose();
    latents?.dispose();
    if (pictures.image instanceof tf.Tensor) pictures.image.dispose();
  }
}

/**
 * Runs the pipeline. `stages`, which have the final latents then, are given if the result is to be
 * tensors.
 */
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

/** The seeds to use: those given, or a random one. */
function seedsFor({ seeds }: GenerateCommand, videos: number): number[] {
  if (seeds.length === 0) return [randomInt(2 ** 32)];
  if (seeds.length > 1 && seeds.length !== videos) {
    throw new UsageError(
      `--seed is given ${seeds.length} times for ${counted(videos, 'video')}. Give it once, or once per video.`,
    );
  }
  return seeds;
}

/**
 * Waits for `work`, but no longer than until the signal. For work that cannot be stopped and leaves
 * nothing behind.
 */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, aborted]);
}
