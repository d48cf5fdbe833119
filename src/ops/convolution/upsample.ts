/** Nearest-neighbour upsampling by two followed by a 3x3 convolution. */
import * as tf from '@tensorflow/tfjs-core';
import { formulationOf } from '../formulations.ts';
import { widened } from '../halfWeights/halfWeights.ts';
import { inPictures } from '../slices.ts';
import { computeDtype, oneDnnServes } from '../tensorflow/computeIn.ts';
import { conv2d, padEvenly } from './convolution.ts';
import { upsampleTwice } from './resize.ts';

type UpsampleConv = (x: tf.Tensor4D, filter: tf.Tensor4D, bias: tf.Tensor1D) => tf.Tensor4D;

const convolveUpsampled: UpsampleConv = (x, filter, bias) =>
  conv2d(upsampleTwice(x), filter, bias, padEvenly(1));

export const upsampleConv2dFormulations = {
  plain: convolveUpsampled,

  half: ((x, filter, bias) =>
    oneDnnServes(computeDtype())
      ? upsampleConv2dFormulations.fourConvs(x, filter, bias)
      : convolveUpsampled(x, filter, bias)) as UpsampleConv,

  /**
   * Each of the four output pixels under an input pixel sees only 2x2 input pixels. Filter rows and
   * columns that fall on the same pixel are added up, so that four small convolutions do 4/9 of the
   * multiplications.
   */
  fourConvs: ((x, filter, bias) => {
    const [n, h, w] = x.shape;
    const outChannels = filter.shape[3];
    const taps = widened(filter) as tf.Tensor4D;
    const lines = [0, 1].map((a) => {
      const pixels = [0, 1].map((b) =>
        tf.tidy(() => {
          const small = halved(halved(taps, a, 0), b, 1);
          return conv2d(x, small, bias, [
            [1 - a, a],
            [1 - b, b],
          ]); // [N, H, W, O]
        }),
      );
      return tf.tidy(() => tf.reshape(tf.concat(pixels, 3), [n, h, 1, 2 * w * outChannels]));
    });
    return tf.reshape(tf.concat(lines, 2), [n, 2 * h, 2 * w, outChannels]);
  }) as UpsampleConv,
};

/**
 * A filter of three entries along `axis` as two: the first pixel of a pair sees entry 0 and the sum
 * of 1 and 2, the second 0 + 1 and 2.
 */
function halved(filter: tf.Tensor4D, second: number, axis: 0 | 1): tf.Tensor4D {
  return tf.tidy(() => {
    const [first, middle, last] = tf.split(filter, 3, axis);
    const pair = second ? [tf.add(first, middle), last] : [first, tf.add(middle, last)];
    return tf.concat(pair, axis) as tf.Tensor4D;
  });
}

/**
 * Repeats every pixel of x `[N, H, W, I]` twice in both directions and convolves by filter `[3, 3,
 * I, O]` -> `[N, 2H, 2W, O]`.
 */
export function upsampleConv2d(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: tf.Tensor1D,
): tf.Tensor4D {
  const upsampled = formulationOf('upsampleConv2d', upsampleConv2dFormulations);
  // The four results and the pairs of them take twice what they make together.
  const values = 3 * 4 * filter.shape[3];
  return tf.tidy(() =>
    inPictures([x], values, ([few]) => upsampled(few as tf.Tensor4D, filter, bias)),
  ) as tf.Tensor4D;
}
