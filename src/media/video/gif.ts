/** What encoders of GIF leave to their users: durations of frames, and comments. */

/** The unit of time in GIF, in milliseconds. */
export const GIF_UNIT = 10;

/**
 * The duration of each frame in milliseconds, a multiple of `unit`, so that the whole video stays
 * closest to its rate.
 */
export function delays(count: number, fps: number, unit: number): number[] {
  const endOf = (frame: number) => Math.round((frame * 1000) / fps / unit) * unit;
  return Array.from({ length: count }, (_, i) => endOf(i + 1) - endOf(i));
}

const BLOCK = 255;
/** What a comment begins with. */
const COMMENT = [0x21, 0xfe];

/**
 * Puts a comment into a GIF file, which encoders do not write: after the header and the colour
 * table that may follow it.
 */
export function withGifComment(file: Uint8Array, comment: string): Uint8Array<ArrayBuffer> {
  const at = endOfHeader(file);
  const text = new TextEncoder().encode(comment);
  const blocks: number[] = [];
  for (let from = 0; from < text.length; from += BLOCK) {
    const block = text.subarray(from, from + BLOCK);
    blocks.push(block.length, ...block);
  }
  const extension = [...COMMENT, ...blocks, 0];
  const result = new Uint8Array(file.length + extension.length);
  result.set(file.subarray(0, at));
  result.set(extension, at);
  result.set(file.subarray(at), at + extension.length);
  return result;
}

/** The comment that `withGifComment` has put into a GIF file. */
export function gifComment(file: Uint8Array): string | undefined {
  let at = endOfHeader(file);
  if (COMMENT.some((byte, i) => file[at + i] !== byte)) return undefined;
  const bytes: number[] = [];
  for (at += COMMENT.length; file[at]; at += 1 + file[at]!)
    bytes.push(...file.subarray(at + 1, at + 1 + file[at]!));
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

function endOfHeader(file: Uint8Array): number {
  const flags = file[10]!;
  return 13 + (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
}
