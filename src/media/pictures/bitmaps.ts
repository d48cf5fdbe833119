/**
 * Reads BMP and PNM, which sharp lacks, with Pillow's bytes. The packages that read BMP differ from
 * Pillow: `bmp-ts` in pictures of 4 and 16 bits, `fast-bmp` in pictures with a palette.
 */
import type { RgbImage } from '../image.ts';

/** A bitmap that this module refuses; its message is the reason. */
export class BitmapError extends Error {}

/** Windows' and OS/2's bitmaps of 1 to 32 bits a pixel, without compression. */
export function readBmp(bytes: Uint8Array, maxPixels: number): RgbImage {
  checkLength(bytes, 26); // the smallest header
  const view = viewOf(bytes);
  const headerSize = view.getUint32(14, true);
  const short = headerSize === 12; // OS/2
  const width = short ? view.getUint16(18, true) : view.getInt32(18, true);
  const rows = short ? view.getUint16(20, true) : view.getInt32(22, true);
  const bits = view.getUint16(short ? 24 : 28, true);
  if (!short) checkLength(bytes, 54);
  const compression = short ? 0 : view.getUint32(30, true);
  const height = Math.abs(rows);
  checkSize(width, height, maxPixels);
  if (compression !== 0 && compression !== 3)
    throw new BitmapError('a BMP with compression is not read; save it without');

  const paletteAt = 14 + headerSize;
  const entry = short ? 3 : 4;
  const masks = fieldMasks(view, bits, compression);
  const stride = 4 * Math.ceil((bits * width) / 32);
  const start = view.getUint32(10, true);
  checkLength(bytes, start + stride * height);
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const row = start + stride * (rows > 0 ? height - 1 - y : y);
    for (let x = 0; x < width; x++) {
      const to = 3 * (y * width + x);
      if (bits <= 8) {
        const shift = 8 - bits - ((bits * x) & 7);
        const index = (bytes[row + ((bits * x) >> 3)]! >> shift) & ((1 << bits) - 1);
        for (let c = 0; c < 3; c++) data[to + c] = bytes[paletteAt + entry * index + 2 - c]!;
      } else if (masks) {
        const at = row + (bits >> 3) * x;
        const value = bits === 16 ? view.getUint16(at, true) : view.getUint32(at, true);
        for (let c = 0; c < 3; c++) data[to + c] = field(value, masks[c]!);
      } else {
        for (let c = 0; c < 3; c++) data[to + c] = bytes[row + (bits >> 3) * x + 2 - c]!;
      }
    }
  }
  return { width, height, data };
}

/** The bits of red, green and blue in a pixel. Bytes in the usual order have none. */
function fieldMasks(view: DataView, bits: number, compression: number): number[] | undefined {
  if (![1, 4, 8, 16, 24, 32].includes(bits))
    throw new BitmapError(`a BMP of ${bits} bits a pixel is not known`);
  if (compression === 3) {
    checkLength(view, 66);
    return [54, 58, 62].map((at) => view.getUint32(at, true));
  }
  return bits === 16 ? [0x7c00, 0x03e0, 0x001f] : undefined;
}

/** A field of a pixel, widened to 8 bits. */
function field(value: number, mask: number): number {
  if (mask === 0) return 0;
  const lowest = mask & -mask;
  return Math.floor(((((value & mask) >>> 0) / (lowest >>> 0)) * 255) / (mask / (lowest >>> 0)));
}

const NUMBER = /\s*(?:#[^\n]*\n\s*)*(\d+)/y;
const BIT = /\s*(?:#[^\n]*\n\s*)*([01])/y;

/**
 * Portable bitmaps, greymaps and pixmaps (P1 to P6), as text or bytes.
 * @param onCutOff Called when 16-bit grey has values above 255, which become white as in Pillow.
 */
export function readPnm(bytes: Uint8Array, maxPixels: number, onCutOff: () => void): RgbImage {
  const kind = bytes[1]! - 48;
  const read = kind > 3 ? Math.min(bytes.length, 4096) : bytes.length; // all, or the header
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, read).toString('latin1');
  let at = 2;
  /** The next token: numbers are separated by blanks and by comments from `#` to the line's end. */
  const next = (token = NUMBER) => {
    token.lastIndex = at;
    const found = token.exec(text);
    if (found === null) throw new BitmapError('it ends early');
    at = token.lastIndex;
    return Number(found[1]);
  };
  const [width, height] = [next(), next()];
  const bilevel = kind === 1 || kind === 4;
  const largest = bilevel ? 1 : next();
  checkSize(width, height, maxPixels);
  if (largest < 1 || largest > 65535) throw new BitmapError(`its largest value is ${largest}`);
  const channels = kind === 3 || kind === 6 ? 3 : 1;
  const count = width * height * channels;
  const values = kind > 3 ? packed(bytes, at + 1, kind, width, height, largest) : undefined;
  if (!values) checkLength(bytes, at + count); // a letter each at least
  const data = new Uint8ClampedArray(3 * width * height);
  const top = channels === 1 && largest > 255 ? 65535 : 255;
  let cutOff = false;
  for (let i = 0; i < count; i++) {
    const stored = values ? values(i) : next(bilevel ? BIT : NUMBER);
    const level = bilevel ? 1 - stored : Math.min(stored, largest);
    const value = roundHalfToEven((level / largest) * top);
    cutOff ||= value > 255;
    if (channels === 3) data[i] = value;
    else data.fill(value, 3 * i, 3 * i + 3);
  }
  if (cutOff) onCutOff();
  return { width, height, data: new Uint8Array(data.buffer) };
}

/** The values of a PNM that stores bytes: eight pixels a byte, one byte or two a value. */
function packed(
  bytes: Uint8Array,
  start: number,
  kind: number,
  width: number,
  height: number,
  largest: number,
): (index: number) => number {
  const rowBytes = Math.ceil(width / 8);
  if (kind === 4) {
    checkLength(bytes, start + rowBytes * height);
    return (i) => {
      const x = i % width;
      return (bytes[start + rowBytes * Math.floor(i / width) + (x >> 3)]! >> (7 - (x & 7))) & 1;
    };
  }
  const size = largest > 255 ? 2 : 1;
  checkLength(bytes, start + size * width * height * (kind === 6 ? 3 : 1));
  if (size === 1) return (i) => bytes[start + i]!;
  return (i) => 256 * bytes[start + 2 * i]! + bytes[start + 2 * i + 1]!;
}

/** Python's `round`. */
function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}

function checkSize(width: number, height: number, maxPixels: number): void {
  if (!(width > 0 && height > 0)) throw new BitmapError(`its size is ${width}x${height}`);
  if (width * height > maxPixels) throw new BitmapError('Input image exceeds pixel limit');
}

function checkLength({ byteLength }: ArrayBufferView, needed: number): void {
  if (byteLength < needed) throw new BitmapError(`it has ${byteLength} of its ${needed} bytes`);
}

const viewOf = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
