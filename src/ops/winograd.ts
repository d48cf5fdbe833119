/** 3x3 convolution with half the multiplications: Winograd's F(4, 3) along the height, built from stock ops. Source: Lavin and Gray 2015. */
import * as tf from '@tensorflow/tfjs';

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
 * 3x3 convolution with zero padding to the same size: x `[N, H, W, I]`, filter `[3, 3, I, O]` -> `[N, H, W, O]`. About 1e-6 relative error.
 *
 * The transforms of input and output are products with small constant matrices over the height, which contain the padding and cut off the
 * rows of the last tile beyond H. The filter is transformed at each call: keeping it would double the memory of the weights.
 */
export function winogradConv3x3(x: tf.Tensor4D, filter: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => {
    const [n, h, w, inChannels] = x.shape;
    const outChannels = filter.shape[3];
    const tiles = Math.ceil(h / OUT);
    const rows = tf.reshape(x, [n, h, w * inChannels]); // [N, H, W*I]
    const filters = tf.tidy(() => tf.reshape(tf.matMul(tf.tensor2d(G), tf.reshape(filter, [3, -1])), [IN, 1, 3, inChannels, outChannels]));
    const products = B.map((_, k) =>
      tf.tidy(() => {
        const input = tf.reshape(tf.matMul(inputMatrix(k, tiles, h), rows), [n, tiles, w, inChannels]) as tf.Tensor4D;
        const kernel = tf.reshape(tf.slice(filters, k, 1), [1, 3, inChannels, outChannels]) as tf.Tensor4D;
        const product = tf.conv2d(input, kernel, 1, 'same'); // [N, T, W, O]
        return tf.reshape(product, [n, tiles, w * outChannels]);
      }),
    );
    return tf.reshape(
      tf.matMul(
        outputMatrix(tiles, h),
        tf.tidy(() => tf.concat(products, 1)),
      ),
      [n, h, w, outChannels],
    );
  });
}

/** Row k of B for every tile, as a matrix over the rows of the image: `[1, T, H]`. Tile t reads rows 4t - 1 to 4t + 4. */
function inputMatrix(k: number, tiles: number, height: number): tf.Tensor3D {
  const values = new Float32Array(tiles * height);
  for (let t = 0; t < tiles; t++) {
    for (let i = 0; i < IN; i++) {
      const row = OUT * t - 1 + i;
      if (row >= 0 && row < height) values[t * height + row] = B[k][i];
    }
  }
  return tf.tensor3d(values, [1, tiles, height]);
}

/** A for every tile, from the six products in a row to the rows of the image: `[1, H, 6T]`. */
function outputMatrix(tiles: number, height: number): tf.Tensor3D {
  const values = new Float32Array(height * IN * tiles);
  for (let row = 0; row < height; row++) {
    const tile = Math.floor(row / OUT);
    for (let k = 0; k < IN; k++) values[row * IN * tiles + k * tiles + tile] = A[row % OUT][k];
  }
  return tf.tensor3d(values, [1, height, IN * tiles]);
}
