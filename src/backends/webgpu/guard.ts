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

/** The device of webgpu was lost, and with it all weights on it. The message says the way out. */
export class DeviceLostError extends Error {
  /** One sentence: what was lost, and what ran. */
  readonly loss: string;

  constructor(loss: string) {
    super(
      `${loss} Make the backend ready again with \`useBackend('webgpu')\`, in a browser ` +
        "`useBrowserBackend('webgpu')`, and load the model again.",
    );
    this.loss = loss;
  }
}

/** Watches a device. */
export interface DeviceGuard {
  /**
   * Throws the first error since its last call, if there is one. Once the device is lost, every
   * call throws.
   * @param block What the device is to run from now on, named when it is lost meanwhile.
   */
  check(block?: string): void;
  /** What `work` gives. Throws what `check` throws, which tells more than its own error. */
  watch<T>(work: () => Promise<T>): Promise<T>;
  /** Whether the device is lost. */
  readonly lost: boolean;
  /** Destroys the device, which is no loss then. */
  release(): void;
}

/** Milliseconds after which a failure is taken for another one than the loss of the device. */
const LOSS_TELLS = 1000;

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
    if (loss !== undefined) throw new DeviceLostError(loss);
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
  const check = (block?: string) => {
    throwLoss();
    const [first] = errors.splice(0);
    if (first !== undefined) throw new Error(`${first} ${wayOut}`);
    running = block ?? running;
  };
  return {
    check,
    async watch(work) {
      try {
        return await work();
      } catch (error) {
        // A driver that has died fails what it was given first, and tells of its loss then.
        const tooLong = new Promise((resolve) => setTimeout(resolve, LOSS_TELLS));
        await Promise.race([device.lost, tooLong]);
        throw error;
      } finally {
        check();
      }
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
  `${message.replace(/\s+/g, ' ').replace(/\.$/, '')}.`;

/** Guards a backend on its device, and gives it what `WebgpuBackend` says. */
export function guardBackend(backend: WebgpuBackend, device: Device, guard: DeviceGuard): void {
  guardReads(backend, guard.watch);
  backend.bufferBytes = countBuffers(device);
  backend.tensorBytes = largestTensor(device);
  reuseBuffers(backend);
  backend.settle = async (block) => {
    await guard.watch(() => settleBuffers(backend, device));
    guard.check(block);
  };
}

/**
 * Watches reads, and makes synchronous reads of data on the device throw how to read it. A tensor
 * in a larger buffer is read without the rest of that.
 */
export function guardReads(backend: WebgpuBackend, watch: DeviceGuard['watch']): void {
  const { read, readSync } = backend;
  backend.read = (dataId) =>
    watch(async () => {
      const data = backend.tensorMap.get(dataId);
      const values = await read.call(backend, dataId);
      const size = tf.util.sizeFromShape(data.shape);
      if (data.dtype === 'complex64' || values.length === size) return values;
      data.values = values.slice(0, size);
      return data.values;
    });
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
