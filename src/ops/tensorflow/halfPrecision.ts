/**
 * Products and convolutions in half precision: inputs are rounded to it, the kernel runs in it, and
 * the result is float32 again.
 */
import * as tf from '@tensorflow/tfjs-core';
import { deviceName, shapeOnlyOutput } from '../device.ts';
import { type AttributeValue, cast, dtypes, execute, nodeBackend } from './binding.ts';
import { type ComputeDtype, computeDtype, computeIn, oneDnnServes } from './computeIn.ts';
import { halfTensor, numberOf } from './halfTensors.ts';
import { convolution, noPadding, oneDNN } from './kernels.ts';

/** Whether the current backend can compute in a type. Its kernels for half precision are tried. */
export function canComputeIn(dtype: ComputeDtype): boolean {
  if (dtype === 'float32') return true;
  if (tf.getBackend() !== 'tensorflow') return false;
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
        conv2dInHalf(filter, filter, undefined, noPadding, 1),
      ]);
    });
    return true;
  } catch {
    return false;
  }
}

/** A kernel: TensorFlow's usual one, and the attributes that oneDNN's takes besides. */
interface HalfKernel {
  usual: string;
  oneDNN: string;
  attributes: Record<string, AttributeValue>;
  besides?: Record<string, AttributeValue>;
}

/**
 * Runs a kernel of libtensorflow in the half precision that is set. Inputs that are held in it are
 * taken as they are.
 * @param shape The shape of the result.
 * @param holds Whether the result stays in half precision, for the next kernel.
 * @throws When the current backend is not tensorflow.
 */
function inHalf<T extends tf.Tensor>(
  kernel: HalfKernel,
  inputs: tf.Tensor[],
  shape: number[],
  holds = false,
): T {
  const current = computeDtype();
  const half = dtypes[current];
  const byName = oneDnnServes(current);
  const name = byName ? kernel.oneDNN : kernel.usual;
  const rounded = inputs.filter((input) => numberOf(input) !== half);
  const values = tf.util.sizeFromShape(shape) + rounded.reduce((sum, { size }) => sum + size, 0);
  const planned = shapeOnlyOutput(name, shape, inputs, 2 * values);
  if (planned) return planned as T;
  if (tf.getBackend() !== 'tensorflow') {
    throw new Error(
      `Computing in ${current} needs the tensorflow backend but the backend is ` +
        `${tf.getBackend()}, which has only float32.`,
    );
  }
  const attributes = {
    ...{ T: half, ...kernel.attributes },
    ...(byName && { ...oneDNN, ...kernel.besides }),
  };
  const operands = nodeBackend()
    .getInputTensorIds(inputs)
    .map((id, i) => castUnless(half, id, numberOf(inputs[i])));
  const run = () => {
    try {
      return execute(name, attributes, ...operands.map(({ id }) => id));
    } finally {
      for (const { free } of operands) free?.(); // before the result is widened
    }
  };
  if (holds) return halfTensor(run()) as T;
  using result = run();
  return nodeBackend().createOutputTensor(cast(result.id, half, dtypes.float32)) as T;
}

/** A handle of values in the type `dtype`: the given one if they are `held` in it. */
function castUnless(dtype: number, id: number, held: number) {
  if (held === dtype) return { id };
  const other = cast(id, held, dtype);
  return { id: other.id, free: () => other[Symbol.dispose]() };
}

/** The product of two matrices. */
export function matMulInHalf(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  const attributes = { transpose_a: false, transpose_b: false };
  const kernel = { usual: 'MatMul', oneDNN: '_MklMatMul', attributes };
  return inHalf(kernel, [a, b], [a.shape[0], b.shape[1]]);
}

/** Products of stacks of matrices, which stay in half precision if they are `held`. */
function batchMatMulInHalf(
  a: tf.Tensor3D,
  b: tf.Tensor3D,
  { transposeB = false, held = false } = {},
): tf.Tensor3D {
  const shape = [a.shape[0], a.shape[1], b.shape[transposeB ? 1 : 2]];
  const attributes = { adj_x: false, adj_y: transposeB };
  const kernel = { usual: 'BatchMatMulV2', oneDNN: '_MklBatchMatMulV2', attributes };
  return inHalf(kernel, [a, b], shape, held);
}

/**
 * `softmax(q k^T) v` on stacks of matrices. oneDNN's softmax computes in float32 and reads and
 * writes half precision, so that scores are rounded no more than by products alone.
 */
export function attendInHalf(q: tf.Tensor3D, k: tf.Tensor3D, v: tf.Tensor3D): tf.Tensor3D {
  const held = oneDnnServes(computeDtype());
  const scores = batchMatMulInHalf(q, k, { transposeB: true, held });
  const softmax = { usual: 'Softmax', oneDNN: '_MklSoftmax', attributes: {} };
  const weights = held
    ? inHalf<tf.Tensor3D>(softmax, [scores], scores.shape, held)
    : tf.softmax(scores);
  return batchMatMulInHalf(weights, v);
}

/**
 * Convolution of x `[N, H, W, I]` by filter `[kh, kw, I, O]`, with zeros added before and after
 * `[height, width]`, and a bias `[O]` if there is one.
 */
export function conv2dInHalf(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: tf.Tensor1D | undefined,
  padding: number[][],
  stride: number,
): tf.Tensor4D {
  const { attributes, shape } = convolution(x, filter, padding, stride);
  const kernel = { usual: 'Conv2D', attributes, besides: { is_filter_const: false } };
  if (bias && oneDnnServes(computeDtype()))
    return inHalf({ ...kernel, oneDNN: '_MklNativeConv2DWithBias' }, [x, filter, bias], shape);
  const y = inHalf<tf.Tensor4D>({ ...kernel, oneDNN: '_MklNativeConv2D' }, [x, filter], shape);
  return bias ? tf.add(y, bias) : y;
}
