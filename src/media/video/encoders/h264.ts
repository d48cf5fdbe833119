/**
 * Encodes pictures as H.264 with the WebAssembly encoder of the package h264-mp4-encoder (minih264,
 * Baseline profile).
 */
import type { createH264MP4Encoder } from 'h264-mp4-encoder';
import type { RgbImage } from '../../image.ts';
import type { EncodedVideo } from '../container.ts';
import { type EncodingOptions, KEY_FRAME_EVERY, quantizers } from '../encodingOptions.ts';
import { readContainer } from '../readContainer.ts';
import { evenSize, toI420 } from '../yuv.ts';
import { h264Level, withLevel } from './h264Level.ts';

/** The function of the package, which Node and browsers load in different ways. */
export type CreateEncoder = typeof createH264MP4Encoder;
type Encoder = Awaited<ReturnType<CreateEncoder>>;

const SPEED = 5; // from 0, the slowest, to 10
/** Pictures that a frame refers to: the one before. */
export const REFERENCES = 1;

let encoders = 0;

/** Encodes frames of equal size. */
export async function encodeH264(
  create: CreateEncoder,
  frames: readonly RgbImage[],
  { fps, quality, signal }: EncodingOptions,
): Promise<EncodedVideo> {
  const encoder = await create();
  const size = evenSize(frames[0]!);
  Object.assign(encoder, size, {
    quantizationParameter: quantizers.avc(quality),
    speed: SPEED,
    groupOfPictures: KEY_FRAME_EVERY,
  });
  // All encoders share one file system in memory.
  encoder.outputFilename = `${encoders++}.mp4`;
  encoder.initialize();
  try {
    for (const frame of frames) {
      await new Promise((resolve) => setTimeout(resolve)); // so that the signal can abort
      signal?.throwIfAborted();
      encoder.addFrameYuv(toI420(frame));
    }
  } catch (error) {
    finish(encoder);
    throw error;
  }
  const video = await readContainer(finish(encoder));
  // The encoder does not know the rate.
  const level = h264Level({ ...size, bytes: video.packets.map(byteLength) }, fps, REFERENCES);
  const description = withLevel(video.config.description as Uint8Array, level);
  return { ...video, config: { ...video.config, description } };
}

const byteLength = (packet: { byteLength: number }) => packet.byteLength;

/** Frees the encoder and returns its file. */
function finish(encoder: Encoder): Uint8Array {
  encoder.finalize(); // after an unfinished encoder is deleted, the package works no more
  const file = encoder.FS.readFile(encoder.outputFilename);
  encoder.FS.unlink(encoder.outputFilename);
  encoder.delete();
  return file;
}
