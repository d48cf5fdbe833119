/**
 * The frames of a comparison as small pictures: of this package, of diffusers, and the difference.
 */
import type { FloatArray, RgbImage } from '../../media/image.ts';
import { encodePng } from '../../media/video/animation.ts';
import type { FramesSheet } from '../../verification/report/comparison.ts';

/** Frames that are shown, spread over all. */
const FRAMES = 6;
/** Columns of pixels that a picture keeps at most. */
const COLUMNS = 320;

/**
 * Makes the pictures of frames `[B, F, H, W, 3]` in [0, 1]. Of larger ones it keeps every second,
 * third, ... pixel.
 */
export async function framesSheet(own: FloatArray, diffusers: FloatArray): Promise<FramesSheet> {
  const [videos, numFrames, height, width] = own.shape;
  const total = videos * numFrames;
  const count = Math.min(FRAMES, total);
  const frames = Array.from({ length: count }, (_, i) =>
    Math.round((i * (total - 1)) / Math.max(1, count - 1)),
  );
  const difference = (i: number) => Math.abs(own.data[i] - diffusers.data[i]);
  let largest = 0;
  for (let i = 0; i < own.data.length; i++) largest = Math.max(largest, difference(i));
  const white = largest > 0 && Number.isFinite(largest) ? largest : 1;
  const encode = (value: (i: number) => number) =>
    Promise.all(frames.map((frame) => encodePng(pictureOf(value, frame, height, width))));
  return {
    frames: frames.map((frame) => frame + 1),
    rows: [
      { label: 'This package', pictures: await encode((i) => own.data[i]) },
      { label: 'diffusers', pictures: await encode((i) => diffusers.data[i]) },
      {
        label: `Difference, at most ${largest.toExponential(1)}, which is white`,
        pictures: await encode((i) => difference(i) / white),
      },
    ],
  };
}

function pictureOf(
  value: (i: number) => number,
  frame: number,
  height: number,
  width: number,
): RgbImage {
  const stride = Math.ceil(width / COLUMNS);
  const [rows, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)];
  const data = new Uint8Array(rows * columns * 3);
  for (let row = 0, to = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const from = 3 * ((frame * height + row * stride) * width + column * stride);
      for (let c = 0; c < 3; c++) data[to++] = Math.round(255 * clamp(value(from + c)));
    }
  return { height: rows, width: columns, data };
}

const clamp = (value: number) => Math.min(1, Math.max(0, value));
