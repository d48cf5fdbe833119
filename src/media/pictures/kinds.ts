/** Recognises by their first bytes pictures and videos that are not read. */

interface Kind {
  name: string;
  /** Whether the file is of this kind. `text` is its first 4096 bytes, a character each. */
  fits: (text: string, bytes: Uint8Array) => boolean;
  /** What to do instead of converting it to PNG. */
  wayOut?: string;
}

const startsWith =
  (...starts: string[]) =>
  (text: string) =>
    starts.some((start) => text.startsWith(start));
const brand =
  (...brands: string[]) =>
  (text: string) =>
    text.slice(4, 8) === 'ftyp' && brands.some((name) => text.slice(8, 40).includes(name));

const FRAME = 'Take a frame of it, for example with: ffmpeg -i clip.mp4 -frames:v 1 frame.png';

// The first that fits counts.
const KINDS: Kind[] = [
  { name: 'HEIC (HEIF)', fits: brand('heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1') },
  { name: 'a Canon CR3 raw photo', fits: brand('crx ') },
  { name: 'a video', fits: (text) => text.slice(4, 8) === 'ftyp', wayOut: FRAME },
  {
    name: 'a video',
    fits: startsWith('\x1a\x45\xdf\xa3', 'FLV\x01', '\0\0\x01\xba'),
    wayOut: FRAME,
  },
  { name: 'a video', fits: (text) => /^RIFF....AVI /s.test(text), wayOut: FRAME },
  { name: 'JPEG XL', fits: startsWith('\xff\x0a', '\0\0\0\x0cJXL ') },
  { name: 'JPEG 2000', fits: startsWith('\0\0\0\x0cjP  ', '\xff\x4f\xff\x51') },
  { name: 'JPEG-LS', fits: (_, bytes) => jpegFrame(bytes)?.marker === 0xf7 },
  { name: 'a JPEG of 12 bits', fits: (_, bytes) => (jpegFrame(bytes)?.precision ?? 8) > 8 },
  { name: 'a lossless JPEG', fits: (_, bytes) => isLossless(jpegFrame(bytes)?.marker) },
  { name: 'a Lab TIFF', fits: (_, bytes) => [8, 9, 10].includes(photometric(bytes) ?? -1) },
  { name: 'an icon (ICO)', fits: (_, bytes) => isIcon(bytes) },
  { name: 'an Apple icon (ICNS)', fits: startsWith('icns') },
  { name: 'a Photoshop file', fits: startsWith('8BPS', '8BPB') },
  { name: 'a GIMP file', fits: startsWith('gimp xcf') },
  { name: 'a PDF', fits: startsWith('%PDF') },
  { name: 'PostScript', fits: startsWith('%!PS', '\xc5\xd0\xd3\xc6') },
  { name: 'OpenEXR', fits: startsWith('\x76\x2f\x31\x01') },
  { name: 'Radiance HDR', fits: startsWith('#?RADIANCE', '#?RGBE') },
  { name: 'DDS', fits: startsWith('DDS ') },
  { name: 'QOI', fits: startsWith('qoif') },
  { name: 'DjVu', fits: startsWith('AT&TFORM') },
  { name: 'PAM or PFM', fits: (text) => /^P[7Ff]\s/.test(text) },
  { name: 'FITS', fits: startsWith('SIMPLE  =') },
  { name: 'a Windows metafile', fits: startsWith('\xd7\xcd\xc6\x9a', '\x01\0\0\0') },
  { name: 'a Fujifilm raw photo', fits: startsWith('FUJIFILM') },
  { name: 'TGA', fits: (_, bytes) => hasTgaFooter(bytes) || isTgaHeader(bytes) },
];

/** A sentence part like `HEIC`, with the way out, or undefined for a kind that is not known. */
export function kindOf(bytes: Uint8Array): { name: string; wayOut: string } | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(4096, bytes.length));
  const kind = KINDS.find(({ fits }) => fits(text.toString('latin1'), bytes));
  return (
    kind && {
      name: kind.name,
      wayOut: kind.wayOut ?? 'Convert it to PNG, for example with: magick INPUT picture.png',
    }
  );
}

/** The frame header of a JPEG. */
function jpegFrame(bytes: Uint8Array): { marker: number; precision: number } | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  let at = 2;
  while (at + 4 < bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1]!;
    if (marker === 0xff) at += 1;
    else if (marker === 0xf7 || (marker >= 0xc0 && marker <= 0xcf && !isTable(marker)))
      return { marker, precision: bytes[at + 4]! };
    else at += 2 + 256 * bytes[at + 2]! + bytes[at + 3]!;
  }
  return undefined;
}

/** Huffman tables, the reserved marker, and arithmetic conditioning are not frame headers. */
const isTable = (marker: number) => [0xc4, 0xc8, 0xcc].includes(marker);

const isLossless = (marker?: number) =>
  marker !== undefined && [0xc3, 0xc7, 0xcb, 0xcf].includes(marker);

/** The colour space of the first picture of a TIFF: its tag 262. */
function photometric(bytes: Uint8Array): number | undefined {
  const little = bytes[0] === 0x49 && bytes[1] === 0x49 && bytes[2] === 42;
  if (!little && !(bytes[0] === 0x4d && bytes[1] === 0x4d && bytes[3] === 42)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const directory = bytes.length >= 8 ? view.getUint32(4, little) : bytes.length;
  if (directory + 2 > bytes.length) return undefined;
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    if (entry + 12 > bytes.length) return undefined;
    if (view.getUint16(entry, little) === 262) return view.getUint16(entry + 8, little);
  }
  return undefined;
}

const hasTgaFooter = (bytes: Uint8Array) =>
  Buffer.from(bytes.slice(-18)).toString('latin1').startsWith('TRUEVISION-XFILE');

/** TGA has no mark at its beginning, but few values are allowed in its first bytes. */
const isTgaHeader = (bytes: Uint8Array) =>
  bytes[1]! <= 1 &&
  [1, 2, 3, 9, 10, 11].includes(bytes[2]!) &&
  [8, 15, 16, 24, 32].includes(bytes[16]!);

/** Two zeros, the kind (icon or cursor), and how many pictures it has. */
const isIcon = (bytes: Uint8Array) =>
  bytes[0] === 0 &&
  bytes[1] === 0 &&
  [1, 2].includes(bytes[2]!) &&
  bytes[3] === 0 &&
  bytes[4] !== 0;
