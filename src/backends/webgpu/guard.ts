/**
 * Makes the webgpu backend throw where WebGPU only reports an event and goes on with wrong numbers:
 * buffers beyond the device's limits, uncaptured errors, a lost device, and synchronous reads.
 */
import type * as tf from '@tensorflow/tfjs-core';

/** The parts of WebGPU's `GPUDevice` that are used here. */
export interface Device {
  limits: Record<string, number>;
  lost: Promise<{ reason: string; message: string }>;
  createBuffer(descriptor: { size: number; usage: number }): object;
  addEventListener(
    type: 'uncapturederror',
    listener: (event: { error: Error; preventDefault(): void }) => void,
  ): void;
  destroy(): void;
}

/** The parts of the backend that are guarded. */
export interface WebgpuBackend extends tf.KernelBackend {
  tensorMap: { get(dataId: object): { values?: unknown } };
  read(dataId: object): Promise<tf.backend_util.TypedArray>;
  readSync(dataId: object): tf.backend_util.TypedArray;
}

/** The size of the largest tensor on a device in bytes. */
export const largestTensor = ({ limits }: Pick<Device, 'limits'>): number =>
  Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);

/** `GPUBufferUsage.STORAGE`: tensors live in such buffers. */
const storage = 0x80;

const wayOut = 'Try a smaller size, fewer frames, a smaller decode chunk, or another backend.';

/**
 * Makes `device.createBuffer` throw for a size beyond the device's limits, and collects every other
 * error.
 * @returns A function that throws the first error collected since its last call, if there is one.
 * It throws at every call once the device is lost.
 */
export function guardDevice(device: Device): () => void {
  const errors: string[] = [];
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    errors.push(event.error.message.trim());
  });
  let loss: string | undefined;
  void device.lost.then(({ reason, message }) => {
    if (reason !== 'destroyed') loss = `the device was lost: ${message}`;
  });
  const [tensorLimit, bufferLimit] = [largestTensor(device), device.limits.maxBufferSize];
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const most = descriptor.usage & storage ? tensorLimit : bufferLimit;
    if (descriptor.size > most) {
      const [wanted, allowed] = [descriptor.size, most].map((bytes) =>
        (bytes / 2 ** 20).toFixed(0),
      );
      throw new Error(
        `The webgpu device takes tensors of at most ${allowed} MiB but one of ${wanted} MiB ` +
          `is needed. ${wayOut}`,
      );
    }
    return createBuffer(descriptor);
  };
  return () => {
    const first = errors.splice(0)[0] ?? loss;
    if (first === undefined) return;
    throw new Error(`The webgpu backend failed: ${first.replace(/\s+/g, ' ')} ${wayOut}`);
  };
}

/**
 * Makes reads throw when `check` throws, and synchronous reads of data on the device throw how to
 * read it.
 */
export function guardReads(backend: WebgpuBackend, check: () => void): void {
  const { read, readSync } = backend;
  backend.read = async (dataId) => {
    const values = await read.call(backend, dataId);
    check();
    return values;
  };
  backend.readSync = (dataId) => {
    if (backend.tensorMap.get(dataId).values == null) {
      throw new Error(
        'The webgpu backend cannot read a tensor synchronously. Use `await tensor.data()` ' +
          'instead of `dataSync()`.',
      );
    }
    return readSync.call(backend, dataId);
  };
}
