/**
 * Converts pictures to the inputs of the image encoder and the VAE, and decoded values back to
 * pictures, as diffusers' `VideoProcessor` does.
 */

import { checkArgument, kinds } from '../text/options.ts';
import type { FloatArray, RgbImage } from './image.ts';
import { resizeLanczos, resizeNearest, resizeWithAntialiasing } from './resample.ts';

/** Mean of each channel that CLIP was trained with. */
export const CLIP_MEAN: readonly number[] = [0.48145466, 0.4578275, 0.40821073];
/** Standard deviation of each channel that CLIP was trained with. */
export const CLIP_STD: readonly number[] = [0.26862954, 0.26130258, 0.27577711];

// float32 at each step, as in numpy and torch.
const UNIT = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);
const SIGNED = UNIT.map(signed);

/**
 * The image encoder's input: pictures resized with antialiasing to `size` x `size` and normalised
 * per channel. The pictures may differ in size. Values that already have the right size are not
 * resized.
 *
 * @param images Pictures, or values `[N, H, W, 3]` in [0, 1]. Unlike in diffusers, values may have
 * any height and width.
 * @param size Side of the encoder's input in pixels.
 * @param mean Mean of each channel, from the feature extractor's configuration.
 * @param std Standard deviation of each channel, likewise.
 * @returns Values of shape `[N, size, size, 3]`.
 * @throws When there is no picture, when a side has fewer than 2 pixels, or when values do not have
 * the shape `[N, H, W, 3]`.
 * @see diffusers `StableVideoDiffusionPipeline._encode_image`
 */
export function clipPixelValues(
  images: readonly RgbImage[] | FloatArray,
  size = 224,
  mean: readonly number[] = CLIP_MEAN,
  std: readonly number[] = CLIP_STD,
): FloatArray {
  checkArgument('clipPixelValues', images, kinds.pictures);
  const resized =
    'shape' in images
      ? resizeValues(images, size)
      : joinPictures(images.map((image) => resizePicture(image, size)));
  const data = resized.data.map(
    (value, i) => Math.fround(value - Math.fround(mean[i % 3]!)) / Math.fround(std[i % 3]!),
  );
  return { data, shape: resized.shape };
}

function resizePicture({ data, width, height }: RgbImage, size: number): FloatArray {
  return toUnit(
    resizeWithAntialiasing({ data: signedBytes(data), shape: [1, height, width, 3] }, [size, size]),
  );
}

function resizeValues(values: FloatArray, size: number): FloatArray {
  const [, height, width] = checkValues(values);
  if (height === size && width === size) return values;
  return toUnit(
    resizeWithAntialiasing({ data: values.data.map(signed), shape: values.shape }, [size, size]),
  );
}

/**
 * From [-1, 1] to [0, 1]. Bicubic interpolation may overshoot, and diffusers does not clamp it.
 */
function toUnit({ data, shape }: FloatArray): FloatArray {
  return { data: data.map((value) => Math.fround(value + 1) / 2), shape };
}

/**
 * The VAE's input in [-1, 1]: pictures resized by Lanczos, or values resized by picking the
 * nearest. Values that go below 0 count as values in [-1, 1] and stay, with a warning, as in
 * diffusers.
 *
 * @param images Pictures, or values `[N, H, W, 3]` in [0, 1].
 * @param height Height in pixels, a multiple of the VAE's scale factor.
 * @param width Width in pixels, likewise.
 * @returns Values of shape `[N, height, width, 3]`.
 * @throws When there is no picture, when values do not have the shape `[N, H, W, 3]`, or when
 * height or width is not a positive integer.
 * @see diffusers `VideoProcessor.preprocess`
 */
export function vaePixelValues(
  images: readonly RgbImage[] | FloatArray,
  height: number,
  width: number,
): FloatArray {
  checkArgument('vaePixelValues', images, kinds.pictures);
  if (!('shape' in images)) {
    return joinPictures(
      images.map((image) => ({
        data: signedBytes(resizeLanczos(image, width, height).data),
        shape: [1, height, width, 3],
      })),
    );
  }
  checkValues(images);
  const resized = resizeNearest(images, [height, width]);
  const lowest = resized.data.reduce((least, value) => Math.min(least, value), 0);
  if (lowest < 0) {
    console.warn(
      `The image values go down to ${lowest}, so they are taken as values in [-1, 1]. Pass ` +
        'values in [0, 1] instead.',
    );
    return resized;
  }
  return { data: resized.data.map(signed), shape: resized.shape };
}

/**
 * Pictures from decoded values: each byte is 255 times the value, rounded half to even.
 *
 * @param frames `[B, F, H, W, 3]` in [0, 1].
 * @returns A list of F pictures for each of the B videos.
 * @throws When the shape is not `[B, F, H, W, 3]`.
 * @see diffusers `VaeImageProcessor.numpy_to_pil`
 */
export function framesToImages(frames: FloatArray): RgbImage[][] {
  checkArgument('framesToImages', frames, kinds.values);
  const { data, shape } = frames;
  if (shape.length !== 5 || shape[4] !== 3) {
    throw new Error(
      `Frames have to be values of shape [B, F, H, W, 3] but their shape is [${shape.join(', ')}].`,
    );
  }
  const [videos, numFrames, height, width] = shape as [number, number, number, number, number];
  const bytes = new Uint8ClampedArray(data.length); // rounds half to even
  for (let i = 0; i < data.length; i++) bytes[i] = Math.fround(data[i]! * 255);
  const count = height * width * 3;
  return Array.from({ length: videos }, (_, b) =>
    Array.from({ length: numFrames }, (_, f) => ({
      width,
      height,
      data: new Uint8Array(bytes.buffer, (b * numFrames + f) * count, count),
    })),
  );
}

/**
 * Bytes as values in [-1, 1]. For a photograph, `Float32Array.from` takes ten times as long as this
 * loop.
 */
function signedBytes(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) values[i] = SIGNED[bytes[i]!]!;
  return values;
}

/** From [0, 1] to [-1, 1] in float32. */
function signed(value: number): number {
  return Math.fround(value * 2) - 1;
}

function joinPictures(pictures: FloatArray[]): FloatArray {
  const [first] = pictures;
  if (!first) throw new Error('There is no picture in the list. Pass one or more.');
  const data = new Float32Array(pictures.length * first.data.length);
  pictures.forEach((picture, i) => {
    data.set(picture.data, i * first.data.length);
  });
  return { data, shape: [pictures.length, ...first.shape.slice(1)] };
}

function checkValues({ data, shape }: FloatArray): number[] {
  if (shape.length !== 4 || shape[3] !== 3 || shape[0] === 0) {
    throw new Error(
      `Image values have to be of shape [N, H, W, 3] but their shape is [${shape.join(', ')}].`,
    );
  }
  const count = shape.reduce((product, axis) => product * axis, 1);
  if (count !== data.length)
    throw new Error(
      `Image values of shape [${shape.join(', ')}] have to be ${count} numbers but are ` +
        `${data.length}.`,
    );
  return [shape[0]!, shape[1]!, shape[2]!];
}
