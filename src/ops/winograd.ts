/** 3x3 convolution with half the multiplications: Winograd's F(4, 3) along the height, built from products. Source: Lavin and Gray 2015. */
import * as tf from '@tensorflow/tfjs';
import { kernels } from './kernels.ts';

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

/** Rows of an image that one transform matrix spans at most: the work of a transform grows with this, and the rows read twice with its inverse. */
const BAND = 32;

/**
 * 3x3 convolution with zero padding to the same size: x `[N, H, W, I]`, filter `[3, 3, I, O]`, bias `[O]` or, of its own for each image,
 * `[N, O]` -> `[N, H, W, O]`. About 1e-6 relative error.
 *
 * The transforms of input and output are products with small constant matrices over the height, which contain the padding, cut off the
 * rows of the last tile beyond H, and add the bias. High images go through in bands of rows. The filter is transformed at each call:
 * keeping it would double the memory of the weights.
 */
export function winogradConv3x3(x: tf.Tensor4D, filter: tf.Tensor4D, bias?: tf.Tensor1D | tf.Tensor2D): tf.Tensor4D {
  return tf.tidy(() => {
    const [n, h, w, inChannels] = x.shape;
    const outChannels = filter.shape[3];
    const bands = bandsOf(h);
    const tiles = Math.ceil(h / OUT / bands);
    const rows = bandRows(x, bands); // [N, bands, R, W*I]
    const filters = tf.tidy(() =>
      tf.reshape(kernels.matMul(tf.tensor2d(G), tf.reshape(filter, [3, -1])), [IN, 1, 3, inChannels, outChannels]),
    );
    const products = B.map((_, k) =>
      tf.tidy(() => {
        const input = kernels.batchMatMul(inputMatrix(k, tiles, bands, h), rows); // [N, bands, T, W*I]
        const kernel = tf.reshape(tf.slice(filters, k, 1), [1, 3, inChannels, outChannels]) as tf.Tensor4D;
        const product = tf.conv2d(tf.reshape(input, [n * bands, tiles, w, inChannels]) as tf.Tensor4D, kernel, 1, 'same'); // [N*bands, T, W, O]
        return tf.reshape(product, [n * bands, tiles, w * outChannels]);
      }),
    );
    const stacked = tf.tidy(() => tf.concat(bias ? [...products, biasRow(bias, n, bands, w)] : products, 1)); // [N*bands, 6T or 6T + 1, W*O]
    tf.dispose([rows, ...products]);
    return tf.reshape(kernels.batchMatMul(outputMatrix(tiles, h / bands, bias !== undefined), stacked), [n, h, w, outChannels]);
  });
}

/** The least number of equal bands of whole tiles with at most `BAND` rows; one, if the height is no number of whole tiles. */
function bandsOf(height: number): number {
  if (height % OUT !== 0) return 1;
  let bands = Math.ceil(height / BAND);
  while (height % (OUT * bands) !== 0) bands++;
  return bands;
}

/** The rows that each band reads, first to last: its own and one on either side. */
function rowsOf(bands: number, height: number): number[][] {
  if (bands === 1) return [Array.from({ length: height }, (_, row) => row)];
  const own = height / bands;
  return Array.from({ length: bands }, (_, band) => Array.from({ length: own + 2 }, (_, i) => band * own - 1 + i));
}

/** x `[N, H, W, I]` as `[N, bands, R, W*I]`. Rows beyond the image repeat its edge; no matrix reads them. */
function bandRows(x: tf.Tensor4D, bands: number): tf.Tensor4D {
  const [n, h, w, channels] = x.shape;
  if (bands === 1) return tf.reshape(x, [n, 1, h, w * channels]);
  const inside = rowsOf(bands, h).map((rows) => rows.map((row) => Math.min(Math.max(row, 0), h - 1)));
  const gathered = tf.gather(tf.reshape(x, [n, h, w * channels]), tf.tensor1d(inside.flat(), 'int32'), 1);
  return tf.reshape(gathered, [n, bands, -1, w * channels]);
}

/** Row k of B for every tile of every band, as matrices over the rows that a band reads: `[1, bands, T, R]`. Tile t reads rows 4t - 1 to 4t + 4. */
function inputMatrix(k: number, tiles: number, bands: number, height: number): tf.Tensor4D {
  const read = rowsOf(bands, height);
  const matrices = read.map((rows, band) =>
    Array.from({ length: tiles }, (_, t) =>
      rows.map((row) => {
        const i = row - (OUT * (band * tiles + t) - 1);
        return row >= 0 && row < height ? (B[k][i] ?? 0) : 0;
      }),
    ),
  );
  return tf.tensor4d([matrices]);
}

/** A for every tile of a band, from the six products in a row, and the bias if there is one, to the band's rows: `[1, R, 6T or 6T + 1]`. */
function outputMatrix(tiles: number, rows: number, withBias: boolean): tf.Tensor3D {
  const matrix = Array.from({ length: rows }, (_, row) => {
    const ofProducts = A[row % OUT].flatMap((a) => Array.from({ length: tiles }, (_, t) => (t === Math.floor(row / OUT) ? a : 0)));
    return withBias ? [...ofProducts, 1] : ofProducts;
  });
  return tf.tensor3d([matrix]);
}

/** A bias `[O]` or `[N, O]` as one more row below the products: `[N*bands, 1, W*O]`. */
function biasRow(bias: tf.Tensor1D | tf.Tensor2D, n: number, bands: number, width: number): tf.Tensor {
  const channels = bias.shape[bias.rank - 1] as number;
  const perImage = bias.rank === 2;
  const row = tf.tile(tf.reshape(bias, [-1, 1, 1, channels]), [perImage ? 1 : n, bands, width, 1]); // [N, bands, W, O]
  return tf.reshape(row, [n * bands, 1, width * channels]);
}
