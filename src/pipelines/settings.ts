/** Checks the options of a sampling call before it computes anything, and fills in defaults. */
import * as tf from '@tensorflow/tfjs';
import type { RgbImage } from '../media/image.ts';
import { Generator } from '../random/generator.ts';
import { wrongGeneratorCount } from '../random/randnTensor.ts';
import { checkOneOf } from '../text/messages.ts';
import { callDefaults, outputTypes } from './defaults.ts';
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
}

/** Tensors that `callbackOnStepEnd` can ask for. */
export const callbackTensorNames = ['latents', 'imageEmbeddings', 'imageLatents', 'addedTimeIds'];

const wholeNumbers = [
  ...(['numFrames', 'numInferenceSteps', 'decodeChunkSize', 'numVideosPerPrompt'] as const),
  ...(['height', 'width'] as const),
];
const finiteNumbers = [
  ...(['minGuidanceScale', 'maxGuidanceScale', 'fps', 'motionBucketId'] as const),
  'noiseAugStrength' as const,
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
  const batch = batchOf(image);
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
    minGuidanceScale: options.minGuidanceScale ?? callDefaults.minGuidanceScale,
    maxGuidanceScale: options.maxGuidanceScale ?? callDefaults.maxGuidanceScale,
    guidanceTogether: options.guidanceTogether ?? true,
    fps: options.fps ?? callDefaults.fps,
    motionBucketId: options.motionBucketId ?? callDefaults.motionBucketId,
    noiseAugStrength: options.noiseAugStrength ?? callDefaults.noiseAugStrength,
    decodeChunkSize: options.decodeChunkSize ?? options.numFrames ?? model.numFrames,
    numVideosPerPrompt: options.numVideosPerPrompt ?? callDefaults.numVideosPerPrompt,
    generator: options.generator ?? new Generator(),
    latents: options.latents,
    outputType: options.outputType ?? callDefaults.outputType,
    callbackOnStepEndTensorInputs: options.callbackOnStepEndTensorInputs ?? ['latents'],
  };
  for (const name of wholeNumbers) {
    if (!Number.isInteger(settings[name]) || settings[name] < 1) {
      throw new Error(
        `\`${name}\` has to be a whole number of at least 1 but is ${settings[name]}.`,
      );
    }
  }
  for (const name of finiteNumbers) {
    if (!Number.isFinite(settings[name]))
      throw new Error(`\`${name}\` has to be a finite number but is ${settings[name]}.`);
  }
  checkSize(settings.height, settings.width);
  checkOneOf('outputType', settings.outputType, outputTypes);
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

const isImage = (value: unknown): value is RgbImage =>
  typeof value === 'object' &&
  value !== null &&
  (value as RgbImage).data instanceof Uint8Array &&
  'width' in value &&
  'height' in value;

function batchOf(image: ImageInput): number {
  if (image instanceof tf.Tensor) {
    if (image.rank === 4 && image.shape[3] === 3) return image.shape[0];
    throw new Error(
      `A tensor \`image\` has to be of shape [N, height, width, 3] but is [${image.shape}].`,
    );
  }
  const images = Array.isArray(image) ? image : [image];
  if (images.length === 0)
    throw new Error('`image` has to hold at least one picture but is an empty list.');
  for (const one of images) {
    if (!isImage(one)) {
      throw new Error(
        '`image` has to be a picture of `loadImage`, a list of them or a tensor but is ' +
          `${describe(one)}.`,
      );
    }
    if (one.data.length !== one.width * one.height * 3) {
      throw new Error(
        `A picture of ${one.width}x${one.height} pixels has to hold ` +
          `${one.width * one.height * 3} bytes of RGB but holds ${one.data.length}.`,
      );
    }
  }
  return images.length;
}

const describe = (value: unknown) =>
  typeof value === 'object' && value !== null ? value.constructor?.name : `${value}`;
