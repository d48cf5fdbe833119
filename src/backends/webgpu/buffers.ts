/**
 * The buffers of a WebGPU device: counted, used again, and given back. TensorFlow.js keeps those it
 * has freed for tensors of exactly the same size, and returns none.
 */
import { submit } from '../../ops/webgpu/backend.ts';
import { fittingSize, LARGE } from '../../ops/webgpu/reuse.ts';
import type { BufferBytes, BufferManager, Device, WebgpuBackend } from './device.ts';

/** Counts the buffers that `device` makes from now on. */
export function countBuffers(device: Device): BufferBytes {
  const counted: BufferBytes = { bytes: 0, peakBytes: 0 };
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    counted.bytes += descriptor.size;
    counted.peakBytes = Math.max(counted.peakBytes, counted.bytes);
    const destroy = buffer.destroy.bind(buffer);
    let left = descriptor.size;
    buffer.destroy = () => {
      counted.bytes -= left;
      left = 0;
      destroy();
    };
    return buffer;
  };
  return counted;
}

/** `GPUBufferUsage.STORAGE`: tensors live in such buffers. */
export const storage = 0x80;

/**
 * Lets large tensors use freed buffers of other sizes, and at once: TensorFlow.js frees nothing
 * before the device has the commands that use it, which it collects. Within a block, buffers are
 * used again and none destroyed, as the device is far behind: it would give nothing back before it
 * gets there, and hold what took their place meanwhile.
 */
export function reuseBuffers(backend: WebgpuBackend): void {
  const { bufferManager } = backend;
  const acquireBuffer = bufferManager.acquireBuffer.bind(bufferManager);
  bufferManager.acquireBuffer = (bytes, usage, mapped, reuse = true) => {
    if (!reuse || bytes < LARGE || !(usage & storage))
      return acquireBuffer(bytes, usage, mapped, reuse);
    const fitting = () => fittingSize(bytes, freeSizes(bufferManager, usage));
    let size = fitting();
    if (size === undefined) {
      submit(backend);
      size = fitting() ?? bytes;
    }
    return acquireBuffer(size, usage, mapped);
  };
}

function* freeSizes({ freeBuffers }: BufferManager, usage: number): Generator<number> {
  for (const [buffer] of freeBuffers.values()) if (buffer?.usage === usage) yield buffer.size;
}

/** Freed buffers of fewer bytes stay for later tensors: they are many, and take little. */
const SMALL = 2 ** 14;

/** Destroys the buffers that TensorFlow.js keeps for later tensors. */
function destroyFreed(manager: BufferManager): void {
  for (const buffers of manager.freeBuffers.values()) {
    if (!buffers.length || buffers[0].size < SMALL) continue;
    for (const buffer of buffers.splice(0)) {
      buffer.destroy();
      manager.numFreeBuffers--;
      manager.numBytesAllocated -= buffer.size;
    }
  }
}

/** Lets the device finish all that it was given, and takes back the memory that is free then. */
export async function settleBuffers(backend: WebgpuBackend, { queue }: Device): Promise<void> {
  submit(backend);
  await queue.onSubmittedWorkDone();
  destroyFreed(backend.bufferManager);
}
