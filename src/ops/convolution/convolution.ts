/** Convolutions on channels-last tensors with PyTorch's padding. */
import * as tf from '@tensorflow/tfjs-core';
import { inRuns } from '../device.ts';
import { formulationOf } from '../formulations.ts';
import { conv2dInHalf } from '../tensorflow/halfPrecision.ts';
import { kernels } from '../tensorflow/kernels.ts';
import { oneDnnWins } from '../tensorflow/probes.ts';
import { MOST_GROUPS, ROWS } from '../webgpu/dispatch.ts';
import { winogradConv3x3 } from './winograd.ts';

/** Zeros added before and after `[height, width]`. */
export type Padding = [[number, number], [number, number]];

/** The same padding on all four sides, PyTorch's `padding=n`. */
export const padEvenly = (n: number): Padding => [
  [n, n],
  [n, n],
];

/** The number added to each output channel: `[O]`, or `[N, O]` if every image has its own. */
export type Bias = tf.Tensor1D | tf.Tensor2D;

/** One column on either side. */
const besides: Padding = [
  [0, 0],
  [1, 1],
];

type Conv2d = (
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: Bias | undefined,
  padding: Padding,
  stride: number,
) => tf.Tensor4D;

/** Convolution by TensorFlow.js' own kernels, which take one bias for all images. */
function fusedConv2d(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: Bias | undefined,
  strides: number,
  pad: 'same' | 'valid' | tf.backend_util.ExplicitPadding,
): tf.Tensor4D {
  if (bias?.rank !== 2) return tf.fused.conv2d({ x, filter, bias, strides, pad }) as tf.Tensor4D;
  return tf.add(tf.fused.conv2d({ x, filter, strides, pad }), perImage(bias));
}

/** `[N, O]` -> `[N, 1, 1, O]`; a bias of all images as it is. */
const perImage = (bias: Bias) =>
  bias.rank === 2 ? tf.reshape(bias, [bias.shape[0], 1, 1, -1]) : bias;

/**
 * Convolution of columns at a time, whose output has at most so many pixels in a picture: as many
 * as one dispatch of WebGPU computes.
 */
export function convolveColumns(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: Bias | undefined,
  padding: Padding,
  stride: number,
  mostPixels = MOST_GROUPS * ROWS,
): tf.Tensor4D {
  const { plain } = conv2dFormulations;
  const [rows, columns] = padding.map(([before, after], axis) => {
    const length = before + x.shape[axis + 1] + after;
    return Math.floor((length - filter.shape[axis]) / stride) + 1;
  });
  if (rows * columns <= mostPixels) return plain(x, filter, bias, padding, stride);
  const [sides, none]: Padding = [padding[1], [0, 0]];
  const wide = sides[0] + sides[1] > 0 ? tf.pad(x, [none, none, sides, none]) : x;
  const convolve = (first: number, count: number) => {
    const seen = (count - 1) * stride + filter.shape[1];
    const part = tf.slice(wide, [0, 0, first * stride, 0], [-1, -1, seen, -1]);
    return plain(part, filter, bias, [padding[0], none], stride);
  };
  return inRuns(columns, Math.max(1, Math.floor(mostPixels / rows)), convolve, 2);
}

export const conv2dFormulations = {
  // 'same' and 'valid' have gradients on every backend, explicit padding has not. At stride 2,
  // 'same' pads right and bottom only, where PyTorch's `padding=1` pads all sides.
  plain: ((x, filter, bias, padding, strides) => {
    const same =
      strides === 1 &&
      padding.every(
        ([before, after], axis) => before === after && 2 * before === filter.shape[axis] - 1,
      );
    if (same) return fusedConv2d(x, filter, bias, strides, 'same');
    const padded = tf.pad(x, [[0, 0], ...padding, [0, 0]]);
    return fusedConv2d(padded, filter, bias, strides, 'valid');
  }) as Conv2d,

  /** The kernel pads, so that no padded copy is written where 'same' is something else. */
  explicit: ((x, filter, bias, padding, strides) =>
    fusedConv2d(x, filter, bias, strides, [[0, 0], ...padding, [0, 0]])) as Conv2d,

  inColumns: convolveColumns as Conv2d,

  half: ((x, filter, bias, padding, stride) => {
    const ofAll = bias?.rank === 2 ? undefined : (bias as tf.Tensor1D | undefined);
    const y = conv2dInHalf(x, filter, ofAll, padding, stride);
    return bias?.rank === 2 ? tf.add(y, perImage(bias)) : y;
  }) as Conv2d,

  /**
   * Up to 1.6 times faster, and the kernel adds the bias. With few pixels, packing the filter at
   * each call costs more than it saves; with more channels, it does so up to more pixels.
   */
  oneDNN: ((x, filter, bias, padding, stride) => {
    const pixels = (x.shape[0] * x.shape[1] * x.shape[2]) / stride ** 2;
    const few = Math.max(filter.shape[2], filter.shape[3]) > 320 ? 2048 : 512;
    if (pixels < few || !oneDnnWins('convolution'))
      return conv2dFormulations.explicit(x, filter, bias, padding, stride);
    const y = kernels.conv2d(
      x,
      filter,
      bias?.rank === 1 ? (bias as tf.Tensor1D) : undefined,
      padding,
      stride,
    );
    return bias?.rank === 2 ? tf.add(y, perImage(bias)) : y;
  }) as Conv2d,

  /**
   * Half the multiplications for 3x3 kernels, where there are enough channels and rows to pay for
   * the transforms: level with `oneDNN` at 192 channels or 4 rows, 1.5 times faster than `plain` at
   * 1280 channels and 8 rows.
   */
  winograd: ((x, filter, bias, padding, stride) => {
    const [kh, kw, inChannels, outChannels] = filter.shape;
    const even = padding.flat().every((n) => n === 1);
    const suits =
      kh === 3 &&
      kw === 3 &&
      stride === 1 &&
      even &&
      Math.min(inChannels, outChannels) >= 192 &&
      x.shape[1] >= 8;
    if (!suits) return conv2dFormulations.oneDNN(x, filter, bias, padding, stride);
    return winogradConv3x3(x, filter, bias, (rows, kernel) =>
      conv2dFormulations.oneDNN(rows, kernel, undefined, besides, 1),
    );
  }) as Conv2d,
};

/**
 * 2-D convolution: x `[N, H, W, I]`, filter `[kh, kw, I, O]`, bias `[O]` or `[N, O]` -> `[N, H',
 * W', O]`.
 */
export function conv2d(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: Bias | undefined,
  padding: Padding,
  stride = 1,
): tf.Tensor4D {
  return tf.tidy(() =>
    formulationOf('conv2d', conv2dFormulations)(x, filter, bias, padding, stride),
  );
}

/**
 * Convolution only over time, PyTorch's Conv3d with a `(kt, 1, 1)` kernel and zero padding to the
 * same length: x `[B*F, H, W, I]`, filter `[kt, 1, I, O]`, bias `[O]` or `[B*F, O]` -> `[B*F, H, W,
 * O]`.
 *
 * Runs as conv2d over `[F, H*W]`: bit-identical to conv3d, and 60 times faster on wasm.
 */
export function temporalConv(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: Bias | undefined,
  numFrames: number,
): tf.Tensor4D {
  return tf.tidy(() => {
    const [n, h, w, c] = x.shape;
    // [B, F, N, I]
    const video = tf.reshape(x, [n / numFrames, numFrames, h * w, c]) as tf.Tensor4D;
    const pad = (filter.shape[0] - 1) / 2;
    const perVideo = bias?.rank === 2 ? undefined : (bias as tf.Tensor1D | undefined);
    const y = conv2d(video, filter, perVideo, [
      [pad, pad],
      [0, 0],
    ]); // [B, F, N, O]
    const frames = tf.reshape(y, [n, h, w, filter.shape[3]]) as tf.Tensor4D;
    return bias?.rank === 2 ? tf.add(frames, perImage(bias)) : frames;
  });
}
