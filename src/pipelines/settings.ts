/** Checks the options of a sampling call before it computes anything, and fills in defaults. */
import * as tf from '@tensorflow/tfjs-core';
import { checkBranch } from '../models/deepCache.ts';
import { Generator } from '../random/generator.ts';
import { wrongGeneratorCount } from '../random/randnTensor.ts';
import { callDefaults } from './defaults.ts';
import { checkGenerateOptions } from './options.ts';
import { branchOf } from './sampling/deepCache.ts';
import { checkPictures } from './sampling/pictures.ts';
import type { GenerateOptions, ImageInput } from './types.ts';

/** Properties of the models that defaults and checks depend on. */
export interface CallConstraints {
  /** Frames that the UNet was trained on. */
  numFrames: number;
  /** Side of the latents that the UNet was trained on. */
  sampleSize: number | null;
  /** Pixels per latent. */
  scaleFactor: number;
  /** Channels of the latents. */
  latentChannels: number;
  /** Branches that DeepCache can choose from. */
  deepCacheBranches: number;
}

/** Tensors that `callbackOnStepEnd` can ask for. */
export const callbackTensorNames = [
  ...['latents', 'imageEmbeddings', 'imageLatents', 'addedTimeIds', 'predOriginalSample'],
];

/** Sampling options with every default filled in. */
export type CallSettings = ReturnType<typeof checkCall>;

/**
 * Fills in the defaults and checks every value.
 *
 * @throws Error if a value is not allowed. It names the option, its value, the allowed values and,
 * if there is one, the nearest allowed value.
 */
export function checkCall(image: ImageInput, options: GenerateOptions, model: CallConstraints) {
  checkGenerateOptions(options);
  const batch = checkPictures(image);
  // As in diffusers: 0 or null stands for the size that the UNet was trained on.
  const native = model.sampleSize === null ? undefined : model.sampleSize * model.scaleFactor;
  const sizeOf = (given: number | null | undefined, usual: number) =>
    given === 0 || given === null ? (native ?? usual) : (given ?? usual);
  const settings = {
    batch,
    height: sizeOf(options.height, callDefaults.height),
    width: sizeOf(options.width, callDefaults.width),
    numFrames: options.numFrames ?? model.numFrames,
    numInferenceSteps: options.numInferenceSteps ?? callDefaults.numInferenceSteps,
    sigmas: options.sigmas,
    schedule: options.schedule,
    minGuidanceScale: options.minGuidanceScale ?? callDefaults.minGuidanceScale,
    maxGuidanceScale: options.maxGuidanceScale ?? callDefaults.maxGuidanceScale,
    guidanceInterval: options.guidanceInterval,
    deepCache: options.deepCache,
    guidanceTogether: options.guidanceTogether ?? true,
    fps: options.fps ?? callDefaults.fps,
    motionBucketId: options.motionBucketId ?? callDefaults.motionBucketId,
    noiseAugStrength: options.noiseAugStrength ?? callDefaults.noiseAugStrength,
    decodeChunkSize: options.decodeChunkSize ?? options.numFrames ?? model.numFrames,
    numVideosPerPrompt: options.numVideosPerPrompt ?? callDefaults.numVideosPerPrompt,
    generator:
      options.generator ??
      options.resumeFrom?.firstGenerators.map((state) => new Generator(0).setState(state)) ??
      new Generator(),
    latents: options.latents,
    outputType: options.outputType ?? callDefaults.outputType,
    callbackOnStepEndTensorInputs: options.callbackOnStepEndTensorInputs ?? ['latents'],
  };
  checkSize(settings.height, settings.width);
  if (settings.sigmas && settings.schedule)
    throw new Error('`sigmas` and `schedule` are two schedules: pass one of them.');
  if (settings.deepCache) checkBranch(branchOf(settings.deepCache), model.deepCacheBranches);
  const unknown = settings.callbackOnStepEndTensorInputs.find(
    (name) => !callbackTensorNames.includes(name),
  );
  if (unknown) {
    throw new Error(
      `\`callbackOnStepEndTensorInputs\` may name ${callbackTensorNames.join(', ')} but names ` +
        `${unknown}.`,
    );
  }
  const videos = batch * settings.numVideosPerPrompt;
  const { generator, latents } = settings;
  if (Array.isArray(generator) && generator.length !== 1 && generator.length !== videos) {
    throw wrongGeneratorCount(generator, videos);
  }
  if (latents) {
    const shape = latentShape(settings, model);
    if (!tf.util.arraysEqual(latents.shape, shape)) {
      throw new Error(
        `\`latents\` has to be of shape [${shape}] (videos, frames, height, width, channels) ` +
          `for these settings but is [${latents.shape}].`,
      );
    }
  }
  return settings;
}

/** The shape of the latents of a call: `[videos, frames, height, width, channels]`. */
export function latentShape(
  settings: Record<'batch' | 'numVideosPerPrompt' | 'numFrames' | 'height' | 'width', number>,
  { scaleFactor, latentChannels }: CallConstraints,
): [number, number, number, number, number] {
  const size = (pixels: number) => Math.floor(pixels / scaleFactor);
  const videos = settings.batch * settings.numVideosPerPrompt;
  return [videos, settings.numFrames, size(settings.height), size(settings.width), latentChannels];
}

function checkSize(height: number, width: number): void {
  if (height % 8 === 0 && width % 8 === 0) return;
  // the smaller one, where two are as near
  const near = (n: number) => Math.max(8, Math.ceil(n / 8 - 0.5) * 8);
  throw new Error(
    `\`height\` and \`width\` have to be divisible by 8 but are ${height} and ${width}. Try ` +
      `${near(height)} and ${near(width)}.`,
  );
}
