/**
 * The one table of how a weight's axes lie in a PyTorch checkpoint and in a TensorFlow.js variable,
 * and the copies between the two.
 */
import type { Layout } from '../../layers/parameter.ts';

/**
 * Every layout is `[O, I, K]` in checkpoints and `[K, I, O]` in variables, where O are the output
 * channels, I the input channels and K the taps of the kernel. The table says how the axes of the
 * real shapes make up these three.
 */
const layouts: Record<Exclude<Layout, 'same'>, LayoutCase> = {
  linear: { toTfjs: ([o, i]) => [i, o], toPytorch: ([i, o]) => [o, i], axes: [1, 0] },
  conv2d: {
    toTfjs: ([o, i, kh, kw]) => [kh, kw, i, o],
    toPytorch: ([kh, kw, i, o]) => [o, i, kh, kw],
    axes: [2, 3, 1, 0],
  },
  temporalConv: {
    toTfjs: ([o, i, kt]) => [kt, 1, i, o],
    toPytorch: ([kt, , i, o]) => [o, i, kt, 1, 1],
    axes: [2, 3, 1, 0],
  },
};

interface LayoutCase {
  toTfjs(shape: number[]): number[];
  toPytorch(shape: number[]): number[];
  /**
   * The checkpoint's axis that becomes each axis of the variable. The last axis of a temporal
   * convolution, of size 1, is dropped.
   */
  axes: number[];
}

/** The shape of the variable for a checkpoint's `shape`. */
export function shapeFromCheckpoint(layout: Layout, shape: number[]): number[] {
  return layout === 'same' ? [...shape] : layouts[layout].toTfjs(shape);
}

/**
 * The transposition from a checkpoint's `shape` to the variable's: the shape to transpose and,
 * unless the two are the same, the permutation.
 */
export function transpositionFromCheckpoint(
  layout: Layout,
  shape: number[],
): { shape: number[]; axes?: number[] } {
  if (layout === 'same') return { shape };
  const { axes } = layouts[layout];
  return { shape: shape.slice(0, axes.length), axes };
}

/** The shape in a checkpoint for a variable's `shape`. */
export function shapeInCheckpoint(layout: Layout, shape: number[]): number[] {
  return layout === 'same' ? [...shape] : layouts[layout].toPytorch(shape);
}

/** Three axes `[A, B, C]` that become `[C, B, A]`. */
export type Reversal = [a: number, b: number, c: number];

const sizeOf = (shape: number[]) => shape.reduce((product, axis) => product * axis, 1);

/** How values in a checkpoint's `shape` get into TensorFlow.js' axis order, if that is another. */
export function reversalFromCheckpoint(layout: Layout, shape: number[]): Reversal | undefined {
  const [o, i] = shape;
  return layout === 'same' ? undefined : [o, i, sizeOf(shape) / (o * i)];
}

/** How values in a variable's `shape` get into a checkpoint's axis order, if that is another. */
export function reversalForCheckpoint(layout: Layout, shape: number[]): Reversal | undefined {
  const [i, o] = shape.slice(-2);
  return layout === 'same' ? undefined : [sizeOf(shape) / (o * i), i, o];
}

/**
 * A checkpoint's values in TensorFlow.js' axis order. `shape` is the checkpoint's. Returns a new
 * array, except that `same` returns `values` themselves.
 */
export function valuesFromCheckpoint(
  layout: Layout,
  shape: number[],
  values: Float32Array,
): Float32Array {
  return reverseValues(values, reversalFromCheckpoint(layout, shape));
}

/**
 * A variable's values in a checkpoint's axis order. `shape` is the variable's. Returns a new array,
 * except that `same` returns `values` themselves.
 */
export function valuesForCheckpoint(
  layout: Layout,
  shape: number[],
  values: Float32Array,
): Float32Array {
  return reverseValues(values, reversalForCheckpoint(layout, shape));
}

function reverseValues(values: Float32Array, reversal?: Reversal): Float32Array {
  if (reversal === undefined) return values;
  const result = new Float32Array(values.length);
  transpose(values, result, ...rowsOf(reversal));
  return result;
}

/**
 * Reverses the axes of values of any type, as bytes: no bit of them changes. The memory of both has
 * to begin at a multiple of 8 bytes.
 */
export function reverseBytes(bytes: Uint8Array, reversal: Reversal, target: Uint8Array): void {
  const width = bytes.length / sizeOf(reversal);
  const [from, to] = rowsOf(reversal);
  const View = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[
    width
  ] as typeof Uint32Array;
  const [source, result] = [bytes, target].map(
    ({ buffer, byteOffset, byteLength }) =>
      new View(buffer as ArrayBuffer, byteOffset, byteLength / View.BYTES_PER_ELEMENT),
  );
  transpose(source, result, from, to);
}

/**
 * `[A, B, C]` -> `[C, B, A]` as the transposition of a matrix: where its rows begin, and those of
 * the result.
 */
export function rowsOf([a, b, c]: Reversal): [from: Uint32Array, to: Uint32Array] {
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
function transpose(
  source: Float32Array | Uint32Array,
  result: Float32Array | Uint32Array,
  from: Uint32Array,
  to: Uint32Array,
): void {
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
