/** Sinusoidal embeddings of scalars. */
import * as tf from '@tensorflow/tfjs';

export interface SinusoidOptions {
  /** Cosines before sines. Default true, as in SVD. */
  flipSinToCos?: boolean;
  /** Subtracted from half the dimension in the frequency formula. Default 0. */
  downscaleFreqShift?: number;
  /** Factor on the angles. Default 1. */
  scale?: number;
  /** Longest period. Default 10000. */
  maxPeriod?: number;
}

/**
 * Sinusoids of t `[N]`: `[cos(t f_i), sin(t f_i)]`, with f_i falling geometrically from 1 to 1/maxPeriod -> `[N, dim]`.
 *
 * Frequencies are rounded to float32 before the product, as in diffusers' `get_timestep_embedding`; an odd `dim` gets a trailing zero.
 */
export function timestepEmbedding(t: tf.Tensor1D, dim: number, options: SinusoidOptions = {}): tf.Tensor2D {
  const { flipSinToCos = true, downscaleFreqShift = 0, scale = 1, maxPeriod = 10000 } = options;
  return tf.tidy(() => {
    const half = Math.floor(dim / 2);
    const step = Math.fround(-Math.log(maxPeriod));
    const frequencies = Float32Array.from({ length: half }, (_, i) =>
      Math.exp(Math.fround(Math.fround(step * i) / (half - downscaleFreqShift))),
    );
    const angles = tf.mul(tf.mul(tf.reshape(t, [-1, 1]), tf.tensor2d(frequencies, [1, half])), scale);
    const halves = [tf.sin(angles), tf.cos(angles)];
    if (flipSinToCos) halves.reverse();
    const embedding = tf.concat(halves, 1) as tf.Tensor2D;
    return dim % 2 === 0
      ? embedding
      : tf.pad(embedding, [
          [0, 0],
          [0, 1],
        ]);
  });
}
