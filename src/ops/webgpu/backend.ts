/** What TensorFlow.js' webgpu backend has that TensorFlow.js has no function for. */
import * as tf from '@tensorflow/tfjs-core';

/** A program of the backend. */
export interface Program {
  variableNames: string[];
  uniforms: string;
  outputShape: number[];
  workgroupSize: number[];
  dispatchLayout: { x: number[] };
  dispatch: number[];
  size: boolean;
  /** Equal for programs with the same code. */
  shaderKey: string;
  getUserCode(): string;
}

/** The parts of the backend that are used here. */
export interface WebgpuBackend extends Commands {
  bufferManager: { releaseBuffer(buffer: object, reuse: boolean): void };
  tensorMap: {
    get(dataId: object): { resource?: object | null };
    set(dataId: object, data: object): void;
  };
  makeTensorInfo(shape: number[], dtype: tf.DataType, values?: tf.TypedArray): tf.TensorInfo;
  uploadToGPU(dataId: object): void;
  runWebGPUProgram(
    program: Program,
    inputs: tf.TensorInfo[],
    dtype: tf.DataType,
    uniforms: { type: string; data: number[] }[],
    output: tf.TensorInfo,
  ): tf.TensorInfo;
  disposeData(dataId: object): boolean;
}

/** The commands that the backend collects before the device gets them. */
export interface Commands {
  commandEncoder: object | null;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

/** Gives the device all that it has to compute. */
export function submit(backend: Commands): void {
  if (!backend.commandEncoder) return;
  backend.endComputePassEncoder();
  backend.submitQueue();
}

/** The current backend, which has to be the webgpu backend. */
export const webgpu = () => tf.backend() as unknown as WebgpuBackend;
