/** The device that operations run on, or that a dry run of them stands for. */
import * as tf from '@tensorflow/tfjs-core';
import { nodeBackend } from './tensorflow/binding.ts';

/** A backend that follows shapes instead of computing, for planning memory. */
export interface ShapeBackend {
  /** The device that it stands for. */
  simulatedDevice: string;
  /** As `tensorLimit`, of that device. */
  tensorBytes?: number;
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

/** The bytes of the largest tensor on the device, if that has a limit. */
export const tensorLimit = (): number =>
  (tf.backend() as { tensorBytes?: number }).tensorBytes ?? Number.POSITIVE_INFINITY;

/**
 * Where tensors are on a device of WebGPU, waits until it has computed all that it was given, and
 * frees memory that it kept for later tensors.
 * @param block What runs next.
 * @throws Error when the device is lost or has failed.
 */
export async function settleDevice(block?: string): Promise<void> {
  await (tf.backend() as { settle?(block?: string): Promise<void> }).settle?.(block);
}

/** The most bytes that tensors have taken on a device of WebGPU; elsewhere undefined. */
export const peakDeviceBytes = (): number | undefined =>
  (tf.backend() as { bufferBytes?: { peakBytes: number } }).bufferBytes?.peakBytes;

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
 * The results of `compute` for runs of `size` out of `total` entries, joined along `axis`. All runs
 * take the same memory: in a dry run only the first one computes, and one tensor stands for the
 * others, however many they are.
 * @param compute Takes the first entry of a run and its number of entries.
 */
export function inRuns<T extends tf.Tensor>(
  total: number,
  size: number,
  compute: (first: number, count: number) => T,
  axis = 0,
): T {
  return tf.tidy(() => {
    const run = (first: number) => tf.tidy(() => compute(first, Math.min(size, total - first)));
    const parts: tf.Tensor[] = [run(0)];
    const rest = total - size;
    const shape = parts[0].shape.map((length, i) => (i === axis ? rest : length));
    const others = rest > 0 ? shapeOnlyOutput('others', shape, []) : undefined;
    if (others) parts.push(others);
    else for (let first = size; first < total; first += size) parts.push(run(first));
    return tf.concat(parts, axis) as T;
  });
}
