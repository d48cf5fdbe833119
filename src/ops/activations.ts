/** The activation functions of the SVD networks, as exact as PyTorch's. */
import * as tf from '@tensorflow/tfjs';
import { formulationOf } from './formulations.ts';
import { kernels } from './tensorflow/kernels.ts';

type Pointwise = (x: tf.Tensor) => tf.Tensor;

export const siluFormulations = {
  plain: ((x) => tf.mul(x, tf.sigmoid(x))) as Pointwise,
  /** One pass over memory instead of two. */
  softplusGrad: ((x) => kernels.softplusGrad(x, x)) as Pointwise,
};

/** `x * sigmoid(x)`. */
export function silu<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => formulationOf('silu', siluFormulations)(x) as T);
}

/** `x * (1 + erf(x / sqrt(2))) / 2`: GELU in its exact form, not the tanh approximation. */
export function gelu<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)) as T);
}

/** `x * sigmoid(1.702 x)`, which OpenAI's CLIP uses for GELU. */
export function quickGelu<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.mul(x, tf.sigmoid(tf.mul(x, 1.702))) as T);
}

/** The activations that configurations name. */
export const activations = { silu, gelu, quick_gelu: quickGelu };

export type ActivationName = keyof typeof activations;
