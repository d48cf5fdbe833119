/**
 * One Euler step as pure functions of tensors (Karras et al. 2022, algorithm 2;
 * `EulerDiscreteScheduler.step` of diffusers). Noise levels are float32 numbers, and each scalar
 * factor is rounded to float32 as torch does before it meets a tensor.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { EulerDiscreteSchedulerConfig } from './eulerDiscreteConfig.ts';

const f32 = Math.fround;

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
