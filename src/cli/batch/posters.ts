/** Small pictures of first frames, for pages. */
import * as tf from '@tensorflow/tfjs-core';
import type { FloatArray, RgbImage } from '../../media/image.ts';
import { framesToImages } from '../../media/preprocess.ts';
import type { Frames, OutputType } from '../../pipelines/types.ts';

/** Pixels of the longer side. */
const SIDE = 320;

/** The first frame of each video as a `data:` address. Tensors are one file, and latents show none. */
export async function posters(frames: Frames[OutputType]): Promise<(string | undefined)[]> {
  if (frames instanceof tf.Tensor) return [];
  const firsts = Array.isArray(frames) ? frames.map(([first]) => first) : [firstIn(frames)];
  return Promise.all(firsts.map(poster));
}

function firstIn({ data, shape }: FloatArray): RgbImage {
  const [, , ...size] = shape;
  const values = data.slice(
    0,
    size.reduce((product, n) => product * n, 1),
  );
  return framesToImages({ data: values, shape: [1, 1, ...size] })[0][0];
}

async function poster({ data, width, height }: RgbImage): Promise<string> {
  const { default: sharp } = await import('sharp'); // only here, because it takes 10 MB
  const jpeg = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize({ width: SIDE, height: SIDE, fit: 'inside', withoutEnlargement: true })
    .jpeg()
    .toBuffer();
  return `data:image/jpeg;base64,${jpeg.toString('base64')}`;
}
