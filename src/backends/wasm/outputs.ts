/**
 * Makes the wasm backend throw where it would return memory that nobody has written to. Its kernels
 * allocate their output and trust their arguments: where these ask for values that are not there,
 * the output keeps what another tensor has left in that place.
 */
import * as tf from '@tensorflow/tfjs-core';

/** The part of the backend that allocates tensors. */
interface Allocating extends tf.KernelBackend {
  move(dataId: object, values: unknown, shape: number[], dtype: string, refCount: number): void;
}

type Inputs = Record<string, tf.TensorInfo | undefined>;
type Attributes = Record<string, unknown>;

/** Says what is wrong with the arguments of a kernel; undefined if nothing is. */
type Fault = (inputs: Inputs, attributes: Attributes) => string | undefined;

const sizeOf = ({ shape }: tf.TensorInfo) => tf.util.sizeFromShape(shape);

/** Kernels that would sum, compare or multiply nothing. */
const noValues: Fault = (inputs) => {
  const empty = Object.values(inputs).find((tensor) => tensor && sizeOf(tensor) === 0);
  return empty && `a tensor of shape [${empty.shape}] has no values`;
};

const noSuchPart: Fault = ({ x }, { begin, size }) => {
  const { shape } = x as tf.Tensor;
  const [first, lengths] = tf.slice_util.parseSliceParams(
    x as tf.Tensor,
    begin as number[],
    size as number[],
  );
  const inside = shape.every(
    (length, axis) =>
      first[axis] >= 0 && lengths[axis] >= 0 && first[axis] + lengths[axis] <= length,
  );
  return inside
    ? undefined
    : `a tensor of shape [${shape}] has no part of shape [${lengths}] at [${first}]`;
};

const shortBias: Fault = (inputs, attributes) => {
  const { b, bias } = inputs;
  const width = b?.shape[b.shape.length - (attributes.transposeB ? 2 : 1)];
  return bias && bias.shape.at(-1) !== width
    ? `a bias of shape [${bias.shape}] does not fit ${width} outputs`
    : noValues(inputs, attributes);
};

const negativePadding: Fault = (_, { paddings }) =>
  (paddings as number[][]).flat().some((length) => length < 0)
    ? `its paddings are [${paddings}]`
    : undefined;

const twoTypes: Fault = ({ t, e }) =>
  t?.dtype === e?.dtype ? undefined : `it chooses between ${t?.dtype} and ${e?.dtype}`;

const faults: Record<string, Fault> = {
  ...Object.fromEntries(
    [
      ...['Mean', 'Sum', 'Max', 'Min', 'Prod', 'All', 'Any', 'ArgMax', 'ArgMin'],
      ...['BatchMatMul', 'Conv2D', 'FusedConv2D', 'DepthwiseConv2dNative', 'AvgPool', 'MaxPool'],
      ...['FusedDepthwiseConv2D', 'ResizeBilinear', 'ResizeNearestNeighbor'],
    ].map((name) => [name, noValues]),
  ),
  PadV2: negativePadding,
  MirrorPad: negativePadding,
  Slice: noSuchPart,
  _FusedMatMul: shortBias,
  Select: twoTypes,
};

/** Guards the kernels, once for all backends of this name, and what `backend` allocates. */
export function guardOutputs(backend: tf.KernelBackend): void {
  const allocating = backend as Allocating;
  const move = allocating.move.bind(backend);
  allocating.move = (dataId, values, shape, dtype, refCount) => {
    if (!shape.every((length) => Number.isInteger(length) && length >= 0)) {
      throw new Error(
        `The wasm backend cannot make a tensor of shape [${shape}]: an input may be smaller than ` +
          'the kernel that runs over it.',
      );
    }
    move(dataId, values, shape, dtype, refCount);
  };
  for (const [kernelName, fault] of Object.entries(faults)) {
    const kernel = tf.getKernel(kernelName, 'wasm');
    if (!kernel) continue;
    tf.unregisterKernel(kernelName, 'wasm');
    tf.registerKernel({
      ...kernel,
      kernelFunc: (args) => {
        const why = fault(args.inputs as Inputs, (args.attrs ?? {}) as Attributes);
        if (why) throw new Error(`The wasm backend cannot compute ${kernelName}: ${why}.`);
        return kernel.kernelFunc(args);
      },
    });
  }
}
