/** Tensors that stay in half precision in the memory of libtensorflow: weights, widened at use. */
import * as tf from '@tensorflow/tfjs-core';
import { shapeOnlyOutput } from '../device.ts';
import { cast, dtypes, execute, type NativeTensor, nodeBackend, OwnedTensor } from './binding.ts';
import { computeDtype, type HalfDtype } from './computeIn.ts';

/** TensorFlow's numbers of the types of the data behind tensors, where it is not the tensor's. */
const halves = new WeakMap<object, number>();

/** A tensor for TensorFlow.js, which has no half precision: the tensor says that it is float32. */
export function halfTensor({ id, shape, dtype }: NativeTensor): tf.Tensor {
  const dataId = {};
  nodeBackend().tensorMap.set(dataId, { id, shape, dtype, values: null, refCount: 1 });
  halves.set(dataId, dtype);
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' });
}

/**
 * Whether a tensor that says it is float32 holds half precision. Only the functions of this file and
 * products in half precision can read it; everything else that handles tensors works.
 */
export function isHalf(tensor: tf.Tensor): boolean {
  return halves.has(tensor.dataId);
}

/** TensorFlow's number of the half precision that a tensor holds; undefined for float32. */
export const heldIn = ({ dataId }: tf.Tensor): number | undefined => halves.get(dataId);

/** Makes a tensor without values count as one that holds half precision, for planning memory. */
export function declareHalf({ dataId }: tf.Tensor, dtype: HalfDtype = 'float16'): void {
  halves.set(dataId, dtypes[dtype]);
}

/**
 * The values of a tensor rounded to half precision, in a new tensor, of which `isHalf` is true. Only
 * on the tensorflow backend.
 */
export function narrowed(tensor: tf.Tensor, dtype: HalfDtype): tf.Tensor {
  const [id] = nodeBackend().getInputTensorIds([tensor]);
  return halfTensor(cast(id, heldIn(tensor) ?? dtypes.float32, dtypes[dtype]));
}

/**
 * The float32 values of a tensor: a new tensor if it holds half precision, else itself.
 * @throws When the tensor is in libtensorflow's memory and the backend is another one.
 */
export function widened(tensor: tf.Tensor): tf.Tensor {
  const dtype = halves.get(tensor.dataId);
  if (dtype === undefined) return tensor;
  const planned = shapeOnlyOutput('Cast', tensor.shape, [tensor]);
  if (planned) return planned;
  if (tf.getBackend() !== 'tensorflow') {
    throw new Error(
      'These weights are in half precision in the memory of the tensorflow backend. ' +
        "Load them with `weightDtype: 'float32'`, or on the backend that they are used on.",
    );
  }
  const [id] = nodeBackend().getInputTensorIds([tensor]);
  return nodeBackend().createOutputTensor(cast(id, dtype, dtypes.float32));
}

/**
 * The float32 values of a part of a tensor, with the arguments of `tf.slice`. The rest of a tensor
 * in half precision is not widened.
 */
export function widenedSlice(tensor: tf.Tensor, begin: number[], size: number[]): tf.Tensor {
  return tf.tidy(() => widened(slice(tensor, begin, size)));
}

/** As `tf.slice`, also of a tensor in half precision, which stays in it. */
function slice(tensor: tf.Tensor, begin: number[], size: number[]): tf.Tensor {
  const dtype = heldIn(tensor);
  if (dtype === undefined) return tf.slice(tensor, begin, size);
  const lengths = size.map((length, i) => (length < 0 ? tensor.shape[i] - begin[i] : length));
  const planned = shapeOnlyOutput('Slice', lengths, [tensor]);
  if (planned) {
    halves.set(planned.dataId, dtype);
    return planned;
  }
  if (tf.getBackend() !== 'tensorflow') return tf.slice(widened(tensor), begin, size);
  const list = (values: number[]) =>
    OwnedTensor.of([values.length], dtypes.int32, Int32Array.from(values));
  using first = list(begin);
  using counts = list(lengths);
  const [id] = nodeBackend().getInputTensorIds([tensor]);
  return halfTensor(execute('Slice', { T: dtype, Index: dtypes.int32 }, id, first.id, counts.id));
}

/** Whether products that compute now take a tensor as it is held. */
const isForProducts = (tensor: tf.Tensor) =>
  heldIn(tensor) === dtypes[computeDtype()] && !tf.engine().isTapeOn();

/**
 * What products and convolutions take of a tensor: itself, where it holds the half precision that
 * they compute in, else its float32 values.
 */
export const forProducts = (tensor: tf.Tensor): tf.Tensor =>
  isForProducts(tensor) ? tensor : widened(tensor);

/** As `forProducts`, of a part of a tensor, with the arguments of `tf.slice`. */
export const sliceForProducts = (tensor: tf.Tensor, begin: number[], size: number[]): tf.Tensor =>
  isForProducts(tensor) ? slice(tensor, begin, size) : widenedSlice(tensor, begin, size);
