/** Reads what `svd generate` starts from: pictures, or tensors in safetensors files. */
import * as tf from '@tensorflow/tfjs';
import { openSafetensors } from '../../checkpoints/safetensors/file.ts';
import { loadImage } from '../../media/loadImage.ts';
import type { FloatArray, ImageInput } from '../../pipelines/types.ts';

/** Pictures to animate and how many they are. A tensor among them is the caller's to dispose. */
export interface Pictures {
  image: ImageInput;
  count: number;
}

/**
 * Reads pictures from paths and URLs, or a batch of them from one `.safetensors` file.
 * @throws Error with one sentence if one is missing, unreadable or no picture.
 */
export async function readPictures(sources: string[]): Promise<Pictures> {
  if (sources[0].endsWith('.safetensors')) {
    const { data, shape } = await readTensor(sources[0], 'image', '[N,3,H,W]', 1);
    if (!data.every((value) => value >= 0 && value <= 1))
      throw new Error(`The values of \`image\` in ${sources[0]} have to be from 0 to 1.`);
    return { image: channelsLast(data, shape), count: shape[0] };
  }
  const image = [];
  for (const source of sources) image.push(await loadImage(source));
  return { image, count: image.length };
}

/**
 * Reads start noise `[B,F,4,h,w]`; the result is `[B, F, h, w, 4]` and the caller's to dispose.
 * @throws Error with one sentence if the file is missing or holds no such tensor.
 */
export async function readLatents(path: string): Promise<tf.Tensor> {
  const { data, shape } = await readTensor(path, 'latents', '[B,F,4,h,w]', 2);
  if (!data.every(Number.isFinite))
    throw new Error(`The values of \`latents\` in ${path} have to be finite.`);
  return channelsLast(data, shape);
}

/** Reads a tensor whose axes are those of `layout`; a number in it is the size of its axis. */
async function readTensor(
  path: string,
  name: string,
  layout: string,
  channelAxis: number,
): Promise<FloatArray> {
  const axes = layout.slice(1, -1).split(',');
  const file = await openSafetensors(path);
  try {
    if (!file.names().includes(name))
      throw new Error(
        `${path} has to hold a tensor \`${name}\` ${layout} but holds ${file.names().join(', ') || 'none'}.`,
      );
    const { shape } = file.info(name);
    if (
      shape.length !== axes.length ||
      shape.includes(0) ||
      shape[channelAxis] !== Number(axes[channelAxis])
    ) {
      throw new Error(`\`${name}\` in ${path} has to be ${layout} but is [${shape}].`);
    }
    return { data: await file.read(name), shape };
  } finally {
    await file.close();
  }
}

/** Moves the axis before the last two, the channels of PyTorch, to the end. */
function channelsLast(data: Float32Array, shape: number[]): tf.Tensor {
  const channels = shape.length - 3;
  const order = shape.map((_, axis) => axis).filter((axis) => axis !== channels);
  return tf.tidy(() => tf.transpose(tf.tensor(data, shape), [...order, channels]));
}
