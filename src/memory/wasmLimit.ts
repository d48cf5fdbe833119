/** Checks whether weights fit into WebAssembly's memory. */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyBlock } from '../layers/index.ts';
import { formatBytes } from '../text/bytes.ts';
import { MemoryError } from './errors.ts';

/** The bytes of the float32 weights of blocks. */
export function float32Bytes(...blocks: AnyBlock[]): number {
  const shapes = blocks.flatMap((block) =>
    block.parameters().map(({ variable }) => variable.shape as number[]),
  );
  return shapes.reduce((sum, shape) => sum + 4 * tf.util.sizeFromShape(shape), 0);
}

/**
 * Refuses weights that cannot fit into WebAssembly's 4 GiB, where convolution and matrix kernels
 * keep a packed copy of each.
 * @param wayOut A sentence about what to do instead.
 * @throws MemoryError if they do not fit.
 */
export function checkWasmLimit(weightBytes: number, wayOut: string): void {
  if (tf.getBackend() === 'wasm' && 2 * weightBytes > 3.5 * 2 ** 30) {
    throw new MemoryError(
      `The weights take ${formatBytes(2 * weightBytes)} on the wasm backend, whose memory ` +
        `ends at 4 GiB. ${wayOut}`,
    );
  }
}
