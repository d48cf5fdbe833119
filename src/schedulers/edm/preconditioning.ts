/**
 * EDM's parametrisation of a model (Karras et al. 2022, table 1) as pure functions. Noise levels
 * are float32 numbers, and each scalar factor is rounded to float32.
 */
import * as tf from '@tensorflow/tfjs-core';
import { exponentialSigmas, karrasSigmas } from '../sigmas.ts';
import type { EDMEulerSchedulerConfig } from './edmConfig.ts';

const f32 = Math.fround;

/** `sqrt(sigma^2 + sigmaData^2)`, the standard deviation of a noisy sample. */
export const noisyDeviation = (sigma: number, sigmaData: number): number =>
  f32(Math.hypot(sigma, sigmaData));

/** The clean sample that follows from a model's output for a noisy sample. */
export function denoised(
  modelOutput: tf.Tensor,
  sample: tf.Tensor,
  sigma: number,
  sigmaData: number,
  predictionType: EDMEulerSchedulerConfig['predictionType'],
): tf.Tensor {
  const deviation = Math.hypot(sigma, sigmaData);
  const sign = predictionType === 'epsilon' ? 1 : -1;
  const skip = f32((sigmaData / deviation) ** 2);
  const out = f32((sign * sigma * sigmaData) / deviation);
  return tf.add(tf.mul(sample, skip), tf.mul(modelOutput, out));
}

/** The noise levels of so many steps, descending, without the terminal one. */
export function edmSigmas(
  { sigmaSchedule, sigmaMin, sigmaMax, rho }: EDMEulerSchedulerConfig,
  steps: number,
): number[] {
  if (sigmaSchedule === 'karras') return karrasSigmas(steps, sigmaMin, sigmaMax, rho);
  // Upwards, so that one step is at the lowest level, as in diffusers.
  return exponentialSigmas(steps, sigmaMax, sigmaMin).reverse();
}
