/** Tensors in half precision in the memory of libtensorflow. */
import * as tf from '@tensorflow/tfjs-core';
import { shapeOnlyOutput } from '../device.ts';
import { type HalfHolder, heldIn, holdHalf, type Range } from '../halfWeights/held.ts';
import { cast, dtypes, execute, type NativeTensor, nodeBackend, OwnedTensor } from './binding.ts';
import type { HalfDtype } from './computeIn.ts';
import { tensorFromBytes, uploadBuffer } from './nativeTensors.ts';

/** TensorFlow's number of the type of the values behind a tensor. */
export const numberOf = (tensor: tf.Tensor): number => dtypes[heldIn(tensor) ?? 'float32'];

/** A tensor for TensorFlow.js, which has no half precision: the tensor says that it is float32. */
export function halfTensor({ id, shape, dtype }: NativeTensor): tf.Tensor {
  const dataId = {};
  nodeBackend().tensorMap.set(dataId, { id, shape, dtype, values: null, refCount: 1 });
  holdHalf(dataId, dtype === dtypes.bfloat16 ? 'bfloat16' : 'float16', 'tensorflow');
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' });
}

/** The values of a tensor rounded to half precision, in a new tensor, of which `isHalf` is true. */
export function narrowed(tensor: tf.Tensor, dtype: HalfDtype): tf.Tensor {
  const [id] = nodeBackend().getInputTensorIds([tensor]);
  return halfTensor(cast(id, numberOf(tensor), dtypes[dtype]));
}

/** A part of a tensor in half precision, which stays in it. */
export function halfSlice(tensor: tf.Tensor, { begin, size }: Range): tf.Tensor {
  const planned = shapeOnlyOutput('Slice', size, [tensor]);
  if (planned) {
    holdHalf(planned.dataId, heldIn(tensor)!);
    return planned;
  }
  const list = (values: number[]) =>
    OwnedTensor.of([values.length], dtypes.int32, Int32Array.from(values));
  using first = list(begin);
  using counts = list(size);
  const [id] = nodeBackend().getInputTensorIds([tensor]);
  const attributes = { T: numberOf(tensor), Index: dtypes.int32 };
  return halfTensor(execute('Slice', attributes, id, first.id, counts.id));
}

function widened(tensor: tf.Tensor, range?: Range): tf.Tensor {
  if (range) return tf.tidy(() => widened(halfSlice(tensor, range)));
  const planned = shapeOnlyOutput('Cast', tensor.shape, [tensor]);
  if (planned) return planned;
  const [id] = nodeBackend().getInputTensorIds([tensor]);
  return nodeBackend().createOutputTensor(cast(id, numberOf(tensor), dtypes.float32));
}

/** The tensorflow backend: its own kernels convert and widen. */
export const tensorflowHalves: HalfHolder = {
  uploadBuffer,
  widened,
  tensorFromBytes(bytes, type, shape, permutation, keepHalf = false) {
    const tensor = tensorFromBytes(bytes, type, shape, permutation, keepHalf);
    return keepHalf && type !== 'F32'
      ? halfTensor(tensor)
      : nodeBackend().createOutputTensor(tensor);
  },
};
