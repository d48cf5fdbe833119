/**
 * Reads pictures from files, addresses and bytes, equal to diffusers' `load_image` (Pillow: EXIF
 * transpose, then convert to RGB).
 */

import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import type { RgbImage } from '../image.ts';
import { decode } from './decode.ts';
import { describe, type PictureSource, readSource } from './source.ts';

/** Pixels from which Pillow takes a picture for an attack. */
export const MAX_PIXELS = 178_956_970;

/** Bytes for each pixel that decoding takes at most: AVIF 18, WebP 16, JPEG and PNG 4. */
export const DECODING_BYTES = 20;

export interface LoadImageOptions {
  /**
   * Pixels that a picture may have; decoding takes up to 20 bytes for each. Default: Pillow's
   * limit, 178,956,970.
   */
  maxPixels?: number;
}

const loadImageOptionKinds: Kinds<LoadImageOptions> = { maxPixels: kinds.positive };

/**
 * Reads one picture as 8-bit RGB. Of an animation it reads the first frame. It turns the picture
 * upright as its EXIF data says, drops alpha without compositing, expands grey and palette colours,
 * and does not apply colour profiles. The bytes are Pillow's for PNG, WebP, GIF, BMP, PNM and for
 * JPEG of every kind (progressive, any chroma subsampling, grey, CMYK). As in Pillow, 16-bit colour
 * keeps its high byte, and 16-bit grey is cut off at 255, with a warning. Unlike in Pillow, the
 * chroma of AVIF and of YCbCr TIFF is upsampled differently, and transparent pixels of GIF are
 * black instead of the colour hidden below them.
 *
 * @param source A path, an `http(s):`, `file:` or `data:` address, or a picture file (PNG, JPEG,
 * WebP, GIF, TIFF, AVIF, SVG, BMP, PNM) as an `ArrayBuffer`, a typed array, a `Blob`, a `File`, or
 * a stream of bytes.
 * @throws When an option is unknown, or the source is missing, unreadable, not a picture, damaged,
 * or has more pixels than `maxPixels`.
 * @see diffusers `utils/loading_utils.py`, `load_image`
 */
export async function loadImage(
  source: PictureSource,
  options: LoadImageOptions = {},
): Promise<RgbImage> {
  checkOptionValues('loadImage', options, loadImageOptionKinds);
  const { maxPixels = MAX_PIXELS } = options;
  const name = describe(source);
  const bytes = await readSource(source, name);
  if (bytes.length === 0)
    throw new Error(`The picture ${name} is empty (0 bytes). Get a whole copy of it.`);
  return decode(bytes, name, maxPixels);
}
