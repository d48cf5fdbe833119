/** The linear map on the last axis. */
import * as tf from '@tensorflow/tfjs-core';
import { formulationOf } from './formulations.ts';
import { reshapeTo } from './reshapeTo.ts';
import { fusedHalf } from './tensorflow/fusedHalf.ts';
import { matMulInHalf } from './tensorflow/halfPrecision.ts';
import { kernels } from './tensorflow/kernels.ts';
import { oneDnnWins } from './tensorflow/probes.ts';

type Linear = (x: tf.Tensor2D, weight: tf.Tensor2D, bias?: tf.Tensor1D) => tf.Tensor2D;

/** With fewer rows, it depends on the processor which of two kernels is faster. */
const FEW_ROWS = 280;

/** With fewer results, calling a graph costs more than adding the bias by itself. */
const FUSED = 2 ** 18;

export const linearFormulations = {
  plain: ((x, weight, bias) => tf.fused.matMul({ a: x, b: weight, bias })) as Linear,

  /**
   * Up to 1.2 times faster where the input is wide and has few rows. It does not add the third axis
   * that TensorFlow.js adds to every matrix.
   */
  oneDNN: ((x, weight, bias) => {
    if (x.shape[0] < FEW_ROWS && !oneDnnWins('productOfFewRows'))
      return linearFormulations.direct(x, weight, bias);
    const y = kernels.matMul(x, weight);
    return bias ? tf.add(y, bias) : y;
  }) as Linear,

  /**
   * Three operations fewer than `plain`, each of which costs time on the processor while a graphics
   * card waits.
   */
  direct: ((x, weight, bias) => {
    const y = kernels.usualMatMul(x, weight);
    return bias ? tf.add(y, bias) : y;
  }) as Linear,

  half: ((x, weight, bias) => {
    const fused = bias && x.shape[0] * weight.shape[1] >= FUSED ? fusedHalf() : undefined;
    if (fused) return fused.linear(x, { weight, bias: bias! });
    const y = matMulInHalf(x, weight);
    return bias ? tf.add(y, bias) : y;
  }) as Linear,
};

/**
 * `x W + b` on the last axis: x `[..., I]`, weight `[I, O]`, bias `[O]` -> `[..., O]`.
 *
 * Flattened to two axes first: batched matrix products cost up to 1.75 times more on tensorflow and
 * 8 times on wasm.
 */
export function linear<T extends tf.Tensor>(x: T, weight: tf.Tensor2D, bias?: tf.Tensor1D): T {
  return tf.tidy(() => {
    const a = reshapeTo<tf.Tensor2D>(x, [-1, weight.shape[0]]);
    const y = formulationOf('linear', linearFormulations)(a, weight, bias);
    return reshapeTo<T>(y, [...x.shape.slice(0, -1), weight.shape[1]]);
  });
}
