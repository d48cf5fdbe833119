/**
 * Brings tensors of a source to the current backend. Values are converted by the backend if it takes
 * bytes, and in JS otherwise.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Layout } from '../../layers/parameter.ts';
import { takesBytes, tensorFromBytes } from '../../ops/halfWeights/halfWeights.ts';
import type { ByteType } from '../../ops/halfWeights/held.ts';
import { type ComputeDtype, type HalfDtype, oneDnnServes } from '../../ops/tensorflow/computeIn.ts';
import { narrowed } from '../../ops/tensorflow/halfTensors.ts';
import {
  shapeFromCheckpoint,
  transpositionFromCheckpoint,
  valuesFromCheckpoint,
} from './layout.ts';
import { type TensorMemory, uploadPool } from './memory.ts';
import type { WeightSource } from './source.ts';

/**
 * Reads a tensor for a weight whose layer computes in a type, by default float32. It resolves to a function that makes the tensor in TensorFlow.js'
 * axis order, to be called at most once.
 */
export type WeightReader = (
  name: string,
  layout: Layout,
  computeDtype?: ComputeDtype,
) => Promise<() => tf.Tensor>;

/**
 * `float32`; or, for `auto`, the half precision that the checkpoint has, where the backend can hold
 * it and widen it at each use; or that which the weight's layer computes in, where that pays.
 */
export type WeightDtype = 'auto' | 'float32';

/**
 * Tensors with fewer values than this are always float32: widening them at each use would cost time
 * and save nothing to speak of.
 */
const FEW = 2 ** 14;

/** Whether a tensor of half precision is one that `auto` leaves so. */
export const staysHalf = (shape: number[]): boolean => tf.util.sizeFromShape(shape) >= FEW;

/** The half precision that `auto` rounds a weight to, which its layer would round it to at each use. */
export const roundedTo = (shape: number[], computeDtype: ComputeDtype): HalfDtype | undefined =>
  staysHalf(shape) && computeDtype !== 'float32' && oneDnnServes(computeDtype)
    ? computeDtype
    : undefined;

/**
 * Reads each tensor in the fastest way for the current backend, into `memory` if that takes bytes.
 */
export function weightReader(
  source: WeightSource,
  weightDtype: WeightDtype = 'float32',
  memory: TensorMemory = uploadPool(),
): WeightReader {
  const [values, bytes] = [
    valuesReader(source),
    bytesReader(source, weightDtype === 'auto', memory),
  ];
  return async (name, layout, computeDtype = 'float32') => {
    const { dtype, shape } = source.info(name);
    // libtensorflow takes the smallest numbers of half precision for zeros where it widens few
    // values at a time.
    const native = source.readBytes && takesBytes(dtype) && (dtype === 'F32' || staysHalf(shape));
    const take = await (native ? bytes : values)(name, source.tfjsAxes ? 'same' : layout);
    const half = weightDtype === 'auto' ? roundedTo(shape, computeDtype) : undefined;
    if (!half) return take;
    return () => {
      const tensor = take();
      const rounded = narrowed(tensor, half);
      tensor.dispose();
      return rounded;
    };
  };
}

function valuesReader(source: WeightSource): WeightReader {
  return async (name, layout) => {
    const { shape } = source.info(name);
    const values = await source.read(name);
    return () => {
      const tensor = tf.tensor(
        valuesFromCheckpoint(layout, shape, values),
        shapeFromCheckpoint(layout, shape),
        'float32',
      );
      // tfjs-node copies values at their first use. Using them now lets go of the array, so that
      // weights are never in memory twice.
      tf.tidy(() => {
        tf.slice(tensor, Array(tensor.rank).fill(0), Array(tensor.rank).fill(1));
      });
      return tensor;
    };
  };
}

function bytesReader(source: WeightSource, keepHalf: boolean, memory: TensorMemory): WeightReader {
  return async (name, layout) => {
    const { dtype, shape, bytes } = source.info(name);
    const target = memory.acquire(bytes);
    await source.readBytes!(name, target);
    return () => {
      const { shape: from, axes } = transpositionFromCheckpoint(layout, shape);
      const tensor = tensorFromBytes(target, dtype as ByteType, from, axes, keepHalf);
      memory.release(target);
      return tensor;
    };
  };
}
