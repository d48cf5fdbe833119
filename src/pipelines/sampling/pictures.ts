/** The pictures of a call: checks, their values on the host, and how far they are stretched. */
import * as tf from '@tensorflow/tfjs-core';
import type { RgbImage } from '../../media/image.ts';
import { shown } from '../../text/messages.ts';
import type { FloatArray, ImageInput } from '../types.ts';

/** Pictures, or values `[N, H, W, 3]` in [0, 1], on the host. */
export type HostPictures = RgbImage[] | FloatArray;

/** How far values may lie outside [0, 1] by rounding: half precision has 11 bits. */
const ROUNDING = 1e-3;

/** How many times wider or narrower a picture may become without a word. */
const UNSEEN = 1.05;

/**
 * @returns The number of pictures.
 * @throws Error if `image` is not a picture, a list of pictures or a tensor of them.
 */
export function checkPictures(image: ImageInput): number {
  if (image instanceof tf.Tensor) return checkPictureTensor(image);
  const images = Array.isArray(image) ? image : [image];
  if (images.length === 0)
    throw new Error('`image` has to hold at least one picture but is an empty list.');
  for (const one of images) checkPicture(one);
  return images.length;
}

function checkPictureTensor(image: tf.Tensor): number {
  if (image.isDisposed)
    throw new Error('The tensor `image` has been disposed of. Dispose of it after the call.');
  if (image.rank !== 4 || image.shape[3] !== 3 || image.size === 0) {
    throw new Error(
      `A tensor \`image\` has to be of shape [N, height, width, 3] but is [${image.shape}].`,
    );
  }
  if (image.dtype !== 'float32') {
    throw new Error(
      `A tensor \`image\` has to hold float32 values from 0 to 1 but is ${image.dtype}: divide ` +
        'by 255.',
    );
  }
  return image.shape[0];
}

function checkPicture(image: RgbImage): void {
  const isObject = typeof image === 'object' && image !== null;
  if (!isObject || !['data', 'width', 'height'].every((name) => name in image)) {
    throw new Error(
      '`image` has to be a picture of `loadImage`, a list of them or a tensor but is ' +
        `${shown(image)}.`,
    );
  }
  const { data, width, height } = image;
  for (const [name, size] of Object.entries({ width, height })) {
    if (!Number.isInteger(size) || size < 1)
      throw new Error(
        `The ${name} of a picture has to be a whole number of at least 1 but is ${shown(size)}.`,
      );
  }
  if (!(data instanceof Uint8Array)) {
    throw new Error(
      'The `data` of a picture has to be a Uint8Array of RGB bytes, 0 to 255, but is ' +
        `${shown(data)}. Values from 0 to 1 can be passed as a tensor [1, height, width, 3].`,
    );
  }
  const bytes = width * height * 3;
  if (data.length !== bytes) {
    const alpha = data.length === width * height * 4 ? ', as RGBA has. Leave the alpha out' : '';
    throw new Error(
      `A picture of ${width}x${height} pixels has to hold ${bytes} bytes of RGB but holds ` +
        `${data.length}${alpha}.`,
    );
  }
}

/**
 * Reads the pictures of a call, a tensor once. Values that leave [0, 1] by rounding are cut off.
 * @throws Error if values are not finite or not from 0 to 1.
 */
export async function hostPictures(image: ImageInput): Promise<HostPictures> {
  if (!(image instanceof tf.Tensor)) return Array.isArray(image) ? image : [image];
  const data = (await image.data()) as Float32Array;
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of data) {
    if (!Number.isFinite(value))
      throw new Error(`The picture is not finite: the tensor \`image\` holds ${value}.`);
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (least < -ROUNDING || most > 1 + ROUNDING) {
    throw new Error(
      'The values of the tensor `image` have to be from 0 to 1 but are from ' +
        `${least} to ${most}: ${wayOut(least, most)}.`,
    );
  }
  const within = least < 0 || most > 1;
  return {
    data: within ? data.map((value) => Math.min(1, Math.max(0, value))) : data,
    shape: image.shape,
  };
}

function wayOut(least: number, most: number): string {
  if (least >= -ROUNDING && most > 2 && most < 256) return 'divide by 255';
  if (least >= -1 - ROUNDING && most <= 1 + ROUNDING) return 'add 1 and divide by 2';
  return 'scale them to that range';
}

/**
 * A sentence that says that pictures are stretched by more than can be left unsaid, with the size
 * that keeps their proportions.
 * @param video The size of the video in pixels.
 */
export function stretchWarning(
  image: ImageInput,
  video: { height: number; width: number },
): string | undefined {
  const sizes =
    image instanceof tf.Tensor
      ? [{ height: image.shape[1]!, width: image.shape[2]! }]
      : [image].flat();
  const stretched = sizes.find((size) => stretch(size, video) > UNSEEN);
  if (!stretched) return undefined;
  const like = likeSize(stretched, video);
  const wayOut =
    stretch(stretched, like) < stretch(stretched, video)
      ? ` \`width\` ${like.width} and \`height\` ${like.height} keep its proportions ` +
        `(\`--width ${like.width} --height ${like.height}\`).`
      : '';
  return (
    `A picture of ${stretched.width}x${stretched.height} pixels is stretched to the video's ` +
    `${video.width}x${video.height}.${wayOut}`
  );
}

type Size = { height: number; width: number };

/** How many times wider or narrower `a` becomes at the size of `b`. */
function stretch(a: Size, b: Size): number {
  const ratio = (a.width * b.height) / (a.height * b.width);
  return Math.max(ratio, 1 / ratio);
}

/** The size with the proportions of `picture` and about the pixels of `video`. */
function likeSize(picture: Size, video: Size): Size {
  const pixels = (video.height * video.width) / (picture.height * picture.width);
  const inSteps = (step: number): Size => {
    const round = (n: number) => Math.max(step, Math.round(n / step) * step);
    // From three quarters of the pixels to four thirds: the one with the least stretch.
    const scales = [0, -1, 1, -2, 2, -3, 3].map((k) => Math.sqrt(pixels * (4 / 3) ** (k / 3)));
    const sizes = scales.map((scale) => {
      const height = round(picture.height * scale);
      return { height, width: round((height * picture.width) / picture.height) };
    });
    return sizes.reduce((best, size) =>
      stretch(picture, size) < stretch(picture, best) ? size : best,
    );
  };
  // The models take multiples of 8; those of 64 fit all levels of the UNet.
  const usual = inSteps(64);
  return stretch(picture, usual) <= UNSEEN ? usual : inSteps(8);
}
