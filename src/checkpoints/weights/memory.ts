/** Memory that tensors are read into on their way to a backend or a file. */

import { uploadBuffer } from '../../ops/halfWeights/halfWeights.ts';
import { type Reversal, reverseBytes } from './layout.ts';

/** Lends memory for the bytes of a tensor. */
export interface TensorMemory {
  /** Returns memory of so many bytes, of any content. */
  acquire(bytes: number): Uint8Array;
  /** Takes back memory that `acquire` returned and nobody uses any more. */
  release(memory: Uint8Array): void;
}

/**
 * Memory for tensors that come one after the other. The system clears fresh memory page by page,
 * which takes longer than to read and write what comes into it.
 */
export class BytePool implements TensorMemory {
  private readonly free: Uint8Array[] = [];
  private readonly whole = new WeakMap<Uint8Array, Uint8Array>();
  private readonly allocate: (bytes: number) => Uint8Array;
  private readonly most: number;
  private readonly smallest: number;

  /**
   * @param most The number of free pieces that are kept.
   * @param smallest The least bytes of a piece.
   */
  constructor(
    allocate: (bytes: number) => Uint8Array = (bytes) => new Uint8Array(bytes),
    most = 4,
    smallest = 2 ** 16,
  ) {
    this.allocate = allocate;
    this.most = most;
    this.smallest = smallest;
  }

  acquire(bytes: number): Uint8Array {
    const found = this.free.findIndex((memory) => memory.length >= bytes);
    const memory =
      found < 0 ? this.allocate(Math.max(bytes, this.smallest)) : this.free.splice(found, 1)[0];
    const part = memory.subarray(0, bytes);
    this.whole.set(part, memory);
    return part;
  }

  /** Whether memory is from here and has not been given back. */
  protected isLent(part: Uint8Array): boolean {
    return this.whole.has(part);
  }

  /** Other memory than what is lent is ignored. */
  release(part: Uint8Array): void {
    const memory = this.whole.get(part);
    if (memory === undefined) return;
    this.whole.delete(part);
    this.free.unshift(memory); // of equal ones, the last one used is the first to be used again
    this.free.sort((a, b) => a.length - b.length);
    this.free.splice(0, this.free.length - this.most);
  }

  /** Takes `bytes` back and returns them with their axes reversed. */
  reverse(bytes: Uint8Array, reversal: Reversal): Uint8Array {
    const result = this.acquire(bytes.length);
    this.transpose(bytes, reversal, result);
    this.release(bytes);
    return result;
  }

  protected transpose(bytes: Uint8Array, reversal: Reversal, target: Uint8Array): void {
    reverseBytes(bytes, reversal, target);
  }
}

/** A pool of memory that the current backend takes bytes from. */
export const uploadPool = (): BytePool => new BytePool(uploadBuffer, 16);

/** Every tensor begins at a multiple of this, so that alignment is kept. */
const UNIT = 64;
const rounded = (bytes: number) => Math.ceil(bytes / UNIT) * UNIT;

/** Memory for several tensors at a time, which are given back together. */
export class UploadArena implements TensorMemory {
  private readonly bytes: number;
  private memory?: Uint8Array;
  private used = 0;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  /** The bytes that tensors of these sizes need. */
  static bytesFor(sizes: number[]): number {
    return sizes.reduce((sum, bytes) => sum + rounded(bytes), 0);
  }

  acquire(bytes: number): Uint8Array {
    this.memory ??= uploadBuffer(this.bytes);
    const start = this.used;
    if (start + rounded(bytes) > this.memory.length) return uploadBuffer(bytes);
    this.used += rounded(bytes);
    return this.memory.subarray(start, start + bytes);
  }

  release(): void {}

  /** Makes everything acquired so far free again. */
  reset(): void {
    this.used = 0;
  }

  /** Lets go of the memory. */
  free(): void {
    this.memory = undefined;
    this.used = 0;
  }
}
