/** Encodes frames as animated WebP, animated GIF and single PNG pictures, with sharp. */
import { stat } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import type { RgbImage } from '../image.ts';
import { delays, GIF_UNIT, withGifComment } from './gif.ts';
import { muxWebp } from './muxWebp.ts';

/** The program's name in PNG pictures, by which it knows its own. */
const SOFTWARE = 'stable-video-diffusion-tfjs';

/** An animated WebP file that loops forever. */
export async function encodeWebp(
  frames: readonly RgbImage[],
  fps: number,
  quality: number,
  comment?: string,
): Promise<Uint8Array> {
  const options = { quality, smartSubsample: true };
  const exif: Record<string, string> = comment ? { ImageDescription: comment } : {};
  const delay = delays(frames.length, fps, 1);
  const file = await withExif(joined(frames), exif)
    .webp({ ...options, loop: 0, delay })
    .toBuffer();
  const { pages = 1 } = await sharp(file, { pages: -1 }).metadata();
  if (pages === frames.length) return file;
  // libwebp stores what changes, and drops a frame that hardly differs from the one before.
  const pictures = frames.map((frame) =>
    withExif(joined([frame]), exif)
      .webp(options)
      .toBuffer(),
  );
  return muxWebp(await Promise.all(pictures), frames[0]!, delay);
}

/**
 * An animated GIF file that loops forever, with up to 256 colours per frame.
 */
export async function encodeGif(
  frames: readonly RgbImage[],
  fps: number,
  colours: number,
  comment?: string,
): Promise<Uint8Array> {
  // This effort takes half the time of the default. Full dithering flickers from frame to frame.
  const options = {
    loop: 0,
    delay: delays(frames.length, fps, GIF_UNIT),
    colours,
    keepDuplicateFrames: true,
    effort: 4,
    dither: 0.5,
  };
  const file = await joined(frames).gif(options).toBuffer();
  return comment ? withGifComment(file, comment) : file;
}

/** A PNG file of one frame. */
export async function encodePng(frame: RgbImage, comment?: string): Promise<Uint8Array> {
  const exif = { Software: SOFTWARE, ...(comment && { ImageDescription: comment }) };
  return withExif(joined([frame]), exif)
    .png()
    .toBuffer();
}

/** PNG files of all frames, one after the other, as ffmpeg's `image2pipe` reads them. */
export async function encodePngs(
  frames: readonly RgbImage[],
  comment?: string,
): Promise<Uint8Array> {
  return Buffer.concat(await Promise.all(frames.map((frame) => encodePng(frame, comment))));
}

/** Whether `encodePng` has made the file at `path`; earlier versions only wrote the settings. */
export async function isOwnPng(path: string): Promise<boolean> {
  if (!(await stat(path).catch(() => undefined))?.isFile()) return false; // a pipe has no end
  const read = async () => (await sharp(path).metadata()).exif?.toString('latin1') ?? '';
  const exif = await read().catch(() => '');
  return exif.includes(SOFTWARE) || /"seeds":.*"version":/.test(exif);
}

/** All frames as the pages of one tall picture, which is sharp's form of an animation. */
function joined(frames: readonly RgbImage[]): Sharp {
  const [{ width, height }] = frames as [RgbImage];
  const data = new Uint8Array(frames.length * width * height * 3);
  frames.forEach((frame, i) => {
    data.set(frame.data, i * width * height * 3);
  });
  return sharp(data, {
    raw: { width, height: height * frames.length, channels: 3, pageHeight: height },
    limitInputPixels: false,
  });
}

function withExif(picture: Sharp, exif: Record<string, string>): Sharp {
  return Object.keys(exif).length > 0 ? picture.withExif({ IFD0: exif }) : picture;
}
