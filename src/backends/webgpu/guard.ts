/**
 * Makes the webgpu backend throw where WebGPU only reports an event and goes on with wrong numbers:
 * buffers beyond the device's limits, uncaptured errors, a lost device, and synchronous reads.
 */
import * as tf from '@tensorflow/tfjs-core';
import { countBuffers, reuseBuffers, settleBuffers, storage } from './buffers.ts';
import type { Device, WebgpuBackend } from './device.ts';

/** The size of the largest tensor on a device in bytes. */
export const largestTensor = ({ limits }: Pick<Device, 'limits'>): number =>
  Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);

const wayOut = 'Try a smaller size, fewer frames, a smaller decode chunk, or another backend.';

/** Watches a device. */
export interface DeviceGuard {
  /**
   * Throws the first error since its last call, if there is one. Once the device is lost, every
   * call throws.
   * @param block What the device is to run from now on, named when it is lost meanwhile.
   */
  check(block?: string): void;
  /** Whether the device is lost. */
  readonly lost: boolean;
  /** Destroys the device, which is no loss then. */
  release(): void;
}

/** Makes `device.createBuffer` throw for a size beyond the limits, and when the device is lost. */
export function guardDevice(device: Device): DeviceGuard {
  const errors: string[] = [];
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    errors.push(sentenceOf(event.error));
  });
  let [running, loss]: (string | undefined)[] = [];
  let released = false;
  void device.lost.then(({ reason, message }) => {
    if (!released) loss = lossOf(message.trim() || reason, running);
  });
  const throwLoss = () => {
    if (loss !== undefined) throw new Error(loss);
  };
  const [tensorLimit, bufferLimit] = [largestTensor(device), device.limits.maxBufferSize];
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    throwLoss();
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
  return {
    check(block) {
      throwLoss();
      const [first] = errors.splice(0);
      if (first !== undefined) throw new Error(`${first} ${wayOut}`);
      running = block ?? running;
    },
    get lost() {
      return loss !== undefined;
    },
    release() {
      released = true;
      device.destroy();
    },
  };
}

function sentenceOf(error: Error): string {
  const message = error.message.trim().replace(/\s+/g, ' ');
  return error.constructor.name === 'GPUOutOfMemoryError'
    ? `The webgpu device has too little memory for this call: ${message}`
    : `The webgpu backend failed: ${message}`;
}

const lossOf = (message: string, running?: string) =>
  `The webgpu device was lost${running === undefined ? '' : ` while ${running} ran`}: ` +
  `${message.replace(/\s+/g, ' ').replace(/\.$/, '')}. Make the backend ready again with ` +
  "`useBackend('webgpu')`, in a browser `useBrowserBackend('webgpu')`, and load the model again.";

/** Guards a backend on its device, and gives it what `WebgpuBackend` says. */
export function guardBackend(backend: WebgpuBackend, device: Device, guard: DeviceGuard): void {
  guardReads(backend, () => guard.check());
  backend.bufferBytes = countBuffers(device);
  backend.tensorBytes = largestTensor(device);
  reuseBuffers(backend);
  backend.settle = async (block) => {
    await settleBuffers(backend, device);
    guard.check(block);
  };
}

/**
 * Makes reads throw when `check` throws, and synchronous reads of data on the device throw how to
 * read it. A tensor in a larger buffer is read without the rest of that.
 */
export function guardReads(backend: WebgpuBackend, check: () => void): void {
  const { read, readSync } = backend;
  backend.read = async (dataId) => {
    try {
      const data = backend.tensorMap.get(dataId);
      const values = await read.call(backend, dataId);
      const size = tf.util.sizeFromShape(data.shape);
      if (data.dtype === 'complex64' || values.length === size) return values;
      data.values = values.slice(0, size);
      return data.values;
    } finally {
      check(); // its error tells more than that of the read
    }
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
