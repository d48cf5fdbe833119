/** The output shapes of each TensorFlow.js kernel that the models use. */
import * as tf from '@tensorflow/tfjs-core';

/** One output of a kernel. */
export interface Output {
  shape: number[];
  /** Default float32. */
  dtype?: tf.DataType;
  /**
   * Whether it shares the memory of the kernel's first input, if the device can: all of it, or a
   * range of its first axis.
   */
  view?: 'whole' | 'range';
}

// biome-ignore lint/suspicious/noExplicitAny: each op passes attributes of its own form
type Attributes = Record<string, any>;
/** The inputs of a kernel by name. */
export type Inputs = Record<string, tf.TensorInfo>;
type Kernel = (inputs: Inputs, attributes: Attributes) => Output | Output[];

const first = (inputs: Inputs) => Object.values(inputs)[0];

/** An output with the type of an input. */
function like({ dtype }: tf.TensorInfo, shape: number[], view?: Output['view']): Output {
  return { shape, dtype, view };
}

const same: Kernel = (inputs) => like(first(inputs), first(inputs).shape);

const viewed =
  (shapeOf: (x: tf.TensorInfo, attributes: Attributes) => number[]): Kernel =>
  (inputs, attributes) =>
    like(first(inputs), shapeOf(first(inputs), attributes), 'whole');

const broadcast =
  (dtype?: tf.DataType): Kernel =>
  ({ a, b }) => ({
    shape: tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape),
    dtype: dtype ?? a.dtype,
  });

const reduced =
  (dtype?: tf.DataType): Kernel =>
  ({ x }, { axis, keepDims }) => {
    const axes = tf.util.parseAxisParam(axis ?? null, x.shape);
    const shape = x.shape.flatMap((n, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [n]));
    return { shape, dtype: dtype ?? x.dtype };
  };

const product: Kernel = ({ a, b }, { transposeA, transposeB }) => {
  const [ofA, ofB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(ofA, ofB);
  const [rows, columns] = [a.shape.at(transposeA ? -1 : -2)!, b.shape.at(transposeB ? -2 : -1)!];
  return { shape: [...batch, rows, columns] };
};

type Four = [number, number, number, number];

const convolution: Kernel = ({ x, filter }, { strides, pad, dilations, dimRoundingMode }) => ({
  shape: tf.backend_util.computeConv2DInfo(
    x.shape as Four,
    filter.shape as Four,
    strides,
    dilations,
    pad,
    dimRoundingMode,
  ).outShape,
});

const pooled: Kernel = ({ x }, { filterSize, strides, pad, dimRoundingMode }) => ({
  shape: tf.backend_util.computePool2DInfo(
    x.shape as Four,
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  ).outShape,
});

const slice: Kernel = ({ x }, { begin, size }) => {
  const [, shape] = tf.slice_util.parseSliceParams(x, begin, size);
  const isRange = shape.every((n, i) => i === 0 || n === x.shape[i]);
  return like(x, shape, isRange ? 'range' : undefined);
};

const split: Kernel = ({ x }, { numOrSizeSplits, axis }) => {
  const [along] = tf.util.parseAxisParam(axis, x.shape);
  const sizes = tf.backend_util.prepareSplitSize(x as tf.Tensor, numOrSizeSplits, along);
  const shapeOf = (size: number) => x.shape.map((n, i) => (i === along ? size : n));
  return sizes.map((size) => like(x, shapeOf(size), along === 0 ? 'range' : undefined));
};

const unstacked: Kernel = ({ value }, { axis }) => {
  const [along] = tf.util.parseAxisParam(axis, value.shape);
  const shape = value.shape.filter((_, i) => i !== along);
  return Array.from({ length: value.shape[along] }, () => like(value, shape));
};

const concatenated: Kernel = (inputs, { axis }) => {
  const parts = Object.values(inputs);
  const [along] = tf.util.parseAxisParam(axis, parts[0].shape);
  const length = parts.reduce((sum, { shape }) => sum + shape[along], 0);
  const shape = parts[0].shape.map((n, i) => (i === along ? length : n));
  return like(parts[0], shape);
};

/** A shape with one more axis. */
function inserted(shape: number[], axis: number, length: number): number[] {
  const along = axis < 0 ? axis + shape.length + 1 : axis;
  return [...shape.slice(0, along), length, ...shape.slice(along)];
}

const stacked: Kernel = (inputs, { axis }) => {
  const parts = Object.values(inputs);
  return like(parts[0], inserted(parts[0].shape, axis, parts.length));
};

/** A permutation that leaves the order of all axes longer than 1 moves nothing. */
const transposed: Kernel = ({ x }, { perm }) => {
  const moved = (perm as number[]).filter((axis) => x.shape[axis] > 1);
  const still = moved.every((axis, i) => i === 0 || axis > moved[i - 1]);
  const shape = perm.map((axis: number) => x.shape[axis]);
  return like(x, shape, still ? 'whole' : undefined);
};

const gathered: Kernel = ({ x, indices }, { axis }) => {
  const [along] = tf.util.parseAxisParam(axis ?? 0, x.shape);
  return like(x, [...x.shape.slice(0, along), ...indices.shape, ...x.shape.slice(along + 1)]);
};

const expanded = ({ shape }: tf.TensorInfo, { dim }: Attributes) => inserted(shape, dim, 1);

const reshaped = (x: tf.TensorInfo, { shape }: Attributes) =>
  tf.util.inferFromImplicitShape(shape, tf.util.sizeFromShape(x.shape));

const cast: Kernel = ({ x }, { dtype }) => ({
  shape: x.shape,
  dtype,
  view: dtype === x.dtype ? 'whole' : undefined,
});

const padded: Kernel = ({ x }, { paddings }) => ({
  shape: x.shape.map((n, i) => n + paddings[i][0] + paddings[i][1]),
  dtype: x.dtype,
});

const resized: Kernel = ({ images }, { size }) => {
  const [n, , , c] = images.shape;
  return { shape: [n, ...size, c] };
};

const named = (names: string, kernel: Kernel) =>
  Object.fromEntries(names.split(' ').map((name) => [name, kernel]));

/** The kernels by name. */
export const shapeKernels: Record<string, Kernel> = {
  ...named(
    'Abs Ceil ClipByValue Cos Elu Erf Exp Floor Log Neg Reciprocal Relu Round Rsqrt Sigmoid ' +
      'Sign Sin Softmax Sqrt Square',
    same,
  ),
  ...named('AddN OnesLike Softplus Tanh ZerosLike', same),
  ...named('IsFinite LogicalNot', (inputs) => ({ shape: first(inputs).shape, dtype: 'bool' })),
  ...named(
    'Add FloorDiv Maximum Minimum Mod Multiply Pow RealDiv SquaredDifference Sub',
    broadcast(),
  ),
  ...named(
    'Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr NotEqual',
    broadcast('bool'),
  ),
  ...named('Max Mean Min Prod Sum', reduced()),
  ...named('All Any', reduced('bool')),
  ...named('BatchMatMul _FusedMatMul', product),
  ...named('Conv2D FusedConv2D', convolution),
  ...named('AvgPool MaxPool', pooled),
  FusedBatchNorm: same,
  ...named('ResizeBilinear ResizeNearestNeighbor', resized),
  Cast: cast,
  Concat: concatenated,
  ExpandDims: viewed(expanded),
  Fill: (_, { shape, dtype }) => ({ shape, dtype }),
  GatherV2: gathered,
  Identity: viewed(({ shape }) => shape),
  Pack: stacked,
  PadV2: padded,
  Range: (_, { start, stop, step, dtype }) => ({
    shape: [Math.max(0, Math.ceil((stop - start) / step))],
    dtype,
  }),
  Reshape: viewed(reshaped),
  Select: ({ t }) => like(t, t.shape),
  Slice: slice,
  SplitV: split,
  Tile: ({ x }, { reps }) => ({ shape: x.shape.map((n, i) => n * reps[i]), dtype: x.dtype }),
  Transpose: transposed,
  Unpack: unstacked,
};
