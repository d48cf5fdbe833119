/** The kernels that this libtensorflow has, and the quicker of two on this processor. */
import * as tf from '@tensorflow/tfjs-core';
import { shapeBackend } from '../device.ts';
import { kernels, noPadding } from './kernels.ts';
import { chosen, isQuicker } from './trials.ts';

/** The name of a kernel. */
export type KernelName = keyof typeof kernels;

const ones = <T extends tf.Tensor>(...shape: number[]) => tf.ones(shape) as unknown as T;

const probes: Record<KernelName, () => tf.Tensor> = {
  softplusGrad: () => kernels.softplusGrad(tf.ones([2]), tf.ones([2])),
  erfc: () => kernels.erfc(tf.ones([2])),
  euclideanNorm: () => kernels.euclideanNorm(tf.ones([2, 2]), 0),
  mean: () => kernels.mean(tf.ones([2, 2]), 0),
  usualMatMul: () => kernels.usualMatMul(tf.ones([2, 2]), tf.ones([2, 2])),
  usualBatchMatMul: () => kernels.usualBatchMatMul(tf.ones([1, 2, 2]), tf.ones([1, 2, 2])),
  softmax: () => kernels.softmax(tf.ones([1, 2])),
  matMul: () => kernels.matMul(tf.ones([2, 2]), tf.ones([2, 2])),
  batchMatMul: () => kernels.batchMatMul(tf.ones([1, 2, 2]), tf.ones([1, 2, 2])),
  conv2d: () => {
    const [x, filter] = [ones<tf.Tensor4D>(1, 2, 2, 1), ones<tf.Tensor4D>(1, 1, 1, 1)];
    const bias = ones<tf.Tensor1D>(1);
    const once = kernels.conv2d(x, filter, undefined, noPadding);
    return kernels.conv2d(once, filter, bias, noPadding);
  },
  layerNorm: () => kernels.layerNorm(tf.ones([2, 2]), tf.ones([2]), tf.zeros([2]), 1e-5),
};

const found = new Map<KernelName, boolean>();

/** Whether libtensorflow has the kernel: internal names come and go between its versions. */
export function hasKernel(name: KernelName): boolean {
  const known = found.get(name);
  if (known !== undefined || shapeBackend()) return known ?? true;
  try {
    tf.dispose(tf.tidy(probes[name]));
    found.set(name, true);
  } catch {
    found.set(name, false);
  }
  return found.get(name)!;
}

/** A kernel of oneDNN and the usual one, on a case where oneDNN is slow on some processors. */
interface Trial {
  /** oneDNN wins below this multiple of the usual kernel's time. */
  limit: number;
  oneDnn: () => tf.Tensor;
  usual: () => tf.Tensor;
}

const trials = {
  /**
   * With AVX-512, oneDNN convolves up to 1.6 times faster than the usual kernel. Without, it is as
   * fast for several pictures and up to five times slower for one; in this trial three times. The
   * limit lies between these, so that every run makes the same choice.
   */
  convolution: (): Trial => {
    const [x, filter] = [ones<tf.Tensor4D>(1, 64, 64, 128), ones<tf.Tensor4D>(3, 3, 128, 128)];
    const padding = [
      [1, 1],
      [1, 1],
    ];
    return {
      limit: 1.7,
      oneDnn: () => kernels.conv2d(x, filter, undefined, padding),
      usual: () => tf.conv2d(x, filter, 1, 'same'),
    };
  },

  /**
   * Without AVX-512, oneDNN's product of fewer than 280 rows takes 1.05 to 1.6 times as long as the
   * usual one; in this trial 1.5 times.
   */
  productOfFewRows: (): Trial => {
    const [a, b] = [ones<tf.Tensor2D>(256, 320), ones<tf.Tensor2D>(320, 5120)];
    return {
      limit: 1.25,
      oneDnn: () => kernels.matMul(a, b),
      usual: () => kernels.usualMatMul(a, b),
    };
  },
};

/** Whether to use oneDNN's kernel on this processor, which one trial decides. */
export function oneDnnWins(name: keyof typeof trials): boolean {
  if (shapeBackend()) return true; // so that plans do not depend on what has run before
  return chosen(name, () =>
    tf.tidy(() => {
      const { limit, oneDnn, usual } = trials[name]();
      return isQuicker(
        () => oneDnn().dispose(),
        () => usual().dispose(),
        limit,
      );
    }),
  );
}
