/** Memory that tensors are read into on their way to the backend. */
import { uploadBuffer } from '../../ops/tensorflow/nativeTensors.ts';

/** Gives memory for the bytes of a tensor, and takes it back once the backend has them. */
export interface UploadMemory {
  take(bytes: number): Uint8Array;
  /** `memory` as `take` gave it. */
  give(memory: Uint8Array): void;
}

/**
 * Of the memory that tensors leave in a pool: the size of the smallest pieces, and how many are
 * kept.
 */
const SMALLEST = 2 ** 16;
const MOST = 16;

/**
 * Memory for tensors that come one after the other: what earlier ones have left has its pages, and
 * some of it is in the cache.
 */
export function uploadPool(): UploadMemory {
  const free: Uint8Array[] = [];
  const whole = new WeakMap<Uint8Array, Uint8Array>();
  return {
    take(bytes) {
      const found = free.findIndex((memory) => memory.length >= bytes);
      const memory = found < 0 ? uploadBuffer(Math.max(bytes, SMALLEST)) : free.splice(found, 1)[0];
      const part = memory.subarray(0, bytes);
      whole.set(part, memory);
      return part;
    },
    give(part) {
      free.push(whole.get(part)!);
      free.sort((a, b) => a.length - b.length);
      free.splice(0, free.length - MOST);
    },
  };
}

/** Every tensor begins at a multiple of it, so that alignment is kept. */
const UNIT = 64;
const rounded = (bytes: number) => Math.ceil(bytes / UNIT) * UNIT;

/** Memory for several tensors at a time, all given back together. */
export class UploadArena implements UploadMemory {
  private readonly bytes: number;
  private memory?: Uint8Array;
  private used = 0;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  /** The size that tensors of these sizes need. */
  static bytesFor(sizes: number[]): number {
    return sizes.reduce((sum, bytes) => sum + rounded(bytes), 0);
  }

  take(bytes: number): Uint8Array {
    this.memory ??= uploadBuffer(this.bytes);
    const start = this.used;
    if (start + rounded(bytes) > this.memory.length) return uploadBuffer(bytes);
    this.used += rounded(bytes);
    return this.memory.subarray(start, start + bytes);
  }

  give(): void {}

  /** Everything taken so far is free again. */
  reset(): void {
    this.used = 0;
  }

  /** Lets go of the memory. */
  free(): void {
    this.memory = undefined;
    this.used = 0;
  }
}
