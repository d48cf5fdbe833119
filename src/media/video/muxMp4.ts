/**
 * Puts H.264 pictures into an MP4 file (ISO/IEC 14496-12 and -15), index first, so that it plays
 * while it is still being downloaded.
 */

/** An H.264 stream in the form that MP4 files hold. */
export interface H264Stream {
  /** Size of the coded pictures in pixels. */
  width: number;
  height: number;
  /** The `AVCDecoderConfigurationRecord`: profile, level and parameter sets. */
  configuration: Uint8Array;
  /** One access unit per frame, each NAL unit after its length in 4 bytes. */
  samples: Uint8Array[];
}

const NAL_KEY_PICTURE = 5;
const UNITS_PER_FRAME = 1000;

/**
 * An MP4 file of one video track.
 *
 * @param fps Frames per second, kept to a thousandth.
 * @param comment The text for the comment field that players show.
 */
export function muxMp4(stream: H264Stream, fps: number, comment?: string): Uint8Array {
  const fileType = box('ftyp', text('isom'), u32(0x200), text('isomiso2avc1mp41'));
  // The index comes first and holds the offset of the pictures, which follows from its size. The
  // value of the offset does not change the size.
  const sizeOfIndex = movie(stream, fps, 0, comment).length;
  const index = movie(stream, fps, fileType.length + sizeOfIndex + 8, comment);
  return join([fileType, index, box('mdat', ...stream.samples)]);
}

/**
 * The content of a box in a file or in a box's content.
 *
 * @param path The types of the boxes that lead to it.
 * @throws When there is no such box.
 */
export function findBox(content: Uint8Array, ...path: string[]): Uint8Array {
  const [type, ...below] = path;
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  for (let at = 0; at + 8 <= content.length; ) {
    const size = view.getUint32(at);
    if (size < 8) break;
    if (new TextDecoder('latin1').decode(content.subarray(at + 4, at + 8)) === type) {
      const found = content.subarray(at + 8, at + size);
      return below.length
        ? findBox(found.subarray(FIELDS_BEFORE_BOXES[type] ?? 0), ...below)
        : found;
    }
    at += size;
  }
  throw new Error(`The video has no "${type}" box.`);
}

/** The bytes of the fields that some boxes have before the boxes in them. */
const FIELDS_BEFORE_BOXES: Record<string, number> = { stsd: 8, avc1: 78, meta: 4 };

function movie(
  stream: H264Stream,
  fps: number,
  firstSampleAt: number,
  comment?: string,
): Uint8Array {
  const timescale = Math.round(fps * UNITS_PER_FRAME);
  const duration = stream.samples.length * UNITS_PER_FRAME;
  const identity = join([0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000].map(u32));
  const header = fullBox(
    'mvhd',
    0,
    zeros(8),
    u32(timescale),
    u32(duration),
    u32(0x10000),
    u16(0x100),
    zeros(10),
    identity,
    zeros(24),
    u32(2),
  );
  const trackHeader = fullBox(
    'tkhd',
    3, // enabled, part of the presentation
    zeros(8),
    u32(1), // track number
    zeros(4),
    u32(duration),
    zeros(16),
    identity,
    u32(stream.width << 16),
    u32(stream.height << 16),
  );
  const mediaHeader = fullBox(
    'mdhd',
    0,
    zeros(8),
    u32(timescale),
    u32(duration),
    u16(0x55c4),
    zeros(2),
  ); // language: und
  const handler = fullBox('hdlr', 0, zeros(4), text('vide'), zeros(12), text('video\0'));
  const location = box('dinf', fullBox('dref', 0, u32(1), fullBox('url ', 1))); // in this file
  const information = box(
    'minf',
    fullBox('vmhd', 1, zeros(8)),
    location,
    sampleTable(stream, firstSampleAt),
  );
  const track = box('trak', trackHeader, box('mdia', mediaHeader, handler, information));
  return box('moov', header, track, ...(comment ? [commentBox(comment)] : []));
}

function sampleTable(
  { width, height, configuration, samples }: H264Stream,
  firstSampleAt: number,
): Uint8Array {
  // BT.709 primaries, sRGB transfer, BT.601 matrix, limited range: without it players guess by the
  // size of the picture.
  const colours = box('colr', text('nclx'), u16(1), u16(13), u16(6), u8(0));
  const entry = box(
    'avc1',
    zeros(6),
    u16(1), // where the data is: entry 1 of dref
    zeros(16),
    u16(width),
    u16(height),
    u32(0x480000), // 72 dpi
    u32(0x480000),
    zeros(4),
    u16(1),
    zeros(32), // name of the encoder
    u16(24), // bits per pixel
    u16(0xffff),
    box('avcC', configuration),
    colours,
  );
  const keyFrames = samples.flatMap((sample, i) => (isKeyFrame(sample) ? [u32(i + 1)] : []));
  return box(
    'stbl',
    fullBox('stsd', 0, u32(1), entry),
    fullBox('stts', 0, u32(1), u32(samples.length), u32(UNITS_PER_FRAME)),
    fullBox('stss', 0, u32(keyFrames.length), ...keyFrames),
    fullBox('stsc', 0, u32(1), u32(1), u32(samples.length), u32(1)), // all in one chunk
    fullBox('stsz', 0, u32(0), u32(samples.length), ...samples.map((sample) => u32(sample.length))),
    fullBox('stco', 0, u32(1), u32(firstSampleAt)),
  );
}

function isKeyFrame(sample: Uint8Array): boolean {
  const view = new DataView(sample.buffer, sample.byteOffset, sample.length);
  for (let at = 0; at + 4 < sample.length; at += 4 + view.getUint32(at)) {
    if ((sample[at + 4]! & 31) === NAL_KEY_PICTURE) return true;
  }
  return false;
}

/** The comment field of iTunes-style metadata, which players and ffprobe show. */
function commentBox(comment: string): Uint8Array {
  const value = box('data', u32(1), zeros(4), new TextEncoder().encode(comment)); // 1: UTF-8
  const handler = fullBox('hdlr', 0, zeros(4), text('mdirappl'), zeros(9));
  return box('udta', fullBox('meta', 0, handler, box('ilst', box('\xa9cmt', value))));
}

function box(type: string, ...content: Uint8Array[]): Uint8Array {
  const body = join(content);
  return join([u32(body.length + 8), text(type), body]);
}

function fullBox(type: string, flags: number, ...content: Uint8Array[]): Uint8Array {
  return box(type, u32(flags), ...content); // version 0
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const zeros = (count: number) => new Uint8Array(count);
const u8 = (value: number) => Uint8Array.of(value);
const u16 = (value: number) => Uint8Array.of(value >>> 8, value);
const u32 = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
const text = (latin1: string) => Uint8Array.from(latin1, (character) => character.charCodeAt(0));
