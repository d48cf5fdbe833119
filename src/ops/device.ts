/** The device that operations run on, or that a dry run of them stands for. */
import * as tf from '@tensorflow/tfjs';
import { nodeBackend } from './tensorflow/binding.ts';

/** A backend that follows shapes instead of computing, for planning memory. */
export interface ShapeBackend {
  /** The device that it stands for. */
  simulatedDevice: string;
  /**
   * A tensor of `shape` in place of the result of `kernel`, which needs `scratchBytes` besides it.
   */
  outputOf(kernel: string, shape: number[], inputs: tf.Tensor[], scratchBytes: number): tf.Tensor;
}

/** The current backend if it follows shapes, else undefined. */
export function shapeBackend(): ShapeBackend | undefined {
  const current = tf.backend() as unknown as Partial<ShapeBackend>;
  return current.simulatedDevice === undefined ? undefined : (current as ShapeBackend);
}

/**
 * The backend's name. That of libtensorflow is `tensorflow-gpu` on a graphics card and
 * `tensorflow-cpu`, with oneDNN kernels, on a processor.
 */
export function deviceName(): string {
  const planned = shapeBackend();
  if (planned) return planned.simulatedDevice;
  const name = tf.getBackend();
  if (name !== 'tensorflow') return name;
  return `tensorflow-${nodeBackend().isUsingGpuDevice ? 'gpu' : 'cpu'}`;
}

/**
 * In a dry run, a tensor of `shape` in place of the result of `kernel`; otherwise undefined.
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
 * `compute`, for calls that take the same memory, such as those for slices of one size. In a dry
 * run only the first call computes; the others return a tensor of `shapeOf`.
 */
export function planOnce<T extends tf.Tensor>(
  compute: (i: number) => T,
  shapeOf: (i: number) => number[],
): (i: number) => T {
  let planned = false;
  return (i) => {
    const output = planned ? shapeOnlyOutput('alike', shapeOf(i), []) : undefined;
    planned = true;
    return (output as T | undefined) ?? compute(i);
  };
}
