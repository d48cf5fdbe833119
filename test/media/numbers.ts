/** Numbers that follow from names, and reading of those that the reference scripts wrote. */
import type { FloatArray } from '../../src/media/image.ts';

/**
 * The values in [-1, 1) of the generator seeded by the hash of a name (test/reference/README.md).
 */
export function uniform(name: string, count: number): Float64Array {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) state = Math.imul(state ^ byte, 0x01000193);
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  });
}

/** The bytes of a picture of noise. */
export function bytes(name: string, count: number): Uint8Array {
  return Uint8Array.from(uniform(name, count), (u) => Math.floor(((u + 1) / 2) * 256));
}

/** An array as the reference scripts store it: little-endian float32 in base64. */
export interface EncodedFloats {
  shape: number[];
  data: string;
}

export function decodeFloats({ shape, data }: EncodedFloats): FloatArray {
  return { shape, data: new Float32Array(new Uint8Array(Buffer.from(data, 'base64')).buffer) };
}

/** Infinite when the lengths differ. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}
