/** Tensors of a sampling call in diffusers' axis order, for dumps and comparisons. */
import * as tf from '@tensorflow/tfjs-core';
import { TensorScope } from '../../layers/index.ts';
import type { FloatArray } from '../types.ts';

/**
 * Reads a channels-last tensor `[..., H, W, C]` as `[..., C, H, W]`; lower ranks as they are.
 *
 * @param numFrames For `[B*F, H, W, C]`: returns `[B, F, C, H, W]`.
 */
export async function channelsFirst(x: tf.Tensor, numFrames?: number): Promise<FloatArray> {
  using scope = new TensorScope();
  const moved = scope.tidy(() => {
    if (x.rank < 4) return tf.clone(x);
    const images = tf.transpose(x, [0, 3, 1, 2]);
    return numFrames ? tf.reshape(images, [-1, numFrames, ...images.shape.slice(1)]) : images;
  });
  // A copy: backends may hand out the array that the tensor itself lives in.
  return { data: Float32Array.from(await moved.data()), shape: moved.shape };
}
