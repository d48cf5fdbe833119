/** Encodes pictures as animated GIF in browsers, with gifenc. */
import { applyPalette, GIFEncoder, quantize } from 'gifenc/dist/gifenc.esm.js';
import type { RgbImage } from '../../image.ts';
import { type EncodingOptions, gifColours } from '../encodingOptions.ts';
import { delays, GIF_UNIT, withGifComment } from '../gif.ts';

/**
 * An animated GIF file that loops forever, each frame with its own colours.
 */
export async function encodeGif(
  frames: readonly RgbImage[],
  { fps, quality, comment, signal }: EncodingOptions & { comment?: string },
): Promise<Uint8Array<ArrayBuffer>> {
  const gif = GIFEncoder();
  const durations = delays(frames.length, fps, GIF_UNIT);
  for (const [i, { width, height, data }] of frames.entries()) {
    await new Promise((resolve) => setTimeout(resolve)); // so that the signal can abort
    signal?.throwIfAborted();
    const rgba = new Uint8Array(4 * width * height).fill(255);
    for (
      let from = 0, to = 0;
      from < data.length;
      to++ // past alpha
    )
      for (let c = 0; c < 3; c++) rgba[to++] = data[from++]!;
    const palette = quantize(rgba, gifColours(quality));
    gif.writeFrame(applyPalette(rgba, palette), width, height, { palette, delay: durations[i] });
  }
  gif.finish();
  const file = new Uint8Array(gif.bytes());
  return comment ? withGifComment(file, comment) : file;
}
