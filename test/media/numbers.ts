/** Reads the numbers that the reference scripts wrote, and compares with them. */
import type { FloatArray } from '../../src/media/image.ts';

/** An array as the reference scripts store it: little-endian float32 in base64. */
export interface EncodedFloats {
  shape: number[];
  data: string;
}

export function decodeFloats({ shape, data }: EncodedFloats): FloatArray {
  return { shape, data: new Float32Array(new Uint8Array(Buffer.from(data, 'base64')).buffer) };
}

/** The largest difference of two values; infinite when the lengths differ. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}
