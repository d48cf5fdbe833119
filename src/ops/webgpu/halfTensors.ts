/**
 * Tensors that programs on the device make of a checkpoint's bytes, and those that stay in half
 * precision there: two values to a word, since TensorFlow.js' webgpu backend has no such type.
 */
import * as tf from '@tensorflow/tfjs-core';
import { shapeOnlyOutput } from '../device.ts';
import { type HalfHolder, halfOf, heldIn, holdHalf } from '../halfWeights/held.ts';
import type { HalfDtype } from '../tensorflow/computeIn.ts';
import { submit, webgpu } from './backend.ts';
import { gather, partOf, transposed } from './gather.ts';

/**
 * What the backend keeps of a tensor in half precision. It frees the words with the tensor, as the
 * parts of complex numbers, and nothing else can use them for the values that they are not.
 */
class HalfData {
  readonly dtype = 'float32';
  readonly values = null;
  readonly complexTensorInfos: { real: tf.TensorInfo; imag: { dataId: object } };
  refCount = 1;

  constructor(words: tf.TensorInfo) {
    this.complexTensorInfos = { real: words, imag: { dataId: {} } };
  }

  get resource(): undefined {
    if (this.refCount === 0) return undefined; // the backend frees it
    throw new Error(
      'This weight is in half precision on the webgpu backend, which computes in float32. Use the ' +
        "layer's `getWeights()`, or load it with `weightDtype: 'float32'`.",
    );
  }
}

/** A tensor that says it is float32 and holds half precision in words. */
function halfTensor(words: tf.TensorInfo, shape: number[], dtype: HalfDtype): tf.Tensor {
  const dataId = {};
  webgpu().tensorMap.set(dataId, new HalfData(words));
  holdHalf(dataId, dtype, 'webgpu');
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' });
}

const wordsOf = ({ dataId }: tf.Tensor) =>
  (webgpu().tensorMap.get(dataId) as HalfData).complexTensorInfos.real;

/** The type of the values of a tensor in half precision, as checkpoints name it. */
const typeOf = (tensor: tf.Tensor) => (heldIn(tensor) === halfOf.F16 ? 'F16' : 'BF16');

function upload(values: Int32Array | Float32Array, shape: number[]): tf.TensorInfo {
  const dtype = values instanceof Int32Array ? 'int32' : 'float32';
  const info = webgpu().makeTensorInfo(shape, dtype, values);
  webgpu().uploadToGPU(info.dataId); // now: other bytes will overwrite these
  return info;
}

/** Memory of so many whole words that begins with `bytes`: their own if it is one. */
function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0) return bytes;
  const words = new Uint8Array(4 * Math.ceil(bytes.length / 4));
  words.set(bytes);
  return words;
}

/** Frees memory of the device that no other tensor will be able to use. */
function destroy({ dataId }: tf.TensorInfo): void {
  const backend = webgpu();
  submit(backend); // what has to be computed from it
  const data = backend.tensorMap.get(dataId);
  backend.bufferManager.releaseBuffer(data.resource!, false);
  data.resource = null;
  backend.disposeData(dataId);
}

/** The webgpu backend: a program turns axes and widens. */
export const webgpuHalves: HalfHolder = {
  uploadBuffer: (bytes) => new Uint8Array(bytes),

  tensorFromBytes(bytes, type, shape, permutation, keepHalf = false) {
    const { buffer, byteOffset, byteLength } = padded(bytes);
    const count = byteLength / 4;
    const made = (info: tf.TensorInfo) => tf.engine().makeTensorFromTensorInfo(info);
    if (type === 'F32' && !permutation)
      return made(upload(new Float32Array(buffer, byteOffset, count), shape));
    const words = upload(new Int32Array(buffer, byteOffset, count), [count]);
    const half = type !== 'F32' && keepHalf ? halfOf[type] : undefined;
    if (half && !permutation) return halfTensor(words, shape, half);
    const target = permutation ? permutation.map((axis) => shape[axis]) : shape;
    const places = permutation && transposed(shape, permutation);
    const result = gather(words, type, target, places, half !== undefined);
    destroy(words);
    return half ? halfTensor(result, target, half) : made(result);
  },

  widened(tensor, range) {
    const shape = range?.size ?? tensor.shape;
    const planned = shapeOnlyOutput('Cast', shape, [tensor]);
    if (planned) return planned;
    const places = range && partOf(tensor.shape, range);
    return tf
      .engine()
      .makeTensorFromTensorInfo(gather(wordsOf(tensor), typeOf(tensor), shape, places));
  },
};
