/**
 * Products and convolutions in half precision: inputs are rounded to it, the kernel runs in it, and
 * the result is float32 again.
 */
import * as tf from '@tensorflow/tfjs-core';
import { type ComputeDtype, computeDtypes } from '../choices.ts';
import { deviceName, shapeOnlyOutput } from '../device.ts';
import { type AttributeValue, cast, dtypes, execute, nodeBackend } from './binding.ts';
import { convolution, noPadding } from './kernels.ts';

export { type ComputeDtype, computeDtypes };

let current: ComputeDtype = 'float32';

/** Runs `work` with products and convolutions in `dtype`. */
export function computeIn<T>(dtype: ComputeDtype, work: () => T): T {
  const before = current;
  current = dtype;
  try {
    return work();
  } finally {
    current = before;
  }
}

/** The type that products and convolutions compute in now. */
export const computeDtype = (): ComputeDtype => current;

/** The types that the current backend can compute in. */
export function possibleComputeDtypes(): ComputeDtype[] {
  if (tf.getBackend() !== 'tensorflow') return ['float32'];
  return computeDtypes.filter((dtype) => dtype === 'float32' || hasKernels(dtype));
}

/** Whether libtensorflow has the kernels for a type. */
function hasKernels(dtype: ComputeDtype): boolean {
  const { TF_Version } = nodeBackend().binding;
  // Version 2.9, which npm's tfjs-node-gpu brings, has those of bfloat16 only for processors, and
  // uses them without a word.
  if (dtype === 'bfloat16' && deviceName() === 'tensorflow-gpu' && TF_Version.startsWith('2.9.'))
    return false;
  try {
    tf.tidy(() => {
      const [matrix, filter] = [tf.ones<tf.Rank.R2>([1, 1]), tf.ones<tf.Rank.R4>([1, 1, 1, 1])];
      computeIn(dtype, () => [
        matMulInHalf(matrix, matrix),
        conv2dInHalf(filter, filter, noPadding, 1),
      ]);
    });
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs a kernel of libtensorflow on two inputs in the half precision that is set.
 * @param shape The shape of the result.
 * @throws When the current backend is not tensorflow.
 */
function inHalf<T extends tf.Tensor>(
  kernel: string,
  attributes: Record<string, AttributeValue>,
  inputs: [tf.Tensor, tf.Tensor],
  shape: number[],
): T {
  const values = tf.util.sizeFromShape(shape) + inputs.reduce((sum, { size }) => sum + size, 0);
  const planned = shapeOnlyOutput(kernel, shape, inputs, 2 * values);
  if (planned) return planned as T;
  if (tf.getBackend() !== 'tensorflow') {
    throw new Error(
      `Computing in ${current} needs the tensorflow backend but the backend is ` +
        `${tf.getBackend()}, which has only float32.`,
    );
  }
  const backend = nodeBackend();
  const half = dtypes[current];
  const [first, second] = backend.getInputTensorIds(inputs);
  using a = cast(first, dtypes.float32, half);
  using b = cast(second, dtypes.float32, half);
  using result = execute(kernel, { T: half, ...attributes }, a.id, b.id);
  return backend.createOutputTensor(cast(result.id, half, dtypes.float32)) as T;
}

/** The product of two matrices. */
export function matMulInHalf(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return inHalf(
    'MatMul',
    { transpose_a: false, transpose_b: false },
    [a, b],
    [a.shape[0], b.shape[1]],
  );
}

/** Products of stacks of matrices. */
export function batchMatMulInHalf(a: tf.Tensor3D, b: tf.Tensor3D, transposeB = false): tf.Tensor3D {
  const shape = [a.shape[0], a.shape[1], b.shape[transposeB ? 1 : 2]];
  return inHalf('BatchMatMulV2', { adj_x: false, adj_y: transposeB }, [a, b], shape);
}

/**
 * Convolution of x `[N, H, W, I]` by filter `[kh, kw, I, O]`, with zeros added before and after
 * `[height, width]`.
 */
export function conv2dInHalf(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  padding: number[][],
  stride: number,
): tf.Tensor4D {
  const { attributes, shape } = convolution(x, filter, padding, stride);
  return inHalf('Conv2D', { ...attributes, use_cudnn_on_gpu: true }, [x, filter], shape);
}
