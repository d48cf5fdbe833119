/** Reshaping. */
import * as tf from '@tensorflow/tfjs-core';

/**
 * x in `shape`, which may hold one -1: x itself if that is its shape, since a reshape costs tens of
 * microseconds on some backends.
 */
export function reshapeTo<T extends tf.Tensor>(x: tf.Tensor, shape: number[]): T {
  const known = tf.util.inferFromImplicitShape(shape, x.size);
  return (tf.util.arraysEqual(x.shape, known) ? x : tf.reshape(x, known)) as T;
}
