/** Chooses what encodes MP4 and WebM in Node. */
import { messageOf } from '../../../text/messages.ts';
import type { RgbImage } from '../../image.ts';
import { type ContainerOptions, writePackets } from '../container.ts';
import type { EncodingOptions, VideoEncoder } from '../encodingOptions.ts';
import { encodeByFfmpeg, findFfmpeg, MissingFfmpeg } from './ffmpeg.ts';
import { encodeH264 } from './h264.ts';
import { nodeEncoder } from './nodeEncoder.ts';

/** The encoder of a video. */
export interface ChosenEncoder {
  encoder: 'builtin' | 'ffmpeg';
  /** The version of ffmpeg and the name of its own encoder: `ffmpeg 7.1 libx264`. */
  encoderVersion?: string;
}

/**
 * Finds the encoder for a format. `auto` passes over an ffmpeg that cannot be used, with a warning.
 *
 * @throws When `ffmpeg` is wanted or needed and cannot be used, or when the built-in encoder is
 * wanted for WebM.
 */
export async function chooseEncoder(
  format: 'mp4' | 'webm',
  wanted: VideoEncoder = 'auto',
): Promise<ChosenEncoder> {
  if (wanted === 'builtin') {
    if (format === 'mp4') return builtin();
    throw new Error('The built-in encoder writes no WebM. Use ffmpeg, or write .mp4.');
  }
  try {
    return { encoder: 'ffmpeg', encoderVersion: await findFfmpeg(format) };
  } catch (error) {
    if (wanted === 'ffmpeg' || format === 'webm')
      throw new Error(
        `ffmpeg is needed, but ${messageOf(error)}. Install ffmpeg, or ${wayOut[format]}.`,
        { cause: error },
      );
    if (!(error instanceof MissingFfmpeg))
      console.warn(`the built-in encoder makes the video: ${messageOf(error)}`);
    return builtin();
  }
}

/** Loads it now, so that a missing package is found before the long work. */
function builtin(): ChosenEncoder {
  nodeEncoder();
  return { encoder: 'builtin' };
}

const wayOut = {
  mp4: 'use the built-in encoder',
  webm: 'write .mp4, which needs none',
};

/**
 * A video file of frames of equal size.
 *
 * @throws When the encoder fails; the signal's reason.
 */
export async function encodeBy(
  { encoder }: ChosenEncoder,
  frames: readonly RgbImage[],
  options: EncodingOptions & ContainerOptions,
): Promise<Uint8Array> {
  if (encoder === 'builtin')
    return writePackets(await encodeH264(nodeEncoder(), frames, options), options);
  const { format, signal } = options;
  const video = await encodeByFfmpeg(format, frames, options).catch((error) => {
    signal?.throwIfAborted();
    throw new Error(`${messageOf(error)}. You can also ${wayOut[format]}.`, { cause: error });
  });
  return writePackets(video, options);
}
