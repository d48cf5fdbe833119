/**
 * 3x3 convolution with half the multiplications: Winograd's F(4, 3) along the height, built from
 * products. Source: Lavin and Gray 2015.
 */
import * as tf from '@tensorflow/tfjs-core';
import { kernels } from '../tensorflow/kernels.ts';

/** Output rows per tile, and input rows that a tile reads. */
const [OUT, IN] = [4, 6];

/** Six transformed rows from the six input rows of a tile. */
const B = [
  [4, 0, -5, 0, 1, 0],
  [0, -4, -4, 1, 1, 0],
  [0, 4, -4, -1, 1, 0],
  [0, -2, -1, 2, 1, 0],
  [0, 2, -1, -2, 1, 0],
  [0, 4, 0, -5, 0, 1],
];
/** Six transformed filter rows from three. */
const G = [
  [1 / 4, 0, 0],
  [-1 / 6, -1 / 6, -1 / 6],
  [-1 / 6, 1 / 6, -1 / 6],
  [1 / 24, 1 / 12, 1 / 6],
  [1 / 24, -1 / 12, 1 / 6],
  [0, 0, 1],
];
/** Four output rows from six products. */
const A = [
  [1, 1, 1, 1, 1, 0],
  [0, 1, -1, 2, -2, 0],
  [0, 1, 1, 4, 4, 0],
  [0, 1, -1, 8, -8, 1],
];

/**
 * Rows of a band at most: the work of a transform grows with the rows that its matrix spans, the
 * rows read twice with the number of bands.
 */
const BAND = 32;

/** Bytes that transformed rows and products may take at a time. */
const TEMPORARY_BYTES = 96 * 2 ** 20;

/**
 * Convolution of x `[N, H, W, I]` by a kernel `[1, 3, I, O]`, with one column of zeros on either
 * side -> `[N, H, W, O]`.
 */
type RowConvolution = (x: tf.Tensor4D, kernel: tf.Tensor4D) => tf.Tensor4D;

/** A run of rows of one image. */
interface Band {
  image: number;
  first: number;
}

/**
 * 3x3 convolution with zero padding to the same size: x `[N, H, W, I]`, filter `[3, 3, I, O]`, bias
 * `[O]` or, one per image, `[N, O]` -> `[N, H, W, O]`. About 1e-6 relative error.
 *
 * The transforms of input and output are products with small constant matrices over the height,
 * which contain the padding, cut off the rows of the last tile beyond H, and add the bias. High
 * images go through in bands of rows, and many bands in groups, which keeps matrices and
 * temporaries small. The filter is transformed at each call, a part at a time: keeping it would
 * double the memory of the weights.
 */
export function winogradConv3x3(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  bias: tf.Tensor1D | tf.Tensor2D | undefined,
  convolveRows: RowConvolution,
): tf.Tensor4D {
  return tf.tidy(() => {
    const [n, h, w, inChannels] = x.shape;
    const outChannels = filter.shape[3];
    const height = bandHeight(h);
    const bands = Array.from({ length: (n * h) / height }, (_, i) => ({
      image: Math.floor((i * height) / h),
      first: (i * height) % h,
    }));
    const bytes = 4 * bands.length * height * w * (inChannels + 2 * (IN / OUT) * outChannels);
    const size = Math.ceil(bands.length / Math.ceil(bytes / TEMPORARY_BYTES));
    const results: tf.Tensor[] = [];
    for (let i = 0; i < bands.length; i += size)
      results.push(convolveBands(x, bands.slice(i, i + size), height, filter, bias, convolveRows));
    return tf.reshape(results.length === 1 ? results[0] : tf.concat(results), [
      n,
      h,
      w,
      outChannels,
    ]);
  });
}

/**
 * The rows of a band: the most, up to `BAND`, that make whole tiles and divide the height. If the
 * height is not a multiple of the tile, all rows.
 */
function bandHeight(height: number): number {
  if (height % OUT !== 0) return height;
  let rows = Math.min(height, BAND);
  while (height % rows !== 0) rows -= OUT;
  return rows;
}

/** The convolution of bands of equal height of x `[N, H, W, I]` -> `[bands, rows, W*O]`. */
function convolveBands(
  x: tf.Tensor4D,
  bands: Band[],
  height: number,
  filter: tf.Tensor4D,
  bias: tf.Tensor1D | tf.Tensor2D | undefined,
  convolveRows: RowConvolution,
): tf.Tensor {
  return tf.tidy(() => {
    const [, imageHeight, width, inChannels] = x.shape;
    const tiles = Math.ceil(height / OUT);
    const rows = readRows(x, bands, height); // [bands, R, W*I]
    const multiply = (k: number, kernel: tf.Tensor4D) =>
      tf.tidy(() => {
        const input = kernels.batchMatMul(
          inputMatrices(k, tiles, bands, height, imageHeight),
          rows,
        ); // [bands, T, W*I]
        const tiled = tf.reshape(input, [bands.length, tiles, width, inChannels]) as tf.Tensor4D;
        // [bands, T, W*O]
        return tf.reshape(convolveRows(tiled, kernel), [bands.length, tiles, -1]);
      });
    const products = KERNELS.flatMap((ks) =>
      tf.tidy(() => transformed(filter, ks).map((kernel, i) => multiply(ks[i], kernel))),
    );
    rows.dispose();
    const stacked = tf.tidy(() =>
      tf.concat(bias ? [...products, biasRows(bias, bands, width)] : products, 1),
    ); // [bands, 6T or 6T + 1, W*O]
    tf.dispose(products);
    return kernels.batchMatMul(outputMatrix(tiles, height, bias !== undefined), stacked);
  });
}

/**
 * The transformed kernels that are made together: two that need all three rows of the filter, or
 * one that needs one of them.
 */
const KERNELS = [[0], [1, 2], [3, 4], [5]];

/** Kernels `ks` of a filter `[3, 3, I, O]`: `[1, 3, I, O]` each. */
function transformed(filter: tf.Tensor4D, ks: number[]): tf.Tensor4D[] {
  const shape: [number, number, number, number] = [
    1,
    ...(filter.shape.slice(1) as [number, number, number]),
  ];
  const used = G[ks[0]].flatMap((weight, row) => (weight === 0 ? [] : [row]));
  const rows = tf.reshape(tf.slice(filter, used[0], used.length), [used.length, -1]) as tf.Tensor2D;
  const pair = kernels.matMul(tf.tensor2d(ks.map((k) => used.map((row) => G[k][row]))), rows);
  return ks.map((_, i) => tf.reshape(tf.slice(pair, i, 1), shape));
}

/**
 * Rows that each band reads: its own and, unless it is the whole image, one on either side. The
 * values of rows beyond the image's edge do not matter.
 */
function rowsOf(bands: Band[], height: number, imageHeight: number): number[][] {
  const halo = height === imageHeight ? 0 : 1;
  return bands.map(({ first }) =>
    Array.from({ length: height + 2 * halo }, (_, i) => first - halo + i),
  );
}

/** The rows that bands of x `[N, H, W, I]` read: `[bands, R, W*I]`. */
function readRows(x: tf.Tensor4D, bands: Band[], height: number): tf.Tensor {
  const [n, h, w, channels] = x.shape;
  if (height === h)
    return tf.slice(tf.reshape(x, [n, h, w * channels]), bands[0].image, bands.length);
  const inside = rowsOf(bands, height, h).map((rows, i) =>
    rows.map((row) => bands[i].image * h + Math.min(Math.max(row, 0), h - 1)),
  );
  const gathered = tf.gather(
    tf.reshape(x, [n * h, w * channels]),
    tf.tensor1d(inside.flat(), 'int32'),
  );
  return tf.reshape(gathered, [bands.length, -1, w * channels]);
}

/**
 * Row k of B for every tile of every band, as matrices over the rows that a band reads: `[bands or
 * 1, T, R]`. Tile t reads rows 4t - 1 to 4t + 4.
 */
function inputMatrices(
  k: number,
  tiles: number,
  bands: Band[],
  height: number,
  imageHeight: number,
): tf.Tensor3D {
  const kinds = height === imageHeight ? bands.slice(0, 1) : bands;
  const matrices = rowsOf(kinds, height, imageHeight).map((rows, i) =>
    Array.from({ length: tiles }, (_, t) =>
      rows.map((row) =>
        row >= 0 && row < imageHeight ? (B[k][row - (kinds[i].first + OUT * t - 1)] ?? 0) : 0,
      ),
    ),
  );
  return tf.tensor3d(matrices);
}

/**
 * A for every tile of a band, from the six products in a row, and the bias if there is one, to the
 * band's rows: `[1, rows, 6T or 6T + 1]`.
 */
function outputMatrix(tiles: number, height: number, withBias: boolean): tf.Tensor3D {
  const matrix = Array.from({ length: height }, (_, row) => {
    const ofProducts = A[row % OUT].flatMap((a) =>
      Array.from({ length: tiles }, (_, t) => (t === Math.floor(row / OUT) ? a : 0)),
    );
    return withBias ? [...ofProducts, 1] : ofProducts;
  });
  return tf.tensor3d([matrix]);
}

/** A bias `[O]` or `[N, O]` as one more row below the products of each band: `[bands, 1, W*O]`. */
function biasRows(bias: tf.Tensor1D | tf.Tensor2D, bands: Band[], width: number): tf.Tensor {
  const images = bands.map(({ image }) => (bias.rank === 2 ? image : 0));
  const perBand = tf.gather(
    tf.reshape(bias, [-1, bias.shape[bias.rank - 1] as number]),
    tf.tensor1d(images, 'int32'),
  ); // [bands, O]
  return tf.reshape(tf.tile(perBand, [1, width]), [bands.length, 1, -1]);
}
