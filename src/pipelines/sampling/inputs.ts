/** The inputs of a sampling call, made ready for the models. */
import * as tf from '@tensorflow/tfjs-core';
import type { UNetSpatioTemporalConditionModel } from '../../models/index.ts';
import { randnTensor } from '../../random/randnTensor.ts';
import type { CallSettings } from '../settings.ts';
import { allFinite } from './finite.ts';

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

/** @throws Error if given latents are not finite at the schedule's first noise level. */
export async function checkGivenLatents(
  latents: tf.Tensor | undefined,
  initNoiseSigma: number,
): Promise<void> {
  if (!latents) return;
  const start = tf.tidy(() => tf.mul(latents, initNoiseSigma));
  const finite = await allFinite(start).finally(() => start.dispose());
  if (finite) return;
  throw new Error(
    `\`latents\` times the first noise level, ${initNoiseSigma}, are not finite. Pass finite ` +
      'values of unit variance.',
  );
}
