/** Group and layer normalisation with biased variance, as PyTorch computes them. */
import * as tf from '@tensorflow/tfjs-core';
import { formulationOf } from './formulations.ts';
import { reshapeTo } from './reshapeTo.ts';
import { kernels } from './tensorflow/kernels.ts';

/** Mean over the middle axis of `[N, M, C]` -> `[N, C]`. */
export const channelMean = {
  plain: (x: tf.Tensor3D): tf.Tensor2D => tf.mean(x, 1),

  /** One operation instead of two. */
  direct: (x: tf.Tensor3D): tf.Tensor2D => kernels.mean(x, 1) as tf.Tensor2D,

  /**
   * Averages runs of at most 256 rows, then the averages, which also keeps float32 sums short,
   * hence exact.
   */
  pooled: (x: tf.Tensor3D): tf.Tensor2D => {
    const [n, m, c] = x.shape;
    const run = largestDivisor(m, 256);
    if (run === 1) return tf.mean(x, 1);
    const rows = tf.avgPool(
      tf.reshape(x, [n, m / run, run, c]) as tf.Tensor4D,
      [1, run],
      [1, run],
      'valid',
    ); // [N, M/run, 1, C]
    return m === run
      ? tf.reshape(rows, [n, c])
      : channelMean.pooled(tf.reshape(rows, [n, m / run, c]));
  },

  /**
   * A product with a row of ones, which the matrix kernels sum in blocks: oneDNN's is faster and
   * more exact with many rows, Eigen's with few.
   */
  product: (x: tf.Tensor3D): tf.Tensor2D => {
    const [n, m, c] = x.shape;
    const ones = tf.fill([1, 1, m], 1 / m);
    return tf.reshape(m < 4096 ? tf.matMul(ones, x) : kernels.batchMatMul(ones, x), [n, c]);
  },
};

/** Mean of the squares over the middle axis of `[N, M, C]` -> `[N, C]`. */
export const channelMeanSquare = {
  plain: (x: tf.Tensor3D): tf.Tensor2D => formulationOf('channelMean', channelMean)(tf.square(x)),

  /** One kernel that reads x once and writes no squares. */
  euclidean: (x: tf.Tensor3D): tf.Tensor2D => meanSquare(x, 1) as tf.Tensor2D,

  /**
   * As `euclidean`, of runs of at most 1024 rows: on processors twice as fast as squares, and as
   * exact, since no sum is long.
   */
  inRuns: (x: tf.Tensor3D): tf.Tensor2D => {
    const [n, m, c] = x.shape;
    const run = largestDivisor(m, 1024);
    if (run < Math.min(m, 32)) return channelMeanSquare.plain(x);
    const ofRuns = meanSquare(tf.reshape(x, [(n * m) / run, run, c]), 1); // [N * M/run, C]
    return run === m
      ? (ofRuns as tf.Tensor2D)
      : formulationOf('channelMean', channelMean)(tf.reshape(ofRuns, [n, m / run, c]));
  },
};

/** Mean of the squares over one axis, which goes, in one pass over memory. */
const meanSquare = (x: tf.Tensor, axis: number) =>
  tf.mul(tf.square(kernels.euclideanNorm(x, axis)), 1 / x.shape[axis]);

function largestDivisor(n: number, limit: number): number {
  for (let d = Math.min(n, limit); d > 1; d--) if (n % d === 0) return d;
  return 1;
}

type GroupNorm = (
  x: tf.Tensor3D,
  gain: tf.Tensor1D,
  bias: tf.Tensor1D,
  groups: number,
  eps: number,
) => tf.Tensor3D;

/** Group normalisation of `[N, M, C]`. */
export const groupNormFormulations = {
  plain: ((x, gain, bias, groups, eps) => {
    const scaled = tf.tidy(() => {
      const centred = tf.sub(x, groupMean(x, groups)) as tf.Tensor3D;
      return tf.mul(centred, tf.mul(tf.rsqrt(tf.add(groupMeanSquare(centred, groups), eps)), gain));
    });
    return tf.add(scaled, bias);
  }) as GroupNorm,

  /**
   * One pass over memory for the last three, and none of them in memory. The kernel has one mean
   * and variance for all items.
   */
  oneItem: ((x, gain, bias, groups, eps) => {
    const [n, m, c] = x.shape;
    if (n > 1) return groupNormFormulations.plain(x, gain, bias, groups, eps);
    const mean = groupMean(x, groups);
    const variance = tf.tidy(() => groupMeanSquare(tf.sub(x, mean), groups));
    const perChannel = (t: tf.Tensor) => tf.reshape(t, [c]) as tf.Tensor1D;
    const y = tf.batchNorm(
      tf.reshape(x, [1, 1, m, c]) as tf.Tensor4D,
      perChannel(mean),
      perChannel(variance),
      bias,
      gain,
      eps,
    );
    return tf.reshape(y, [1, m, c]) as tf.Tensor3D;
  }) as GroupNorm,
};

/** Mean of `[N, M, C]` over M and the channels of each group, for each channel: `[N, 1, C]`. */
const groupMean = (x: tf.Tensor3D, groups: number) =>
  tf.tidy(() => overGroups(formulationOf('channelMean', channelMean)(x), groups));

/** Mean of the squares. */
const groupMeanSquare = (x: tf.Tensor3D, groups: number) =>
  tf.tidy(() => overGroups(formulationOf('channelMeanSquare', channelMeanSquare)(x), groups));

/** `[N, C]` -> the mean over the channels of each group, for each of them: `[N, 1, C]`. */
function overGroups(ofChannels: tf.Tensor2D, groups: number): tf.Tensor3D {
  const [n, c] = ofChannels.shape;
  const perGroup = tf.mean(tf.reshape(ofChannels, [n, groups, c / groups]), 2, true); // [N, G, 1]
  return tf.reshape(tf.tile(perGroup, [1, 1, c / groups]), [n, 1, c]);
}

/**
 * Group normalisation of x `[N, ..., C]`: statistics over everything but N, per group of channels;
 * gain and bias `[C]` per channel.
 *
 * In two passes: E[x^2] - E[x]^2 loses all digits where the mean is large against the deviation. To
 * normalise over all frames of a video jointly, pass x with the frames in the second axis.
 */
export function groupNorm<T extends tf.Tensor>(
  x: T,
  gain: tf.Tensor1D,
  bias: tf.Tensor1D,
  groups: number,
  eps: number,
): T {
  return tf.tidy(() => {
    const flat = reshapeTo<tf.Tensor3D>(x, [x.shape[0], -1, x.shape[x.rank - 1]]); // [N, M, C]
    return reshapeTo<T>(
      formulationOf('groupNorm', groupNormFormulations)(flat, gain, bias, groups, eps),
      x.shape,
    );
  });
}

type LayerNorm = (x: tf.Tensor, gain: tf.Tensor1D, bias: tf.Tensor1D, eps: number) => tf.Tensor;

export const layerNormFormulations = {
  plain: ((x, gain, bias, eps) => {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const variance = tf.mean(tf.square(centred), -1, true);
    return tf.add(tf.mul(centred, tf.mul(tf.rsqrt(tf.add(variance, eps)), gain)), bias);
  }) as LayerNorm,

  /** Writes neither squares nor a product of deviations and gains. */
  euclidean: ((x, gain, bias, eps) => {
    const centred = tf.sub(x, tf.expandDims(kernels.mean(x, x.rank - 1), -1));
    const scale = tf.tidy(() =>
      tf.rsqrt(tf.add(tf.expandDims(meanSquare(centred, x.rank - 1), -1), eps)),
    );
    return tf.add(tf.mul(tf.mul(centred, scale), gain), bias);
  }) as LayerNorm,

  /** One pass over memory: 6 times faster at [14336, 320]. */
  oneDNN: ((x, gain, bias, eps) => {
    // Its set-up costs more than it saves on small inputs: 0.08 ms, twice as much as `euclidean` at
    // [384, 64].
    if (x.size < 32768) return layerNormFormulations.euclidean(x, gain, bias, eps);
    return reshapeTo(
      kernels.layerNorm(reshapeTo(x, [-1, gain.shape[0]]), gain, bias, eps),
      x.shape,
    );
  }) as LayerNorm,
};

/** Layer normalisation over the last axis of x `[..., C]`; gain and bias `[C]`. */
export function layerNorm<T extends tf.Tensor>(
  x: T,
  gain: tf.Tensor1D,
  bias: tf.Tensor1D,
  eps: number,
): T {
  return tf.tidy(() => formulationOf('layerNorm', layerNormFormulations)(x, gain, bias, eps) as T);
}
