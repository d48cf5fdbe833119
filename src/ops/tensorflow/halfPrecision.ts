/**
 * Products and convolutions in half precision: inputs are rounded to it, the kernel runs in it, and
 * the result is float32 again.
 */
import * as tf from '@tensorflow/tfjs';
import { type ComputeDtype, computeDtypes } from '../choices.ts';
import { deviceName, shapeOnlyOutput } from './kernels.ts';
import { execute, type NativeTensor } from './nativeTensors.ts';

export { type ComputeDtype, computeDtypes };

/** TensorFlow's numbers of the types of half precision. */
const codes = { float16: 19, bfloat16: 14 };

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

/** What products and convolutions compute in now. */
export const computeDtype = (): ComputeDtype => current;

/** What the current backend can compute in. */
export function possibleComputeDtypes(): ComputeDtype[] {
  if (tf.getBackend() !== 'tensorflow') return ['float32'];
  return computeDtypes.filter((dtype) => dtype === 'float32' || hasKernels(dtype));
}

/** Whether libtensorflow has the kernels for a type. */
function hasKernels(dtype: ComputeDtype): boolean {
  const { TF_Version } = (tf.backend() as unknown as { binding: { TF_Version: string } }).binding;
  // Version 2.9, which npm's tfjs-node-gpu brings, has those of bfloat16 for processors alone, and
  // would use them without a word.
  if (dtype === 'bfloat16' && deviceName() === 'tensorflow-gpu' && TF_Version.startsWith('2.9.'))
    return false;
  const noPadding: [number, number][] = [
    [0, 0],
    [0, 0],
  ];
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

/** The part of tfjs-node's backend that is used here. */
interface NodeBackend {
  binding: { TF_FLOAT: number; deleteTensor(id: number): void };
  getInputTensorIds(tensors: tf.Tensor[]): number[];
  createOutputTensor(tensor: NativeTensor): tf.Tensor;
}

/**
 * Runs a kernel of libtensorflow on `inputs` in the half precision that is set.
 * @param shape That of the result.
 */
function inHalf<T extends tf.Tensor>(
  kernel: string,
  attributes: Parameters<typeof execute>[1],
  inputs: tf.Tensor[],
  shape: number[],
): T {
  const values = tf.util.sizeFromShape(shape) + inputs.reduce((sum, { size }) => sum + size, 0);
  const planned = shapeOnlyOutput(kernel, shape, inputs, 2 * values);
  if (planned) return planned as T;
  if (tf.getBackend() !== 'tensorflow') {
    throw new Error(
      `Computing in ${current} needs the tensorflow backend but the backend is ${tf.getBackend()}, which has float32 alone.`,
    );
  }
  const backend = tf.backend() as unknown as NodeBackend;
  const { TF_FLOAT: float } = backend.binding;
  const half = codes[current as keyof typeof codes];
  const cast = (id: number, from: number, to: number) =>
    execute('Cast', { SrcT: from, DstT: to, Truncate: false }, id);
  const temporary: number[] = [];
  try {
    for (const id of backend.getInputTensorIds(inputs)) temporary.push(cast(id, float, half).id);
    const result = execute(kernel, { T: half, ...attributes }, ...temporary);
    temporary.push(result.id);
    return backend.createOutputTensor(cast(result.id, half, float)) as T;
  } finally {
    for (const id of temporary) backend.binding.deleteTensor(id);
  }
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
  padding: [number, number][],
  stride: number,
): tf.Tensor4D {
  const size = (axis: 0 | 1) =>
    Math.floor(
      (x.shape[axis + 1] + padding[axis][0] + padding[axis][1] - filter.shape[axis]) / stride,
    ) + 1;
  const attributes = {
    ...{
      strides: [1, stride, stride, 1],
      dilations: [1, 1, 1, 1],
      data_format: 'NHWC',
      use_cudnn_on_gpu: true,
    },
    ...{ padding: 'EXPLICIT', explicit_paddings: [0, 0, ...padding.flat(), 0, 0] },
  };
  return inHalf('Conv2D', attributes, [x, filter], [x.shape[0], size(0), size(1), filter.shape[3]]);
}
