/** How much memory there is in a browser, as far as it tells. */
import * as tf from '@tensorflow/tfjs-core';
import type { Device, WebgpuBackend } from '../backends/webgpu/device.ts';
import type { MemoryLimits } from './limits.ts';

/**
 * Finds out what the current backend has for tensors, besides the 4 GiB of WebAssembly, which every
 * plan knows.
 */
export function browserMemoryLimits(): Partial<MemoryLimits> {
  if (tf.getBackend() !== 'webgpu') return {};
  const { device } = tf.backend() as WebgpuBackend & { device: Device };
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  return { tensorBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize) };
}

/**
 * Finds the limits at each call. Nothing is known of the memory of the cpu backend.
 * @param memory What a call may take in all: on webgpu, of the graphics card.
 */
export function browserLimits(memory?: number): (() => Partial<MemoryLimits>) | undefined {
  const backend = tf.getBackend();
  if (memory === undefined && backend !== 'wasm' && backend !== 'webgpu') return undefined;
  return () => ({
    ...browserMemoryLimits(),
    ...(backend === 'webgpu' ? { deviceBytes: memory } : { processBytes: memory }),
  });
}
