/** Functions of one tensor in a row. */
import * as tf from '@tensorflow/tfjs-core';

/**
 * Applies `layers` one after the other, beginning with x. Each result is freed once the next one
 * exists; x stays the caller's. Gradients flow through.
 */
export function sequential(x: tf.Tensor, ...layers: ((h: tf.Tensor) => tf.Tensor)[]): tf.Tensor {
  const last = layers.at(-1);
  return last ? tf.tidy(() => last(sequential(x, ...layers.slice(0, -1)))) : x;
}
