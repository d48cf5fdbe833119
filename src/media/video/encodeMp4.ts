/** Videos as MP4 files in memory. */
import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import type { RgbImage } from '../image.ts';
import { type CreateEncoder, encodeH264, REFERENCES } from './h264.ts';
import { h264Level, withLevel } from './h264Level.ts';
import { muxMp4 } from './muxMp4.ts';

/** Options of `encodeMp4`. */
export interface Mp4Options {
  /** Frames per second. Default 7. */
  fps?: number;
  /** Quality, 1 to 100. Default 80, which is an H.264 quantizer of 18. */
  quality?: number;
  /** The text for the comment field that players show. */
  comment?: string;
  /** Stops the work. The promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

const mp4OptionKinds: Kinds<Mp4Options> = {
  ...{ fps: kinds.number, quality: kinds.number },
  ...{ comment: kinds.text, signal: kinds.signal },
};

/**
 * The bytes of an MP4 file (H.264, plays in browsers and players). Odd sizes are made even by
 * repeating the last column or row.
 *
 * @param createEncoder `createH264MP4Encoder` of the package h264-mp4-encoder.
 * @param frames One picture or more, all of the same size.
 */
export async function encodeMp4(
  createEncoder: CreateEncoder,
  frames: readonly RgbImage[],
  options: Mp4Options = {},
): Promise<Uint8Array> {
  checkOptionValues('encodeMp4', options, mp4OptionKinds);
  const { fps = 7, quality = 80, comment, signal } = options;
  const quantizer = Math.round(51 - 0.41 * quality); // of H.264: 51 is the worst, 10 the best
  const stream = await encodeH264(createEncoder, frames, quantizer, signal);
  // The encoder does not know the rate.
  const level = h264Level(stream, fps, REFERENCES);
  const configuration = withLevel(stream.configuration, level);
  return muxMp4({ ...stream, configuration }, fps, comment);
}
