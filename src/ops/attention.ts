/** Scaled dot-product attention, sliced so that the score matrices never take more than a budget. */
import * as tf from '@tensorflow/tfjs';
import { formulationOf } from './formulations.ts';
import { batchMatMulInHalf } from './halfPrecision.ts';
import { alike, kernels } from './kernels.ts';

/** Bytes that one slice of attention scores may take, unless said otherwise. At 576x1024 and 25 frames all scores together would take 79 GiB. */
export const SCORE_BYTES = 256 * 2 ** 20;

type Attend = (q: tf.Tensor3D, k: tf.Tensor3D, v: tf.Tensor3D) => tf.Tensor3D;

/** `softmax(q k^T) v` on stacks of matrices: q `[G, N, d]` (already scaled), k and v `[G, M, d]` -> `[G, N, d]`. */
export const attend = {
  plain: ((q, k, v) => tf.matMul(tf.softmax(tf.matMul(q, k, false, true)), v)) as Attend,

  perMatrix: ((q, k, v) => {
    const [g, n, d] = q.shape;
    // Packing costs more than it saves on small matrices, such as attention over frames.
    if (n * k.shape[1] < 64 * 64) return attend.plain(q, k, v);
    const matrix = (t: tf.Tensor3D, i: number) => tf.reshape(tf.slice(t, i, 1), [t.shape[1], t.shape[2]]) as tf.Tensor2D;
    const head = alike(
      (i) =>
        tf.tidy(() => {
          const scores = tf.matMul(matrix(q, i), tf.transpose(matrix(k, i))); // [N, M]
          return tf.reshape(tf.matMul(tf.softmax(scores), matrix(v, i)), [1, n, d]);
        }),
      () => [1, n, d],
    );
    return tf.concat(
      Array.from({ length: g }, (_, i) => head(i)),
      0,
    ) as tf.Tensor3D;
  }) as Attend,

  /** Half the operations of `plain`, all of which cost time on the processor while a graphics card waits. */
  direct: ((q, k, v) => kernels.usualBatchMatMul(tf.softmax(kernels.usualBatchMatMul(q, k, true)), v)) as Attend,

  half: ((q, k, v) => batchMatMulInHalf(tf.softmax(batchMatMulInHalf(q, k, true)), v)) as Attend,

  oneDNN: ((q, k, v) => {
    // oneDNN's set-up costs more than it saves on small matrices, such as attention over frames.
    if (q.shape[1] * k.shape[1] < 32 * 32) return attend.plain(q, k, v);
    return kernels.batchMatMul(kernels.softmax(kernels.batchMatMul(q, k, true)), v);
  }) as Attend,
};

/** Runs `attend` over slices of matrices, and of query rows where one matrix alone exceeds the budget of `scoreBytes`. */
export function attendInSlices(q: tf.Tensor3D, k: tf.Tensor3D, v: tf.Tensor3D, scoreBytes = SCORE_BYTES): tf.Tensor3D {
  const [g, n] = q.shape;
  const rowBytes = k.shape[1] * 4;
  const stack = Math.max(1, Math.floor(scoreBytes / (rowBytes * n)));
  const rows = Math.max(1, Math.min(n, Math.floor(scoreBytes / rowBytes)));
  const run = formulationOf<Attend>('attention', attend);
  if (stack >= g && rows === n) return run(q, k, v);
  return tf.tidy(() => {
    const sizeAt = (i: number) => Math.min(stack, g - i);
    const attendFrom = alike(
      (i) =>
        tf.tidy(() => {
          const size = sizeAt(i);
          const [ki, vi] = [tf.slice(k, i, size), tf.slice(v, i, size)];
          const parts: tf.Tensor3D[] = [];
          for (let r = 0; r < n; r += rows) {
            parts.push(tf.tidy(() => run(tf.slice(q, [i, r, 0], [size, Math.min(rows, n - r), -1]), ki, vi)));
          }
          return tf.concat(parts, 1);
        }),
      (i) => [sizeAt(i), n, v.shape[2]],
    );
    const stacks: tf.Tensor3D[] = [];
    for (let i = 0; i < g; i += stack) stacks.push(attendFrom(i));
    return tf.concat(stacks, 0);
  });
}

const scaleFor = (headSize: number) => 1 / Math.sqrt(headSize);

/** Multi-head attention: q `[B, N, h*d]`, k and v `[B, M, h*d]` -> `[B, N, h*d]`. Channel c belongs to head `floor(c / d)`. */
export function attention(q: tf.Tensor3D, k: tf.Tensor3D, v: tf.Tensor3D, heads: number, scoreBytes?: number): tf.Tensor3D {
  return tf.tidy(() => {
    const [b, n, c] = q.shape;
    const d = c / heads;
    const split = (t: tf.Tensor): tf.Tensor3D =>
      tf.tidy(() => tf.reshape(tf.transpose(tf.reshape(t, [b, -1, heads, d]), [0, 2, 1, 3]), [b * heads, -1, d])); // [B*h, N, d]
    const out = attendInSlices(split(tf.mul(q, scaleFor(d))), split(k), split(v), scoreBytes);
    return tf.reshape(tf.transpose(tf.reshape(out, [b, heads, n, d]), [0, 2, 1, 3]), [b, n, c]);
  });
}

/** Multi-head self-attention over the frames at each pixel: q, k and v `[B*F, N, h*d]` -> `[B*F, N, h*d]`. */
export function temporalAttention(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  heads: number,
  numFrames: number,
  scoreBytes?: number,
): tf.Tensor3D {
  return tf.tidy(() => {
    const [bf, n, c] = q.shape;
    const d = c / heads;
    const b = bf / numFrames;
    // Pixel and head are one axis, so that one transpose brings the frames together for every head.
    const gather = (t: tf.Tensor): tf.Tensor3D =>
      tf.tidy(() => tf.reshape(tf.transpose(tf.reshape(t, [b, numFrames, n * heads, d]), [0, 2, 1, 3]), [-1, numFrames, d])); // [B*N*h, F, d]
    const out = attendInSlices(gather(tf.mul(q, scaleFor(d))), gather(k), gather(v), scoreBytes);
    return tf.reshape(tf.transpose(tf.reshape(out, [b, n * heads, numFrames, d]), [0, 2, 1, 3]), [bf, n, c]);
  });
}
