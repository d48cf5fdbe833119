/** Reads the inputs of `svd generate`: pictures, or tensors in safetensors files. */
import * as tf from '@tensorflow/tfjs-core';
import { openSafetensors } from '../../checkpoints/safetensors/file.ts';
import { STANDARD } from '../../files/writing/target.ts';
import type { RgbImage } from '../../media/image.ts';
import { DECODING_BYTES, loadImage, MAX_PIXELS } from '../../media/pictures/loadImage.ts';
import { processLimit } from '../../memory/limits.ts';
import type { FloatArray, ImageInput } from '../../pipelines/types.ts';
import { hasEnding } from '../../text/endings.ts';
import { UsageError } from '../terminal/errors.ts';
import { atEnd } from '../terminal/session.ts';

/** The inputs of a call, whose tensors are freed when they are disposed. */
export interface Inputs extends Disposable {
  image: ImageInput;
  /** Number of pictures. */
  pictures: number;
  /** Start noise `[B, F, h, w, 4]`. */
  latents?: tf.Tensor;
}

/**
 * Reads pictures from paths and URLs, or a batch of them from one `.safetensors` file, and start
 * noise from `noise`.
 * @throws Error with one sentence if one is missing or unreadable.
 */
export async function readInputs(sources: string[], noise?: string): Promise<Inputs> {
  const image = await readPictures(sources);
  const latents = noise === undefined ? undefined : await readLatents(noise);
  const tensors = [image, latents].filter((input) => input instanceof tf.Tensor);
  return {
    image,
    latents,
    pictures: image instanceof tf.Tensor ? image.shape[0] : image.length,
    [Symbol.dispose]: () => tf.dispose(tensors),
  };
}

async function readPictures(sources: string[]): Promise<RgbImage[] | tf.Tensor> {
  if (!hasEnding(sources[0], '.safetensors')) {
    const images: RgbImage[] = [];
    for (const source of sources) {
      const room = processLimit('/') - process.memoryUsage.rss();
      const maxPixels = Math.min(MAX_PIXELS, Math.floor(room / DECODING_BYTES));
      images.push(await loadImage(source === STANDARD ? standardInput() : source, { maxPixels }));
    }
    return images;
  }
  const { data, shape } = await readTensor(sources[0], 'image', '[N,3,H,W]', 1);
  if (!data.every((value) => value >= 0 && value <= 1))
    throw new Error(`The values of \`image\` in ${sources[0]} have to be from 0 to 1.`);
  return channelsLast(data, shape);
}

/** @throws UsageError if standard input is the keyboard. */
function standardInput(): NodeJS.ReadStream {
  if (process.stdin.isTTY)
    throw new UsageError(
      '- is standard input, which is the terminal. Send a picture into it by <.',
    );
  return process.stdin;
}

/** Reads start noise `[B,F,4,h,w]` as `[B, F, h, w, 4]`. */
async function readLatents(path: string): Promise<tf.Tensor> {
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
  await using _file = atEnd(() => file.close());
  if (!file.names().includes(name))
    throw new Error(
      `${path} has to hold a tensor \`${name}\` ${layout} but holds ` +
        `${file.names().join(', ') || 'none'}.`,
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
}

/** Moves the axis before the last two, the channels of PyTorch, to the end. */
function channelsLast(data: Float32Array, shape: number[]): tf.Tensor {
  const channels = shape.length - 3;
  const order = shape.map((_, axis) => axis).filter((axis) => axis !== channels);
  return tf.tidy(() => tf.transpose(tf.tensor(data, shape), [...order, channels]));
}
