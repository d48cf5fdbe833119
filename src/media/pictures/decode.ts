/** Decodes picture files to Pillow's RGB bytes. */
import type { Sharp, SharpOptions } from 'sharp';

import { describeFirstBytes } from '../../files/firstBytes.ts';
import type { RgbImage } from '../image.ts';
import { BitmapError, readBmp, readPnm } from './bitmaps.ts';
import { kindOf } from './kinds.ts';
import { isSvg, renderSvg } from './svg.ts';

/**
 * Decodes a picture file.
 * @param name The words for the picture in messages.
 * @param maxPixels Pixels that the picture may have.
 * @throws Error When the file is not a picture of a known kind, damaged, or too large.
 */
export async function decode(
  bytes: Uint8Array,
  name: string,
  maxPixels: number,
): Promise<RgbImage> {
  try {
    if (bytes[0] === 0x42 && bytes[1] === 0x4d) return readBmp(bytes, maxPixels); // BM
    if (bytes[0] === 0x50 && bytes[1]! >= 0x31 && bytes[1]! <= 0x36 && isBlank(bytes[2]!))
      return readPnm(bytes, maxPixels, () => warnOfGrey16(name)); // P1 to P6
    const file = isSvg(bytes) ? await renderSvg(bytes, maxPixels) : bytes;
    return await decodeBySharp(file, name, maxPixels);
  } catch (error) {
    throw new Error(explain(error as Error, bytes, name, maxPixels), { cause: error });
  }
}

const isBlank = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

async function decodeBySharp(
  bytes: Uint8Array,
  name: string,
  maxPixels: number,
): Promise<RgbImage> {
  const { default: sharp } = await import('sharp'); // only here, because it takes 10 MB
  // Pillow ignores colour profiles, refuses pictures that are cut short, and forgives lesser
  // damage.
  const options: SharpOptions = { ignoreIcc: true, failOn: 'error', limitInputPixels: maxPixels };
  const { space, depth, channels } = await sharp(bytes, options).metadata();
  const picture = sharp(bytes, options).autoOrient();
  if (space === 'lab') throw new Error('Lab colours'); // as Pillow does
  if (space === 'cmyk') return await decodeCmyk(picture);
  if (space === 'grey16' && channels === 1 && depth === 'ushort')
    return await decodeGrey16(picture, name);
  const { data, info } = await picture
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return {
    width: info.width,
    height: info.height,
    data: new Uint8Array(data.buffer, data.byteOffset, data.length),
  };
}

/** The sentence about a picture that cannot be decoded: what it is, or what is wrong with it. */
function explain(error: Error, bytes: Uint8Array, name: string, maxPixels: number): string {
  const reason = error.message.split('\n')[0]!.trim();
  if (/exceeds pixel limit|too large/i.test(reason))
    return (
      `The picture ${name} has more than ${Math.round(maxPixels / 1e6)} million pixels. Scale ` +
      'it down first.'
    );
  const kind = kindOf(bytes);
  if (kind) return `The picture ${name} is ${kind.name}, which is not read. ${kind.wayOut}`;
  const instead = describeFirstBytes(bytes, 'a picture');
  const unknown = reason.includes('unsupported image format');
  // A page may hold an SVG, and a picture may be text.
  if (instead && (unknown || instead.startsWith('is a web page')))
    return `The file ${name} ${instead}.`;
  if (unknown)
    return (
      `The file ${name} is not a picture of a known kind. Use PNG, JPEG, WebP, GIF, TIFF, AVIF, ` +
      'BMP or PNM.'
    );
  if (error instanceof BitmapError && /^a BMP/.test(reason))
    return `The picture ${name} cannot be read: ${reason}.`;
  const wayOut = 'Get a whole copy of it.';
  return `The picture ${name} is damaged or cut short (${reason}). ${wayOut}`;
}

/** CMYK without a colour profile, by Pillow's formula: `max(0, 255 - K - C * (255 - K) / 255)`. */
async function decodeCmyk(picture: Sharp): Promise<RgbImage> {
  // Both settings together keep the inks as stored: with only one, sharp applies a profile.
  const raw = picture.pipelineColourspace('cmyk').toColourspace('cmyk').removeAlpha().raw();
  const { data: inks, info } = await raw.toBuffer({ resolveWithObject: true });
  const data = new Uint8Array(info.width * info.height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4) {
    const light = 255 - inks[from + 3]!;
    for (let c = 0; c < 3; c++) {
      const product = inks[from + c]! * light + 128;
      // Pillow's rounded division by 255
      data[to++] = Math.max(0, light - (((product >> 8) + product) >> 8));
    }
  }
  return { width: info.width, height: info.height, data };
}

/** 16-bit grey as Pillow converts it: cut off at 255 instead of scaled. */
async function decodeGrey16(picture: Sharp, name: string): Promise<RgbImage> {
  const raw = picture
    .pipelineColourspace('grey16')
    .toColourspace('grey16')
    .raw({ depth: 'ushort' });
  const { data: bytes, info } = await raw.toBuffer({ resolveWithObject: true });
  const values = new Uint16Array(bytes.buffer, bytes.byteOffset, info.width * info.height);
  const data = new Uint8ClampedArray(values.length * 3);
  let cutOff = false;
  values.forEach((value, i) => {
    data.fill(value, 3 * i, 3 * i + 3);
    cutOff ||= value > 255;
  });
  if (cutOff) warnOfGrey16(name);
  return { width: info.width, height: info.height, data: new Uint8Array(data.buffer) };
}

const warnOfGrey16 = (name: string) =>
  console.warn(
    `The picture ${name} is 16-bit grey: values above 255 became white, as in Pillow. Save it ` +
      'with 8 bits to keep its tones.',
  );
