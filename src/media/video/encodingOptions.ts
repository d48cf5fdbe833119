/**
 * How videos are encoded. One scale of quality serves all formats: 1 to 100, as that of JPEG and
 * WebP. Equal quality looks about equal in each of them.
 */
import { checkValue, type Kind, kinds, number } from '../../text/kinds.ts';
import type { RgbImage } from '../image.ts';

/**
 * What encodes MP4 and WebM in Node: `builtin` comes with this package and writes MP4; `ffmpeg` is
 * the program of that name, which makes smaller files; `auto` is `ffmpeg` where there is one.
 */
export type VideoEncoder = 'auto' | 'builtin' | 'ffmpeg';

/** The values of `VideoEncoder`. */
export const videoEncoders: readonly VideoEncoder[] = ['auto', 'builtin', 'ffmpeg'];

/** What encoders of video are asked for. */
export interface EncodingOptions {
  /** Frames per second. */
  fps: number;
  /** 1 to 100. */
  quality: number;
  /** Stops the work. The promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Frames from one key frame to the next. */
export const KEY_FRAME_EVERY = 60;

/** The quality of videos that nobody chose another for. */
export const DEFAULT_QUALITY = 80;

/**
 * The settings of encoders for a quality. Those of libx264 and libvpx-vp9 were measured to come as
 * close to pictures of 576x320 (by PSNR, and by SSIM) as H.264 with the constant quantizer. Of
 * videos of 64x64, libx264 keeps the structure as well, but 2 dB less of the PSNR.
 */
export const quantizers = {
  /** Constant quantizer of H.264: 51 is the worst. */
  avc: (quality: number) => Math.round(51 - 0.41 * quality),
  /** Constant rate factor of libx264, with which it chooses the quantizer of each block. */
  x264: (quality: number) => Math.min(51, Math.round(540 - 4.2 * quality) / 10),
  /** Constant quantizer of VP9, from 0 to 63. With less than 4 it is almost lossless, and huge. */
  vp9: (quality: number) => Math.min(63, Math.max(4, Math.round(92 - 0.92 * quality))),
  /** Constant quantizer of AV1, from 0 to 255. */
  av1: (quality: number) => 4 * quantizers.vp9(quality),
} as const;

/** Colours of a GIF, which has at most 256. */
export const gifColours = (quality: number): number =>
  Math.min(256, Math.max(8, Math.round(256 * (quality / DEFAULT_QUALITY) ** 2)));

/** The settings that a file keeps. */
export const metadataKind = {
  is: 'an object of strings',
  test: (value) =>
    kinds.object.test(value) && Object.values(value as object).every(kinds.text.test),
} satisfies Kind;

/** JSON in ASCII, the only characters of EXIF, for the comment of a file. */
export const commentOf = (metadata?: Record<string, string>): string | undefined =>
  metadata &&
  JSON.stringify(metadata).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** @throws When there are no frames, they differ in size, or a number is out of its range. */
export function checkEncoding(
  frames: readonly RgbImage[],
  { fps, quality }: EncodingOptions,
  format: string,
): void {
  checkFrames(frames);
  checkValue('quality', quality, number({ min: 1, max: 100 }));
  checkValue('fps', fps, number({ min: 0.1, max: format === 'gif' ? 50 : 240 }));
}

function checkFrames(frames: readonly RgbImage[]): void {
  const isFrame = (frame: RgbImage | null) =>
    kinds.count.test(frame?.width) &&
    kinds.count.test(frame?.height) &&
    (frame?.data?.length ?? 0) > 0;
  if (!Array.isArray(frames) || !frames.every(isFrame))
    throw new Error(
      'The frames have to be a list of pictures `{ width, height, data }`, such as `frames[0]` of ' +
        'what `generate` returns.',
    );
  const [first] = frames;
  if (!first) throw new Error('There are no frames to write. Pass one or more.');
  for (const [i, { width, height, data }] of frames.entries()) {
    if (width !== first.width || height !== first.height) {
      throw new Error(
        `All frames have to be ${first.width} x ${first.height} pixels like the first, but ` +
          `frame ${i} is ${width} x ${height}.`,
      );
    }
    if (data.length !== width * height * 3) {
      throw new Error(
        `Frame ${i} of ${width} x ${height} pixels has to have ${width * height * 3} bytes ` +
          `but has ${data.length}.`,
      );
    }
  }
}
