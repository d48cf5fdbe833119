/**
 * The one table of how a weight's axes lie in a PyTorch checkpoint and in ours, and the copies
 * between the two.
 */
import type { Layout } from '../../layers/parameter.ts';

/**
 * Every layout is one case: `[O, I, K]` in checkpoints, `[K, I, O]` here, where O are the output
 * and I the input channels and K the taps of the kernel. The table says how the axes of the real
 * shapes make up these three.
 */
const layouts: Record<Exclude<Layout, 'same'>, LayoutCase> = {
  linear: { toOurs: ([o, i]) => [i, o], toTheirs: ([i, o]) => [o, i], axes: [1, 0] },
  conv2d: {
    toOurs: ([o, i, kh, kw]) => [kh, kw, i, o],
    toTheirs: ([kh, kw, i, o]) => [o, i, kh, kw],
    axes: [2, 3, 1, 0],
  },
  temporalConv: {
    toOurs: ([o, i, kt]) => [kt, 1, i, o],
    toTheirs: ([kt, , i, o]) => [o, i, kt, 1, 1],
    axes: [2, 3, 1, 0],
  },
};

interface LayoutCase {
  toOurs(shape: number[]): number[];
  toTheirs(shape: number[]): number[];
  /**
   * The checkpoint's axis that becomes each of ours. Its last axis of a temporal convolution, of
   * size 1, becomes none.
   */
  axes: number[];
}

/** The shape that our weight has for a checkpoint's `shape`. */
export function shapeFromCheckpoint(layout: Layout, shape: number[]): number[] {
  return layout === 'same' ? [...shape] : layouts[layout].toOurs(shape);
}

/**
 * The transposition from a checkpoint's `shape` to ours, if there is one to be done: of which axes,
 * and of which shape.
 */
export function transpositionFromCheckpoint(
  layout: Layout,
  shape: number[],
): { shape: number[]; axes?: number[] } {
  if (layout === 'same') return { shape };
  const { axes } = layouts[layout];
  return { shape: shape.slice(0, axes.length), axes };
}

/** The shape that a checkpoint has for our weight's `shape`. */
export function shapeInCheckpoint(layout: Layout, shape: number[]): number[] {
  return layout === 'same' ? [...shape] : layouts[layout].toTheirs(shape);
}

/**
 * A checkpoint's values in our axis order. `shape` is the checkpoint's. A new array, except that
 * `same` returns `values` themselves.
 */
export function valuesFromCheckpoint(
  layout: Layout,
  shape: number[],
  values: Float32Array,
): Float32Array {
  if (layout === 'same') return values;
  const [o, i] = shape;
  return reversedValues(values, o, i, values.length / (o * i));
}

/**
 * Our values in a checkpoint's axis order. `shape` is ours. A new array, except that `same` returns
 * `values` themselves.
 */
export function valuesForCheckpoint(
  layout: Layout,
  shape: number[],
  values: Float32Array,
): Float32Array {
  if (layout === 'same') return values;
  const [i, o] = shape.slice(-2);
  return reversedValues(values, values.length / (o * i), i, o);
}

/** Numbers of any type that has as many bytes. */
export type Elements = Float32Array | Uint8Array | Uint16Array | Uint32Array;

/** Where bytes go that are put into another order. */
export interface TransposeMemory {
  /** So many bytes, of any content, that begin where every element type may. */
  take(bytes: number): Uint8Array;
  /**
   * Transposes a matrix if it can, and says whether it has: what is column `j` of the row that
   * begins at `from[i]` becomes column `i` of the row that begins at `to[j]`.
   */
  transpose?(source: Elements, from: Uint32Array, result: Elements, to: Uint32Array): boolean;
}

/** Memory that is new each time. */
export const newMemory: TransposeMemory = { take: (bytes) => new Uint8Array(bytes) };

/**
 * A checkpoint's values in our axis order, as bytes of whatever type they are: not a bit of them
 * changes. `shape` is the checkpoint's. They are put into `memory`, except that `same` returns
 * `bytes` themselves.
 */
export function bytesFromCheckpoint(
  layout: Layout,
  shape: number[],
  bytes: Uint8Array,
  memory = newMemory,
): Uint8Array {
  if (layout === 'same') return bytes;
  const [o, i] = shape;
  return reversedBytes(bytes, o, i, sizeOf(shape) / (o * i), memory);
}

/** Our values in a checkpoint's axis order, in the same way. `shape` is ours. */
export function bytesForCheckpoint(
  layout: Layout,
  shape: number[],
  bytes: Uint8Array,
  memory = newMemory,
): Uint8Array {
  if (layout === 'same') return bytes;
  const [i, o] = shape.slice(-2);
  return reversedBytes(bytes, sizeOf(shape) / (o * i), i, o, memory);
}

function reversedValues(values: Float32Array, a: number, b: number, c: number): Float32Array {
  const result = new Float32Array(values.length);
  const [from, to] = rows(a, b, c);
  transpose(values, from, result, to);
  return result;
}

const sizeOf = (shape: number[]) => shape.reduce((product, axis) => product * axis, 1);

/** `bytes` and the target have to begin where an element of the type may. */
function reversedBytes(
  bytes: Uint8Array,
  a: number,
  b: number,
  c: number,
  memory: TransposeMemory,
): Uint8Array {
  const count = a * b * c;
  const View = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[
    bytes.length / count
  ] as typeof Uint32Array;
  const elements = ({ buffer, byteOffset }: Uint8Array) =>
    new View(buffer as ArrayBuffer, byteOffset, count);
  const result = memory.take(bytes.length);
  const [from, to] = rows(a, b, c);
  const matrix = [elements(bytes), from, elements(result), to] as const;
  if (!memory.transpose?.(...matrix)) transpose(...matrix);
  return result;
}

/**
 * `[A, B, C]` -> `[C, B, A]` as the transposition of a matrix: where its rows begin, and those of
 * the result.
 */
function rows(a: number, b: number, c: number): [from: Uint32Array, to: Uint32Array] {
  // The shorter of the two axes that change places, which may have length 1, goes along with the
  // one in the middle.
  return a > c
    ? [starts(1, a, (_, x) => x * b * c), starts(b, c, (y, z) => (z * b + y) * a)]
    : [starts(b, a, (y, x) => (x * b + y) * c), starts(1, c, (_, z) => z * b * a)];
}

/** Where each of `n * m` rows begins. */
function starts(n: number, m: number, start: (i: number, j: number) => number): Uint32Array {
  const result = new Uint32Array(n * m);
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) result[i * m + j] = start(i, j);
  return result;
}

/**
 * Tiles of 64 rows and of columns of 64 bytes stay in the cache, which the plain loop misses on
 * every value: 1280x1280x3x3 in 61 instead of 168 ms.
 */
const TILE_ROWS = 64;
const TILE_BYTES = 64;

/**
 * Transposes a matrix: what is column `j` of the row that begins at `from[i]` becomes column `i` of
 * the row that begins at `to[j]`.
 */
function transpose(source: Elements, from: Uint32Array, result: Elements, to: Uint32Array): void {
  const width = TILE_BYTES / source.BYTES_PER_ELEMENT;
  for (let top = 0; top < from.length; top += TILE_ROWS) {
    const bottom = Math.min(from.length, top + TILE_ROWS);
    for (let left = 0; left < to.length; left += width) {
      const right = Math.min(to.length, left + width);
      for (let j = left; j < right; j++) {
        for (let i = top, at = to[j] + top; i < bottom; i++, at++) result[at] = source[from[i] + j];
      }
    }
  }
}
