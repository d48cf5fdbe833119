/**
 * The colours of latents without the VAE: an affine map from the channels of a latent pixel to RGB,
 * fitted by least squares to a picture and its own latents. It explains 83 to 93 % of the variance
 * of the pictures in `examples/pictures`. Factors made for one VAE explain nothing of another's.
 */
import type { FloatArray, RgbImage } from './image.ts';
import { vaePixelValues } from './preprocess.ts';

/** The share of the latents' mean square that is added to the diagonal: plain pictures need it. */
const RIDGE = 1e-3;

/** Turns latents `[F, h, w, C]` into pictures of `w` x `h` pixels, a pixel a latent. */
export type LatentColours = (latents: FloatArray) => RgbImage[];

/** Fits the map to a picture and its latents `[1, h, w, C]`. */
export function fitLatentColours(picture: RgbImage, { data, shape }: FloatArray): LatentColours {
  const [, height, width, channels] = shape as [number, number, number, number];
  const colours = vaePixelValues([picture], height, width).data; // [1, h, w, 3] in [-1, 1]
  const size = channels + 1; // the last column is the constant
  const equations = Array.from({ length: size }, () => new Float64Array(size + 3));
  for (let pixel = 0; pixel < height * width; pixel++) {
    const inputs = [...data.subarray(pixel * channels, (pixel + 1) * channels), 1];
    const row = [...inputs, ...colours.subarray(3 * pixel, 3 * pixel + 3)];
    for (const [i, x] of inputs.entries())
      for (const [j, y] of row.entries()) equations[i]![j]! += x * y;
  }
  const squares = equations.slice(0, channels).reduce((sum, row, i) => sum + row[i]!, 0);
  for (let i = 0; i < channels; i++) equations[i]![i]! += (RIDGE * squares) / channels || 1;
  return coloursBy(eliminated(equations), size);
}

/** Gauss-Jordan elimination of a positive definite system; the solution is in the last columns. */
function eliminated(rows: Float64Array[]): Float64Array[] {
  for (const [i, pivot] of rows.entries()) {
    const scale = pivot[i]!;
    pivot.forEach((value, k) => {
      pivot[k] = value / scale;
    });
    for (const other of rows) {
      const factor = other[i]!;
      if (other !== pivot) for (const [k, value] of pivot.entries()) other[k]! -= factor * value;
    }
  }
  return rows;
}

const coloursBy =
  (solution: Float64Array[], size: number): LatentColours =>
  ({ data, shape }) => {
    const [frames, height, width, channels] = shape as [number, number, number, number];
    const pixels = height * width;
    return Array.from({ length: frames }, (_, frame) => {
      const rgb = new Uint8ClampedArray(3 * pixels);
      for (let pixel = 0; pixel < pixels; pixel++) {
        const from = (frame * pixels + pixel) * channels;
        for (let c = 0; c < 3; c++) {
          let value = solution[channels]![size + c]!;
          for (let k = 0; k < channels; k++) value += data[from + k]! * solution[k]![size + c]!;
          rgb[3 * pixel + c] = (value + 1) * 127.5;
        }
      }
      return { width, height, data: new Uint8Array(rgb.buffer) };
    });
  };
