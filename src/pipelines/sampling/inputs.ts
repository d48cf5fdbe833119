/** The inputs of a sampling call, made ready for the models. */
import * as tf from '@tensorflow/tfjs';
import type { RgbImage } from '../../media/image.ts';
import type { UNetSpatioTemporalConditionModel } from '../../models/index.ts';
import { randnTensor } from '../../random/randnTensor.ts';
import type { CallSettings } from '../settings.ts';
import type { FloatArray, ImageInput } from '../types.ts';

/** Pictures, or the values of a tensor of pictures, on the host. */
export async function hostPictures(image: ImageInput): Promise<RgbImage[] | FloatArray> {
  if (image instanceof tf.Tensor)
    return { data: (await image.data()) as Float32Array, shape: image.shape };
  return Array.isArray(image) ? image : [image];
}

/** `[videos, 3]`: frames per second less one, motion bucket, noise strength. */
export function addedTimeIds(
  { batch, numVideosPerPrompt, fps, motionBucketId, noiseAugStrength }: CallSettings,
  config: UNetSpatioTemporalConditionModel['config'],
): tf.Tensor {
  const ids = [fps - 1, motionBucketId, noiseAugStrength];
  const { additionTimeEmbedDim, projectionClassEmbeddingsInputDim: expected } = config;
  const given = additionTimeEmbedDim * ids.length;
  if (given !== expected) {
    throw new Error(
      `Model expects an added time embedding vector of length ${expected}, but a vector of ` +
        `${given} was created. ` +
        'The model has an incorrect config. Please check `unet.config.additionTimeEmbedDim`.',
    );
  }
  return tf.tile(tf.tensor2d([ids]), [batch * numVideosPerPrompt, 1]);
}

/** Repeats each entry of the first axis: `[A, B]` -> `[A, A, B, B]`. */
export function repeatEach(x: tf.Tensor, times: number): tf.Tensor {
  const [count, ...rest] = x.shape;
  return tf.tidy(() => {
    const repeated = tf.tile(tf.reshape(x, [count, 1, -1]), [1, times, 1]);
    return tf.reshape(repeated, [count * times, ...rest]);
  });
}

/**
 * Start noise `[videos*F, h, w, C]` at the schedule's first noise level. Takes the second draw,
 * unless latents are given.
 */
export function startLatents(
  { latents, generator }: CallSettings,
  [videos, frames, h, w, c]: number[],
  initNoiseSigma: number,
): tf.Tensor {
  const noise = latents ?? randnTensor(generator, [videos, frames, c, h, w]);
  return tf.mul(tf.reshape(noise, [videos * frames, h, w, c]), initNoiseSigma);
}
