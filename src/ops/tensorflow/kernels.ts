/** Kernels of libtensorflow that TensorFlow.js has no function for, called by name. */
import * as tf from '@tensorflow/tfjs-core';
import { shapeOnlyOutput } from '../device.ts';
import { type AttributeValue, dtypes, execute, nodeBackend } from './binding.ts';

/** Runs a kernel that returns one tensor of `shape`, by default the shape of its first input. */
function run(
  kernel: string,
  attributes: Record<string, AttributeValue>,
  inputs: tf.Tensor[],
  shape: number[] = inputs[0].shape,
): tf.Tensor {
  const planned = shapeOnlyOutput(kernel, shape, inputs);
  if (planned) return planned;
  const backend = nodeBackend();
  const ids = backend.getInputTensorIds(inputs);
  return backend.createOutputTensor(execute(kernel, { T: dtypes.float32, ...attributes }, ...ids));
}

/** Runs a kernel that reduces one axis: `[..., M, ...]` -> `[..., ...]`. */
const reduce = (kernel: string, x: tf.Tensor, axis: number) =>
  run(
    kernel,
    {},
    [x, tf.scalar(axis, 'int32')],
    x.shape.filter((_, i) => i !== axis),
  );

/**
 * The attributes and the output's shape of a convolution of x `[N, H, W, I]` by filter
 * `[kh, kw, I, O]`, with zeros added before and after `[height, width]`.
 */
export function convolution(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  [rows, columns]: number[][],
  stride: number,
) {
  const [n, height, width] = x.shape;
  const [kh, kw, , outChannels] = filter.shape;
  const length = (size: number, [before, after]: number[], kernel: number) =>
    Math.floor((size + before + after - kernel) / stride) + 1;
  return {
    attributes: {
      strides: [1, stride, stride, 1],
      dilations: [1, 1, 1, 1],
      padding: 'EXPLICIT',
      explicit_paddings: [0, 0, ...rows, ...columns, 0, 0],
      data_format: 'NHWC',
    },
    shape: [n, length(height, rows, kh), length(width, columns, kw), outChannels],
  };
}

/** The padding of a convolution without zeros around. */
export const noPadding = [
  [0, 0],
  [0, 0],
];

/**
 * The label under which oneDNN's kernels are registered. They run in eager mode whatever
 * TF_ENABLE_ONEDNN_OPTS says.
 */
export const oneDNN = { _kernel: 'MklNameChangeOp' };

/** A kernel that multiplies two matrices. */
const matrixProduct =
  (kernel: string, label = {}) =>
  (a: tf.Tensor2D, b: tf.Tensor2D) =>
    run(
      kernel,
      { ...label, transpose_a: false, transpose_b: false },
      [a, b],
      [a.shape[0], b.shape[1]],
    ) as tf.Tensor2D;

/** The kernels. Their inputs and outputs are float32. */
export const kernels = {
  /** `gradients / (1 + exp(-features))`; of x and x, SiLU in one pass. */
  softplusGrad: (gradients: tf.Tensor, features: tf.Tensor) =>
    run('SoftplusGrad', {}, [gradients, features]),

  /** `1 - erf(x)`. */
  erfc: (x: tf.Tensor) => run('Erfc', {}, [x]),

  /** The root of the sum of squares over one axis: `[..., M, ...]` -> `[..., ...]`. */
  euclideanNorm: (x: tf.Tensor, axis: number) => reduce('EuclideanNorm', x, axis),

  /**
   * Mean over one axis: `[..., M, ...]` -> `[..., ...]`. TensorFlow.js puts a cast in front.
   */
  mean: (x: tf.Tensor, axis: number) => reduce('Mean', x, axis),

  /**
   * The product of two matrices by the device's usual kernel. TensorFlow.js gives every matrix a
   * third axis first.
   */
  usualMatMul: matrixProduct('MatMul'),

  /**
   * Products of stacks of matrices by the device's usual kernel. TensorFlow.js reshapes them first.
   */
  usualBatchMatMul: (a: tf.Tensor3D, b: tf.Tensor3D, transposeB = false) =>
    run(
      'BatchMatMulV2',
      { adj_x: false, adj_y: transposeB },
      [a, b],
      [...a.shape.slice(0, 2), b.shape[transposeB ? 1 : 2]],
    ) as tf.Tensor3D,

  /** Softmax over the last axis. */
  softmax: (x: tf.Tensor) => run('_MklSoftmax', oneDNN, [x]),

  /** The product of two matrices. */
  matMul: matrixProduct('_MklMatMul', oneDNN),

  /** Products of stacks of matrices; a stack of one matrix is broadcast. */
  batchMatMul: (a: tf.Tensor, b: tf.Tensor, transposeB = false) =>
    run(
      '_MklBatchMatMulV2',
      { ...oneDNN, adj_x: false, adj_y: transposeB },
      [a, b],
      [
        ...tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2)),
        a.shape[a.rank - 2],
        b.shape[b.rank - (transposeB ? 2 : 1)],
      ],
    ),

  /**
   * Convolution with zeros around: x `[N, H, W, I]`, filter `[kh, kw, I, O]`, and bias `[O]` if
   * there is one -> `[N, H', W', O]`.
   */
  conv2d: (
    x: tf.Tensor4D,
    filter: tf.Tensor4D,
    bias: tf.Tensor1D | undefined,
    padding: number[][],
    stride = 1,
  ) => {
    const { attributes, shape } = convolution(x, filter, padding, stride);
    return run(
      bias ? '_MklNativeConv2DWithBias' : '_MklNativeConv2D',
      { ...oneDNN, ...attributes, is_filter_const: false },
      bias ? [x, filter, bias] : [x, filter],
      shape,
    ) as tf.Tensor4D;
  },

  /** Layer normalisation of `[N, C]`. */
  layerNorm: (x: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor, epsilon: number) =>
    run('_MklLayerNorm', { epsilon: { float: epsilon } }, [x, gain, bias]),
};
