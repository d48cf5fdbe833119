/** Sinusoidal embeddings of scalars. */
import * as tf from '@tensorflow/tfjs-core';
import { formulationOf } from './formulations.ts';

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

type SinCos = (angles: tf.Tensor) => [sin: tf.Tensor, cos: tf.Tensor];

/** Sine and cosine of angles up to some thousands. */
export const sinCos = {
  plain: ((angles) => [tf.sin(angles), tf.cos(angles)]) as SinCos,

  /**
   * Reduction to a quarter turn by a three-part pi/2, then polynomials. The error is a few float32
   * roundings, however inexact the device's own sine is.
   */
  polynomial: ((angles) => {
    const quarters = tf.round(tf.mul(angles, 2 / Math.PI));
    const parts = [1.5703125, 4.837512969970703e-4, 7.549789948768648e-8];
    // within [-pi/4, pi/4]
    const r = parts.reduce((rest: tf.Tensor, part) => tf.sub(rest, tf.mul(quarters, part)), angles);
    const r2 = tf.square(r);
    const horner = (...coefficients: number[]) =>
      coefficients.reduce((sum: tf.Tensor, c) => tf.add(tf.mul(sum, r2), c), tf.zerosLike(r2));
    const sine = tf.add(
      r,
      tf.mul(tf.mul(r, r2), horner(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)),
    );
    const cosine = horner(
      2.443315711809948e-5,
      -1.388731625493765e-3,
      4.166664568298827e-2,
      -0.5,
      1,
    );
    // quarter turns, 0 to 3
    const turn = tf.sub(quarters, tf.mul(tf.floor(tf.div(quarters, 4)), 4));
    const swapped = tf.equal(tf.sub(turn, tf.mul(tf.floor(tf.div(turn, 2)), 2)), 1);
    const negativeSine = tf.greaterEqual(turn, 2);
    const negativeCosine = tf.equal(tf.abs(tf.sub(turn, 1.5)), 0.5);
    const signed = (x: tf.Tensor, negative: tf.Tensor) => tf.where(negative, tf.neg(x), x);
    return [
      signed(tf.where(swapped, cosine, sine), negativeSine),
      signed(tf.where(swapped, sine, cosine), negativeCosine),
    ];
  }) as SinCos,
};

/**
 * Sinusoids of t `[N]`: `[cos(t f_i), sin(t f_i)]`, with f_i falling geometrically from 1 to
 * 1/maxPeriod -> `[N, dim]`.
 *
 * Frequencies are rounded to float32 before the product, as in diffusers' `get_timestep_embedding`;
 * an odd `dim` gets a trailing zero.
 */
export function timestepEmbedding(
  t: tf.Tensor1D,
  dim: number,
  options: SinusoidOptions = {},
): tf.Tensor2D {
  const { flipSinToCos = true, downscaleFreqShift = 0, scale = 1, maxPeriod = 10000 } = options;
  return tf.tidy(() => {
    const half = Math.floor(dim / 2);
    const step = Math.fround(-Math.log(maxPeriod));
    const frequencies = Float32Array.from({ length: half }, (_, i) =>
      Math.exp(Math.fround(Math.fround(step * i) / (half - downscaleFreqShift))),
    );
    const angles = tf.mul(
      tf.mul(tf.reshape(t, [-1, 1]), tf.tensor2d(frequencies, [1, half])),
      scale,
    );
    const halves = formulationOf<SinCos>('sinCos', sinCos)(angles);
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
