/**
 * Scaled dot-product attention, sliced so that the score matrices never take more than a budget.
 */
import * as tf from '@tensorflow/tfjs-core';
import { deviceName, inRuns } from './device.ts';
import { formulationOf } from './formulations.ts';
import { inSlices, sliceBytes } from './slices.ts';
import { attendInHalf } from './tensorflow/halfPrecision.ts';
import { kernels } from './tensorflow/kernels.ts';
import { MOST_GROUPS } from './webgpu/dispatch.ts';

type Attend = (q: tf.Tensor3D, k: tf.Tensor3D, v: tf.Tensor3D) => tf.Tensor3D;

/**
 * `softmax(q k^T) v` on stacks of matrices: q `[G, N, d]` (already scaled), k and v `[G, M, d]` ->
 * `[G, N, d]`.
 */
export const attend = {
  plain: ((q, k, v) => tf.matMul(tf.softmax(tf.matMul(q, k, false, true)), v)) as Attend,

  perMatrix: ((q, k, v) => {
    const [g, n, d] = q.shape;
    // Packing costs more than it saves on small matrices, such as attention over frames.
    if (n * k.shape[1] < 64 * 64) return attend.plain(q, k, v);
    const matrix = (t: tf.Tensor3D, i: number) =>
      tf.reshape(tf.slice(t, i, 1), [t.shape[1], t.shape[2]]) as tf.Tensor2D;
    return inRuns(g, 1, (i) => {
      const scores = tf.matMul(matrix(q, i), tf.transpose(matrix(k, i))); // [N, M]
      return tf.reshape(tf.matMul(tf.softmax(scores), matrix(v, i)), [1, n, d]) as tf.Tensor3D;
    });
  }) as Attend,

  /**
   * Half the operations of `plain`, each of which costs time on the processor while a graphics
   * card waits.
   */
  direct: ((q, k, v) =>
    kernels.usualBatchMatMul(tf.softmax(kernels.usualBatchMatMul(q, k, true)), v)) as Attend,

  half: attendInHalf as Attend,

  oneDNN: ((q, k, v) => {
    // oneDNN's set-up costs more than it saves on small matrices, such as attention over frames.
    if (q.shape[1] * k.shape[1] < 32 * 32) return attend.plain(q, k, v);
    return kernels.batchMatMul(kernels.softmax(kernels.batchMatMul(q, k, true)), v);
  }) as Attend,
};

/**
 * Runs `attend` over slices of matrices, and of query rows where even one matrix exceeds
 * `scoreBytes`: at 576x1024 and 25 frames, all scores together would take 79 GiB.
 */
export function attendInSlices(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  scoreBytes = sliceBytes(),
): tf.Tensor3D {
  const [g, n] = q.shape;
  const rowBytes = k.shape[1] * 4;
  // WebGPU multiplies each matrix by groups of its own.
  const most = deviceName() === 'webgpu' ? MOST_GROUPS : g;
  const stack = Math.max(1, Math.min(most, Math.floor(scoreBytes / (rowBytes * n))));
  const rows = Math.max(1, Math.min(n, Math.floor(scoreBytes / rowBytes)));
  const run = formulationOf<Attend>('attention', attend);
  if (stack >= g && rows === n) return run(q, k, v);
  return inRuns(g, stack, (i, count) => {
    const [ki, vi] = [tf.slice(k, i, count), tf.slice(v, i, count)];
    const attendRows = (first: number, length: number) =>
      run(tf.slice(q, [i, first, 0], [count, length, -1]), ki, vi);
    return inRuns(n, rows, attendRows, 1);
  });
}

/**
 * Functions that compute queries, keys and values one by one, so that each is freed as soon as its
 * axes are in another order.
 */
export type Projections = Record<'q' | 'k' | 'v', () => tf.Tensor>;

/** The factor on queries for keys of `headSize` channels. */
export const queryScale = (headSize: number) => 1 / Math.sqrt(headSize);

/**
 * Multi-head attention: q `[B, N, h*d]`, with `queryScale(d)` multiplied in, k and v `[B, M, h*d]`
 * -> `[B, N, h*d]`. Channel c belongs to head `floor(c / d)`.
 */
export function attention(
  projections: Projections,
  heads: number,
  scoreBytes?: number,
): tf.Tensor3D {
  // [B*h, N, d] between
  return attendExchanged(projections, ([b, n, c]) => [b, n, heads, c / heads], scoreBytes);
}

/**
 * `attend` on a few items of x `[B, N, C]` at a time, since each attends only to itself: queries,
 * keys and values of all together would take more memory than the result.
 * @param channels Those of queries, keys and values.
 */
export function selfAttention(
  x: tf.Tensor3D,
  channels: number,
  attend: (items: tf.Tensor) => tf.Tensor,
): tf.Tensor {
  return inSlices([x], 4 * 4 * x.shape[1] * channels, ([items]) => attend(items));
}

/**
 * Multi-head self-attention over the frames at each pixel: q, k and v `[B*F, N, h*d]`, as for
 * `attention` -> `[B*F, N, h*d]`.
 */
export function temporalAttention(
  projections: Projections,
  heads: number,
  numFrames: number,
  scoreBytes?: number,
): tf.Tensor3D {
  // Pixel and head are one axis, so that one transpose brings the frames together for every head:
  // [B*N*h, F, d] between.
  return attendExchanged(
    projections,
    ([bf, n, c]) => [bf / numFrames, numFrames, n * heads, c / heads],
    scoreBytes,
  );
}

/**
 * Attention that exchanges the two middle axes of `apart` in queries, keys and values, and back in
 * the result.
 */
function attendExchanged(
  { q, k, v }: Projections,
  apart: (shape: number[]) => number[],
  scoreBytes: number | undefined,
): tf.Tensor3D {
  const exchanged = (t: tf.Tensor, shape: number[]) =>
    tf.transpose(tf.reshape(t, shape), [0, 2, 1, 3]);
  const stacked = (project: () => tf.Tensor) =>
    tf.tidy(() => {
      const t = project();
      const [a, rows, columns, d] = apart(t.shape);
      return {
        shape: t.shape,
        stack: tf.reshape(exchanged(t, [a, rows, columns, d]), [
          a * columns,
          rows,
          d,
        ]) as tf.Tensor3D,
      };
    });
  return tf.tidy(() => {
    let shape: number[] = [];
    const attended = tf.tidy(() => {
      const queries = stacked(q);
      shape = queries.shape;
      return attendInSlices(queries.stack, stacked(k).stack, stacked(v).stack, scoreBytes);
    });
    const [a, rows, columns, d] = apart(shape);
    return tf.reshape<tf.Rank.R3>(
      exchanged(attended, [a, columns, rows, d]),
      shape as [number, number, number],
    );
  });
}
