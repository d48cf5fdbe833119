/**
 * The buffers of a WebGPU device: counted, and given back. TensorFlow.js keeps those it has freed
 * for tensors of exactly the same size, and returns none.
 */
import { submit } from '../../ops/webgpu/backend.ts';
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
