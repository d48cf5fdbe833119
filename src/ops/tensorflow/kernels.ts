/**
 * Kernels of libtensorflow that TensorFlow.js has no function for, called by name, each tried once
 * before it is relied on.
 */
import * as tf from '@tensorflow/tfjs';

/** What this file uses of tfjs-node's backend. */
interface NodeBackend {
  isUsingGpuDevice: boolean;
  binding: Record<
    | 'TF_ATTR_TYPE'
    | 'TF_ATTR_BOOL'
    | 'TF_ATTR_FLOAT'
    | 'TF_ATTR_INT'
    | 'TF_ATTR_STRING'
    | 'TF_FLOAT',
    number
  >;
  executeSingleOutput(name: string, attributes: object[], inputs: tf.Tensor[]): tf.Tensor;
}

const backend = () => tf.backend() as unknown as NodeBackend;

/** A backend that follows shapes instead of computing, for planning memory. */
export interface ShapeBackend {
  /** The device that it stands for. */
  simulatedDevice: string;
  /**
   * A tensor of `shape` in place of what `kernel` would give, for which it needs `scratchBytes`
   * besides.
   */
  outputOf(kernel: string, shape: number[], inputs: tf.Tensor[], scratchBytes: number): tf.Tensor;
}

const shapeBackend = () => {
  const current = tf.backend() as unknown as Partial<ShapeBackend>;
  return current.simulatedDevice === undefined ? undefined : (current as ShapeBackend);
};

/**
 * The backend's name; libtensorflow's is `tensorflow-gpu` on a graphics card and `tensorflow-cpu`,
 * with oneDNN kernels, on a processor.
 */
export function deviceName(): string {
  const planned = shapeBackend();
  if (planned) return planned.simulatedDevice;
  const name = tf.getBackend();
  return name === 'tensorflow' ? `tensorflow-${backend().isUsingGpuDevice ? 'gpu' : 'cpu'}` : name;
}

/**
 * Where memory is planned, a tensor of `shape` in place of what `kernel` would give; otherwise
 * nothing.
 */
export function shapeOnlyOutput(
  kernel: string,
  shape: number[],
  inputs: tf.Tensor[],
  scratchBytes = 0,
): tf.Tensor | undefined {
  return shapeBackend()?.outputOf(kernel, shape, inputs, scratchBytes);
}

/**
 * The same as `compute`, for calls that take the same memory, such as those for slices of one size:
 * where memory is planned, only the first one runs and the others give a tensor of `shapeOf` alone.
 */
export function planOnce<T extends tf.Tensor>(
  compute: (i: number) => T,
  shapeOf: (i: number) => number[],
): (i: number) => T {
  let told = false;
  return (i) => {
    const planned = told ? shapeOnlyOutput('alike', shapeOf(i), []) : undefined;
    told = true;
    return (planned as T | undefined) ?? compute(i);
  };
}

/**
 * Runs a kernel that gives one tensor of `shape`, by default that of its first input. A list is one
 * of whole numbers.
 */
function run(
  kernel: string,
  attributes: Record<string, boolean | number | string | number[]>,
  inputs: tf.Tensor[],
  shape: number[] = inputs[0].shape,
): tf.Tensor {
  const planned = shapeOnlyOutput(kernel, shape, inputs);
  if (planned) return planned;
  const { binding, executeSingleOutput } = backend();
  const {
    TF_ATTR_BOOL: boolean,
    TF_ATTR_FLOAT: number,
    TF_ATTR_STRING: string,
    TF_ATTR_INT: object,
  } = binding;
  const kinds = { boolean, number, string, object };
  const typed = Object.entries(attributes).map(([name, value]) => ({
    name,
    type: kinds[typeof value as keyof typeof kinds],
    value,
  }));
  const T = { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
  return executeSingleOutput.call(backend(), kernel, [T, ...typed], inputs);
}

// oneDNN's kernels are registered under this label and run in eager mode whatever
// TF_ENABLE_ONEDNN_OPTS says.
const oneDNN = { _kernel: 'MklNameChangeOp' };

/** The kernels. All take and give float32. */
export const kernels = {
  /** `gradients / (1 + exp(-features))`; of x and x, SiLU in one pass. */
  softplusGrad: (gradients: tf.Tensor, features: tf.Tensor) =>
    run('SoftplusGrad', {}, [gradients, features]),

  /** `1 - erf(x)`. */
  erfc: (x: tf.Tensor) => run('Erfc', {}, [x]),

  /** The root of the sum of squares over one axis: `[..., M, ...]` -> `[..., ...]`. */
  euclideanNorm: (x: tf.Tensor, axis: number) =>
    run(
      'EuclideanNorm',
      {},
      [x, tf.scalar(axis, 'int32')],
      x.shape.filter((_, i) => i !== axis),
    ),

  /**
   * Mean over one axis: `[..., M, ...]` -> `[..., ...]`. Without the cast that TensorFlow.js puts
   * in front.
   */
  mean: (x: tf.Tensor, axis: number) =>
    run(
      'Mean',
      {},
      [x, tf.scalar(axis, 'int32')],
      x.shape.filter((_, i) => i !== axis),
    ),

  /**
   * The product of two matrices by the device's usual kernel, without the third axis that
   * TensorFlow.js gives to every matrix.
   */
  usualMatMul: (a: tf.Tensor2D, b: tf.Tensor2D) =>
    run(
      'MatMul',
      { transpose_a: false, transpose_b: false },
      [a, b],
      [a.shape[0], b.shape[1]],
    ) as tf.Tensor2D,

  /**
   * Products of stacks of matrices by the device's usual kernel, without the shaping that
   * TensorFlow.js does first.
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
  matMul: (a: tf.Tensor2D, b: tf.Tensor2D) =>
    run(
      '_MklMatMul',
      { ...oneDNN, transpose_a: false, transpose_b: false },
      [a, b],
      [a.shape[0], b.shape[1]],
    ) as tf.Tensor2D,

  /** Products of stacks of matrices; stacks of one matrix serve all of the others. */
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
    [rows, columns]: number[][],
    stride = 1,
  ) => {
    const [n, height, width] = x.shape;
    const [kh, kw, , outChannels] = filter.shape;
    const length = (size: number, [before, after]: number[], kernel: number) =>
      Math.floor((size + before + after - kernel) / stride) + 1;
    return run(
      bias ? '_MklNativeConv2DWithBias' : '_MklNativeConv2D',
      {
        ...oneDNN,
        strides: [1, stride, stride, 1],
        dilations: [1, 1, 1, 1],
        padding: 'EXPLICIT',
        explicit_paddings: [0, 0, ...rows, ...columns, 0, 0],
        data_format: 'NHWC',
        is_filter_const: false,
      },
      bias ? [x, filter, bias] : [x, filter],
      [n, length(height, rows, kh), length(width, columns, kw), outChannels],
    ) as tf.Tensor4D;
  },

  /** Layer normalisation of `[N, C]`. */
  layerNorm: (x: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor, epsilon: number) =>
    run('_MklLayerNorm', { epsilon }, [x, gain, bias]),
};

export type KernelName = keyof typeof kernels;

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
    const [x, filter, bias] = [tf.ones([1, 2, 2, 1]), tf.ones([1, 1, 1, 1]), tf.ones([1])];
    const noZeros = [
      [0, 0],
      [0, 0],
    ];
    return kernels.conv2d(
      kernels.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, undefined, noZeros),
      filter as tf.Tensor4D,
      bias as tf.Tensor1D,
      noZeros,
    );
  },
  layerNorm: () => kernels.layerNorm(tf.ones([2, 2]), tf.ones([2]), tf.zeros([2]), 1e-5),
};

const found = new Map<KernelName, boolean>();

/** Whether libtensorflow has the kernel: internal names come and go between its versions. */
export function hasKernel(name: KernelName): boolean {
  let known = found.get(name);
  if (shapeBackend()) return known ?? true;
  if (known === undefined) {
    try {
      tf.tidy(() => {
        probes[name]();
      });
      known = true;
    } catch {
      known = false;
    }
    found.set(name, known);
  }
  return known;
}

/**
 * A kernel of oneDNN beside the usual one, on a case where it is slow on some processors, and how
 * much slower it may be.
 */
interface Trial {
  limit: number;
  oneDnn: () => tf.Tensor;
  usual: () => tf.Tensor;
}

const ones = <T extends tf.Tensor>(...shape: number[]) => tf.ones(shape) as unknown as T;

const trials = {
  /**
   * With AVX-512, oneDNN convolves up to 1.6 times faster than the usual kernel; without, level
   * with that for several pictures and up to five times slower for one, here three times. The limit
   * lies amid these, so that every run chooses alike.
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
   * Of less than 280 rows, oneDNN's product takes 1.05 to 1.6 times as long as the usual one
   * without AVX-512, here 1.5 times.
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

const won = new Map<keyof typeof trials, boolean>();

/** Whether oneDNN's kernel is to be used on this processor, by trying once. */
export function oneDnnWins(name: keyof typeof trials): boolean {
  if (shapeBackend()) return true; // so that plans do not depend on what has run before
  if (!won.has(name)) {
    tf.tidy(() => {
      const { limit, oneDnn, usual } = trials[name]();
      won.set(name, shortest(oneDnn) < limit * shortest(usual));
    });
  }
  return won.get(name)!;
}

/** The shortest time of a few runs. */
function shortest(compute: () => tf.Tensor): number {
  const times = Array.from({ length: 3 }, () => {
    const start = performance.now();
    compute().dispose();
    return performance.now() - start;
  });
  return Math.min(...times);
}
