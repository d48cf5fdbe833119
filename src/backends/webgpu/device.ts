/** The parts of WebGPU and of TensorFlow.js' backend on it that are used here. */
import type * as tf from '@tensorflow/tfjs-core';
import type { Commands } from '../../ops/webgpu/backend.ts';

/** The parts of WebGPU's `GPUBuffer` that are used here. */
export interface GpuBuffer {
  size: number;
  usage: number;
  destroy(): void;
}

/** The parts of WebGPU's `GPUDevice` that are used here. */
export interface Device {
  limits: Record<string, number>;
  lost: Promise<{ reason: string; message: string }>;
  createBuffer(descriptor: { size: number; usage: number }): GpuBuffer;
  queue: { onSubmittedWorkDone(): Promise<unknown> };
  addEventListener(
    type: 'uncapturederror',
    listener: (event: { error: Error; preventDefault(): void }) => void,
  ): void;
  destroy(): void;
}

/** The bytes of all buffers of a device. */
export interface BufferBytes {
  bytes: number;
  /** The most there have been. */
  peakBytes: number;
}

/** The parts of tfjs' `BufferManager` that are used here. */
export interface BufferManager {
  acquireBuffer(bytes: number, usage: number, mapped?: boolean, reuse?: boolean): GpuBuffer;
  freeBuffers: Map<string, GpuBuffer[]>;
  numFreeBuffers: number;
  numBytesAllocated: number;
}

/** The parts of the backend that are guarded. */
export interface WebgpuBackend extends tf.KernelBackend, Commands {
  tensorMap: {
    get(dataId: object): {
      shape: number[];
      dtype: tf.DataType;
      values?: tf.backend_util.TypedArray | null;
    };
  };
  read(dataId: object): Promise<tf.backend_util.TypedArray>;
  readSync(dataId: object): tf.backend_util.TypedArray;
  bufferManager: BufferManager;
  /** Set by `guardBackend`: see `settleDevice`. */
  settle?(block?: string): Promise<void>;
  /** Set by `guardBackend`: the memory of the device. */
  bufferBytes?: BufferBytes;
  /** Set by `guardBackend`: the bytes of the largest tensor. */
  tensorBytes?: number;
}
