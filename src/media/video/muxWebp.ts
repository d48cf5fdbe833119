/**
 * Puts WebP pictures into one animation (https://developers.google.com/speed/webp/docs/
 * riff_container), where each stays, also one that is like the one before.
 */

/** A part of a RIFF file: its type in four letters, and its content. */
type Chunk = readonly [type: string, content: Uint8Array];

const DO_NOT_BLEND = 2;
const HAS_ANIMATION = 0x02;
const HAS_EXIF = 0x08;

/**
 * An animation that loops forever.
 *
 * @param pictures WebP files of equal size. The EXIF data of the first is that of the animation.
 * @param delays The duration of each in milliseconds.
 */
export function muxWebp(
  pictures: readonly Uint8Array[],
  { width, height }: { width: number; height: number },
  delays: readonly number[],
): Uint8Array {
  const size = [...u24(width - 1), ...u24(height - 1)];
  const frames = pictures.map((picture, i): Chunk => {
    const image = chunksOf(picture).filter(([type]) => ['ALPH', 'VP8 ', 'VP8L'].includes(type));
    const header = [...u24(0), ...u24(0), ...size, ...u24(delays[i]!), DO_NOT_BLEND];
    return ['ANMF', Buffer.concat([Buffer.from(header), ...image.map(encoded)])];
  });
  const exif = chunksOf(pictures[0]!).filter(([type]) => type === 'EXIF');
  const flags = HAS_ANIMATION | (exif.length > 0 ? HAS_EXIF : 0);
  const chunks: Chunk[] = [
    ['VP8X', Uint8Array.from([flags, 0, 0, 0, ...size])],
    ['ANIM', new Uint8Array(6)], // a transparent background, and no end to its loop
    ...frames,
    ...exif,
  ];
  return encoded(['RIFF', Buffer.concat([Buffer.from('WEBP'), ...chunks.map(encoded)])]);
}

function chunksOf(file: Uint8Array): Chunk[] {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const chunks: Chunk[] = [];
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at + 4);
    chunks.push([bytes.toString('latin1', at, at + 4), bytes.subarray(at + 8, at + 8 + size)]);
    at += 8 + size + (size % 2);
  }
  return chunks;
}

function encoded([type, content]: Chunk): Uint8Array {
  const bytes = Buffer.alloc(8 + content.length + (content.length % 2));
  bytes.write(type, 'latin1');
  bytes.writeUInt32LE(content.length, 4);
  bytes.set(content, 8);
  return bytes;
}

const u24 = (value: number) => [value & 255, (value >>> 8) & 255, value >>> 16];
