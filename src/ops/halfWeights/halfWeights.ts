/** Weights that stay in half precision in a backend's memory, and are widened at use. */
import * as tf from '@tensorflow/tfjs-core';
import { deviceName, shapeBackend } from '../device.ts';
import { computeDtype } from '../tensorflow/computeIn.ts';
import { halfSlice, tensorflowHalves } from '../tensorflow/halfTensors.ts';
import { webgpuHalves } from '../webgpu/halfTensors.ts';
import { type ByteType, byteTypes, type HalfHolder, heldBy, heldIn, isHalf } from './held.ts';

const holders: Partial<Record<string, HalfHolder>> = {
  tensorflow: tensorflowHalves,
  webgpu: webgpuHalves,
};

const holderOf = (device = deviceName()) => holders[device.replace(/-.*/, '')];

/** Whether a device holds weights in half precision. */
export const holdsHalves = (device: string): boolean => holderOf(device) !== undefined;

/** Whether `tensorFromBytes` takes values of `type` on the current backend. */
export const takesBytes = (type: string): type is ByteType =>
  holderOf() !== undefined && byteTypes.some((taken) => taken === type);

/** Memory to read a tensor's bytes into, for the current backend. */
export const uploadBuffer = (bytes: number): Uint8Array =>
  holderOf()?.uploadBuffer(bytes) ?? new Uint8Array(bytes);

/** As `HalfHolder` has it, on the current backend, which `takesBytes`. */
export const tensorFromBytes: HalfHolder['tensorFromBytes'] = (...values) =>
  holderOf()!.tensorFromBytes(...values);

/** What the current backend does with a tensor. @throws Error if another backend holds it. */
function holderFor(tensor: tf.Tensor): HalfHolder {
  const backend = heldBy(tensor);
  if (!shapeBackend() && backend !== tf.getBackend()) {
    throw new Error(
      `These weights are in half precision in the memory of the ${backend} backend. ` +
        "Load them with `weightDtype: 'float32'`, or on the backend that they are used on.",
    );
  }
  return holderOf()!;
}

/**
 * The float32 values of a tensor: a new tensor if it holds half precision, else itself.
 * @throws Error if the tensor is in the memory of another backend than the current one.
 */
export const widened = (tensor: tf.Tensor): tf.Tensor =>
  isHalf(tensor) ? holderFor(tensor).widened(tensor) : tensor;

/**
 * The float32 values of a part of a tensor, with the arguments of `tf.slice`. The rest of a tensor
 * in half precision is not widened.
 */
export const widenedSlice = (tensor: tf.Tensor, begin: number[], size: number[]): tf.Tensor =>
  isHalf(tensor)
    ? holderFor(tensor).widened(tensor, { begin, size: lengths(tensor, begin, size) })
    : tf.slice(tensor, begin, size);

/** The lengths of a part of a tensor, of which a negative one reaches to the end of its axis. */
const lengths = ({ shape }: tf.Tensor, begin: number[], size: number[]) =>
  size.map((length, i) => (length < 0 ? shape[i] - begin[i] : length));

/** Whether products that compute now take a tensor as it is held. */
const isForProducts = (tensor: tf.Tensor) =>
  heldIn(tensor) === computeDtype() && !tf.engine().isTapeOn();

/**
 * What products and convolutions take of a tensor: itself, where it holds the half precision that
 * they compute in, else its float32 values.
 */
export const forProducts = (tensor: tf.Tensor): tf.Tensor =>
  isForProducts(tensor) ? tensor : widened(tensor);

/** As `forProducts`, of a part of a tensor, with the arguments of `tf.slice`. */
export function sliceForProducts(tensor: tf.Tensor, begin: number[], size: number[]): tf.Tensor {
  if (!isForProducts(tensor)) return widenedSlice(tensor, begin, size);
  holderFor(tensor);
  return halfSlice(tensor, { begin, size: lengths(tensor, begin, size) });
}
