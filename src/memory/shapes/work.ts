/** The work of kernels, by which the time of a computation is divided among its blocks. */
import * as tf from '@tensorflow/tfjs-core';

/**
 * The multiply-adds that take about as long as one value of any other kernel, which waits for
 * memory. An estimate.
 */
const PER_VALUE = 30;

/** About how many multiply-adds a kernel takes, by its inputs and its output. */
export function workOf(kernel: string, inputs: { shape: number[] }[], output: number[]): number {
  const size = tf.util.sizeFromShape;
  const [a, b] = inputs;
  // [..., M, K] x [..., K, N] -> [..., M, N]
  const batch = () => size(b.shape.slice(0, -2));
  if (/MatMul/.test(kernel))
    return Math.sqrt((size(a.shape) * size(b.shape) * size(output)) / batch());
  // [M, K] through three maps of the size of the first, [K, N]
  if (/FeedForward/.test(kernel)) return (3 * size(a.shape) * size(b.shape)) / a.shape.at(-1)!;
  // a filter [H, W, in, out]
  if (/Conv2D/.test(kernel)) return (size(b.shape) / b.shape.at(-1)!) * size(output);
  return PER_VALUE * size(output);
}
