/** The one table of how a weight's axes lie in a PyTorch checkpoint and in ours, and the copies between the two. */
import type { Layout } from '../layers/block.ts';

/**
 * Every layout is one case: `[O, I, K]` in checkpoints, `[K, I, O]` here, where O are the output and I the input channels and K
 * the taps of the kernel. The table says how the axes of the real shapes make up these three.
 */
const layouts: Record<Exclude<Layout, 'same'>, LayoutCase> = {
  linear: { toOurs: ([o, i]) => [i, o], toTheirs: ([i, o]) => [o, i], axes: [1, 0] },
  conv2d: { toOurs: ([o, i, kh, kw]) => [kh, kw, i, o], toTheirs: ([kh, kw, i, o]) => [o, i, kh, kw], axes: [2, 3, 1, 0] },
  temporalConv: { toOurs: ([o, i, kt]) => [kt, 1, i, o], toTheirs: ([kt, , i, o]) => [o, i, kt, 1, 1], axes: [2, 3, 1, 0] },
};

interface LayoutCase {
  toOurs(shape: number[]): number[];
  toTheirs(shape: number[]): number[];
  /** The checkpoint's axis that becomes each of ours. Its last axis of a temporal convolution, of size 1, becomes none. */
  axes: number[];
}

/** The shape that our weight has for a checkpoint's `shape`. */
export function shapeFromCheckpoint(layout: Layout, shape: number[]): number[] {
  return layout === 'same' ? [...shape] : layouts[layout].toOurs(shape);
}

/** The transposition from a checkpoint's `shape` to ours, if there is one to be done: of which axes, and of which shape. */
export function transpositionFromCheckpoint(layout: Layout, shape: number[]): { shape: number[]; axes?: number[] } {
  if (layout === 'same') return { shape };
  const { axes } = layouts[layout];
  return { shape: shape.slice(0, axes.length), axes };
}

/** The shape that a checkpoint has for our weight's `shape`. */
export function shapeInCheckpoint(layout: Layout, shape: number[]): number[] {
  return layout === 'same' ? [...shape] : layouts[layout].toTheirs(shape);
}

/** A checkpoint's values in our axis order. `shape` is the checkpoint's. A new array, except that `same` returns `values` themselves. */
export function valuesFromCheckpoint(layout: Layout, shape: number[], values: Float32Array): Float32Array {
  if (layout === 'same') return values;
  const [o, i] = shape;
  return reversed(values, o, i, values.length / (o * i));
}

/** Our values in a checkpoint's axis order. `shape` is ours. A new array, except that `same` returns `values` themselves. */
export function valuesForCheckpoint(layout: Layout, shape: number[], values: Float32Array): Float32Array {
  if (layout === 'same') return values;
  const [i, o] = shape.slice(-2);
  return reversed(values, values.length / (o * i), i, o);
}

/** A checkpoint's values in our axis order, as bytes of whatever type they are: not a bit of them changes. `shape` is the checkpoint's. */
export function bytesFromCheckpoint(layout: Layout, shape: number[], bytes: Uint8Array): Uint8Array {
  if (layout === 'same') return bytes;
  const [o, i] = shape;
  return reversedBytes(bytes, o, i, sizeOf(shape) / (o * i));
}

/** Our values in a checkpoint's axis order, in the same way. `shape` is ours. */
export function bytesForCheckpoint(layout: Layout, shape: number[], bytes: Uint8Array): Uint8Array {
  if (layout === 'same') return bytes;
  const [i, o] = shape.slice(-2);
  return reversedBytes(bytes, sizeOf(shape) / (o * i), i, o);
}

const sizeOf = (shape: number[]) => shape.reduce((product, axis) => product * axis, 1);

/** `bytes` has to begin where an element of its type may. */
function reversedBytes(bytes: Uint8Array, a: number, b: number, c: number): Uint8Array {
  const { buffer, byteOffset, length } = bytes;
  const count = a * b * c;
  const views = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array };
  const source = new views[(length / count) as keyof typeof views](buffer as ArrayBuffer, byteOffset, count);
  return new Uint8Array(reversed(source as Uint32Array, a, b, c).buffer);
}

/**
 * `[A, B, C]` -> `[C, B, A]`. Works in tiles of 64 x 16, because the plain loop misses the cache on every value: 1280x1280x3x3 in 61 instead
 * of 168 ms, 10240x1280 in 47 instead of 113 ms; `tf.transpose` on the cpu backend takes 990 and 540 ms.
 */
function reversed<T extends Float32Array | Uint32Array>(source: T, a: number, b: number, c: number): T {
  const result = new (source.constructor as new (length: number) => T)(source.length);
  for (let startA = 0; startA < a; startA += 64) {
    const endA = Math.min(a, startA + 64);
    for (let startB = 0; startB < b; startB += 16) {
      const endB = Math.min(b, startB + 16);
      for (let z = 0; z < c; z++) {
        for (let y = startB; y < endB; y++) {
          const row = (z * b + y) * a;
          for (let x = startA, at = (startA * b + y) * c + z; x < endA; x++, at += b * c) result[row + x] = source[at];
        }
      }
    }
  }
  return result;
}
