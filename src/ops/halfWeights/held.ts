/** Which tensors hold half precision. TensorFlow.js has none: they say that they are float32. */
import type * as tf from '@tensorflow/tfjs-core';
import type { HalfDtype } from '../tensorflow/computeIn.ts';

/** The element types of a checkpoint whose bytes backends take. */
export const byteTypes = ['F32', 'F16', 'BF16'] as const;

/** One of `byteTypes`. */
export type ByteType = (typeof byteTypes)[number];

/** The half precision that values of each of the others are in. */
export const halfOf = { F16: 'float16', BF16: 'bfloat16' } as const;

/** A part of a tensor, as `tf.slice` takes it. */
export interface Range {
  begin: number[];
  size: number[];
}

/** A backend that takes the bytes of checkpoints and holds half precision. */
export interface HalfHolder {
  /**
   * Memory to read a tensor's bytes into. Once `tensorFromBytes` has returned, other bytes may
   * overwrite it.
   */
  uploadBuffer(bytes: number): Uint8Array;
  /**
   * The float32 tensor of little-endian `bytes`, which hold values of `type` in `shape`; with
   * `permutation`, its transpose. With `keepHalf`, values of half precision remain in it: see
   * `isHalf`.
   */
  tensorFromBytes(
    bytes: Uint8Array,
    type: ByteType,
    shape: number[],
    permutation?: number[],
    keepHalf?: boolean,
  ): tf.Tensor;
  /** The float32 values, in a new tensor, of one that holds half precision, or of a part of it. */
  widened(tensor: tf.Tensor, range?: Range): tf.Tensor;
}

const halves = new WeakMap<object, { dtype: HalfDtype; backend?: string }>();

/**
 * Makes the data of a tensor count as half precision.
 * @param backend The one in whose memory it is; none for a tensor without values.
 */
export function holdHalf(dataId: object, dtype: HalfDtype, backend?: string): void {
  halves.set(dataId, { dtype, backend });
}

/** Makes a tensor without values count as one that holds half precision, for planning memory. */
export const declareHalf = ({ dataId }: tf.Tensor, dtype: HalfDtype = 'float16'): void =>
  holdHalf(dataId, dtype);

/** The half precision that a tensor holds; undefined for float32. */
export const heldIn = ({ dataId }: tf.Tensor): HalfDtype | undefined => halves.get(dataId)?.dtype;

/** The backend that holds a tensor in half precision. */
export const heldBy = ({ dataId }: tf.Tensor): string | undefined => halves.get(dataId)?.backend;

/**
 * Whether a tensor that says it is float32 holds half precision. Only `widened` and
 * `widenedSlice`, and products in half precision, can read it; everything else that handles
 * tensors works.
 */
export const isHalf = ({ dataId }: tf.Tensor): boolean => halves.has(dataId);
