/**
 * Reads pictures from files, addresses and bytes, equal to diffusers' `load_image` (Pillow: EXIF
 * transpose, then convert to RGB).
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Sharp, SharpOptions } from 'sharp';
import type { RgbImage } from '../image.ts';

// Pillow ignores colour profiles, refuses pictures that are cut short, and forgives lesser damage.
const LIKE_PILLOW: SharpOptions = { ignoreIcc: true, failOn: 'error' };

/**
 * Reads one picture as 8-bit RGB. Of an animation it reads the first frame. It turns the picture
 * upright as its EXIF data says, drops alpha without compositing, expands grey and palette colours,
 * and does not apply colour profiles. The bytes are Pillow's for PNG, WebP, GIF and for JPEG of
 * every kind (progressive, any chroma subsampling, grey, CMYK). As in Pillow, 16-bit colour keeps
 * its high byte, and 16-bit grey is cut off at 255, with a warning. Unlike in Pillow, the chroma of
 * AVIF and of YCbCr TIFF is upsampled differently, and transparent pixels of GIF are black instead
 * of the colour hidden below them.
 *
 * @param source A path, an `http(s):`, `file:` or `data:` address, or the bytes of a picture file
 * (PNG, JPEG, WebP, GIF, TIFF, AVIF, SVG).
 * @throws When the source is missing, unreadable, not a picture, or damaged.
 * @see diffusers `utils/loading_utils.py`, `load_image`
 */
export async function loadImage(source: string | URL | Uint8Array): Promise<RgbImage> {
  const name = describe(source);
  const bytes = await readSource(source, name);
  if (bytes.length === 0)
    throw new Error(`The picture ${name} is empty (0 bytes). Get a whole copy of it.`);
  return decode(bytes, name);
}

function describe(source: string | URL | Uint8Array): string {
  if (source instanceof Uint8Array) return `in the given ${source.length} bytes`;
  const text = String(source);
  return `"${text.length > 200 ? `${text.slice(0, 200)}...` : text}"`;
}

async function readSource(source: string | URL | Uint8Array, name: string): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  const address = String(source);
  if (/^(https?|data):/i.test(address)) return download(address, name);
  return readPath(/^file:/i.test(address) ? fileURLToPath(address) : address, name);
}

async function download(address: string, name: string): Promise<Uint8Array> {
  const wayOut = 'Check the address, or download the picture and pass its path.';
  try {
    const response = await fetch(address);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    throw new Error(`status ${response.status} ${response.statusText}`.trim());
  } catch (error) {
    // `fetch` has the reason (unknown host, connection refused) in `cause`.
    const { message, cause } = error as Error;
    const reason =
      cause instanceof Error
        ? cause.message || ((cause as NodeJS.ErrnoException).code ?? message)
        : message;
    throw new Error(`The picture ${name} could not be fetched (${reason}). ${wayOut}`, {
      cause: error,
    });
  }
}

async function readPath(path: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new Error(`There is no picture ${name} (looked at ${resolve(path)}). Check the path.`, {
        cause: error,
      });
    if (code === 'EISDIR')
      throw new Error(`${name} is a folder, not a picture. Pass the path of one picture.`, {
        cause: error,
      });
    throw new Error(
      `The picture ${name} cannot be read (${code ?? message}). Check its permissions.`,
      { cause: error },
    );
  }
}

async function decode(bytes: Uint8Array, name: string): Promise<RgbImage> {
  const { default: sharp } = await import('sharp'); // only here, because it takes 10 MB
  try {
    const { space, depth, channels } = await sharp(bytes, LIKE_PILLOW).metadata();
    const picture = sharp(bytes, LIKE_PILLOW).autoOrient();
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
  } catch (error) {
    throw new Error(explain(error as Error, name), { cause: error });
  }
}

function explain(error: Error, name: string): string {
  const reason = error.message.split('\n')[0]!.trim();
  if (reason.includes('unsupported image format')) {
    return (
      `The file ${name} is not a picture of a known kind. Use PNG, JPEG, WebP, GIF, TIFF or ` +
      'AVIF.'
    );
  }
  if (reason.includes('exceeds pixel limit'))
    return `The picture ${name} has more than 268 million pixels. Scale it down first.`;
  return `The picture ${name} is damaged or cut short (${reason}). Get a whole copy of it.`;
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
  if (cutOff) {
    console.warn(
      `The picture ${name} is 16-bit grey: values above 255 became white, as in Pillow. Save ` +
        'it with 8 bits to keep its tones.',
    );
  }
  return { width: info.width, height: info.height, data: new Uint8Array(data.buffer) };
}
