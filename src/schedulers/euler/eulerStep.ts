/**
 * One Euler step as pure functions of tensors (Karras et al. 2022, algorithm 2;
 * `EulerDiscreteScheduler.step` of diffusers). Noise levels are float32 numbers, and each scalar
 * factor is rounded to float32 as torch does before it meets a tensor.
 */
import * as tf from '@tensorflow/tfjs-core';
import { type Kinds, kinds } from '../../text/options.ts';
import { type StepOptions, type StepOutput, stepNoise, stepOptionKinds } from '../scheduler.ts';
import type { EulerDiscreteSchedulerConfig } from './eulerDiscreteConfig.ts';

const f32 = Math.fround;

/** Options of `step`: Karras et al.'s churn, which adds fresh noise before the step. */
export interface EulerStepOptions extends StepOptions {
  /** Amount of churn over the whole run; 0 adds none. Default 0. */
  sChurn?: number;
  /** Lowest noise level that is churned. Default 0. */
  sTmin?: number;
  /** Highest noise level that is churned. Default: no limit. */
  sTmax?: number;
  /** Standard deviation of the added noise before scaling. Default 1. */
  sNoise?: number;
}

const { number, limit } = kinds;

/** The values of those options. */
export const eulerStepKinds: Kinds<EulerStepOptions> = {
  ...{ sChurn: number, sTmin: limit, sTmax: limit, sNoise: number },
  ...stepOptionKinds,
};

/**
 * A step from `sigma` to `sigmaNext`, by the straight line from the sample through the clean one.
 * @param steps Steps of the whole run.
 * @param denoise The clean sample that follows from the model's output and a sample, which churn
 * has brought from `sigma` to `sigmaHat`.
 */
export function churnedStep(
  sample: tf.Tensor,
  [sigma, sigmaNext]: [number, number],
  steps: number,
  options: EulerStepOptions,
  denoise: (noisy: tf.Tensor, sigmaHat: number) => tf.Tensor,
): StepOutput {
  const { sChurn = 0, sTmin = 0, sTmax = Number.POSITIVE_INFINITY, sNoise = 1 } = options;
  const churned = f32(sTmin) <= sigma && sigma <= f32(sTmax);
  const gamma = churned ? Math.min(sChurn / steps, Math.SQRT2 - 1) : 0;
  const sigmaHat = f32(sigma * f32(gamma + 1));
  const noisy =
    gamma > 0 ? churn(sample, stepNoise(sample, options), sigma, sigmaHat, sNoise) : sample;
  const predOriginalSample = denoise(noisy, sigmaHat);
  return {
    prevSample: eulerStep(noisy, predOriginalSample, sigmaHat, sigmaNext),
    predOriginalSample,
  };
}

/** `sqrt(sigma^2 + 1)` in float32. */
export function inputScale(sigma: number): number {
  return f32(Math.sqrt(f32(f32(sigma * sigma) + 1)));
}

/**
 * The sample at noise level `sigmaHat`, made from the sample at the lower level `sigma` by adding
 * noise.
 */
export function churn(
  sample: tf.Tensor,
  noise: tf.Tensor,
  sigma: number,
  sigmaHat: number,
  sNoise: number,
): tf.Tensor {
  const added = f32(Math.sqrt(f32(f32(sigmaHat * sigmaHat) - f32(sigma * sigma))));
  return tf.add(sample, tf.mul(tf.mul(noise, f32(sNoise)), added));
}

/**
 * The clean sample that follows from a model's output.
 * @throws When `predictionType` is unknown.
 */
export function predictOriginalSample(
  modelOutput: tf.Tensor,
  sample: tf.Tensor,
  sigma: number,
  sigmaHat: number,
  predictionType: EulerDiscreteSchedulerConfig['predictionType'],
): tf.Tensor {
  switch (predictionType) {
    case 'sample':
    case 'original_sample':
      return tf.clone(modelOutput);
    case 'epsilon':
      return tf.sub(sample, tf.mul(modelOutput, sigmaHat));
    case 'v_prediction': {
      // Both factors use `sigma`, also after churn, as diffusers does.
      const output = f32(-sigma / inputScale(sigma));
      return tf.add(tf.mul(modelOutput, output), tf.div(sample, f32(f32(sigma * sigma) + 1)));
    }
    default:
      throw new Error(
        `predictionType given as ${predictionType} must be one of \`epsilon\`, \`sample\`, or ` +
          '`v_prediction`.',
      );
  }
}

/**
 * Moves the sample along the line from `sigmaHat` to `sigmaNext`: `x + (x - x0) / sigmaHat *
 * (sigmaNext - sigmaHat)`.
 */
export function eulerStep(
  sample: tf.Tensor,
  originalSample: tf.Tensor,
  sigmaHat: number,
  sigmaNext: number,
): tf.Tensor {
  const derivative = tf.div(tf.sub(sample, originalSample), sigmaHat);
  return tf.add(sample, tf.mul(derivative, f32(sigmaNext - sigmaHat)));
}
