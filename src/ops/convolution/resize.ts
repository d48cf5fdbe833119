/**
 * Nearest-neighbour upsampling, as `torch.nn.functional.interpolate(mode='nearest')` places the
 * pixels.
 */
import * as tf from '@tensorflow/tfjs-core';
import { formulationOf } from '../formulations.ts';

export const upsampleTwiceFormulations = {
  plain: (x: tf.Tensor4D): tf.Tensor4D => {
    const [n, h, w, c] = x.shape;
    const wide = tf.tile(tf.reshape(x, [n * h, w, 1, c]), [1, 1, 2, 1]); // [N*H, W, 2, C]
    const tall = tf.tile(tf.reshape(wide, [n, h, 1, 2 * w * c]), [1, 1, 2, 1]); // [N, H, 2, 2W*C]
    return tf.reshape(tall, [n, 2 * h, 2 * w, c]);
  },

  /** One pass over memory instead of two. */
  oneKernel: (x: tf.Tensor4D): tf.Tensor4D =>
    tf.image.resizeNearestNeighbor(x, [2 * x.shape[1], 2 * x.shape[2]]),
};

/** Repeats every pixel of x `[N, H, W, C]` twice in both directions -> `[N, 2H, 2W, C]`. */
export function upsampleTwice(x: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => formulationOf('upsampleTwice', upsampleTwiceFormulations)(x));
}

type Resize = (x: tf.Tensor4D, size: [number, number]) => tf.Tensor4D;

export const resizeNearestFormulations = {
  plain: ((x, size) => {
    const indices = (from: number, to: number) =>
      tf.tensor1d(
        Array.from({ length: to }, (_, i) =>
          Math.min(from - 1, Math.floor(Math.fround(i * Math.fround(from / to)))),
        ),
        'int32',
      );
    const rows = tf.gather(x, indices(x.shape[1], size[0]), 1);
    return tf.gather(rows, indices(x.shape[2], size[1]), 2);
  }) as Resize,

  /**
   * One pass over memory instead of two. libtensorflow's kernel finds the source index in the same
   * float32 arithmetic.
   */
  oneKernel: ((x, size) => tf.image.resizeNearestNeighbor(x, size)) as Resize,
};

/**
 * Resizes x `[N, H, W, C]` to `size` `[height, width]`: source index = floor(target index * in /
 * out).
 */
export function resizeNearest(x: tf.Tensor4D, size: [number, number]): tf.Tensor4D {
  return tf.tidy(() => formulationOf('resizeNearest', resizeNearestFormulations)(x, size));
}
