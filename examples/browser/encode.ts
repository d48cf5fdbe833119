/** Videos as files. */
import { createH264MP4Encoder } from 'h264-mp4-encoder';
import { encodeMp4, type RgbImage } from 'stable-video-diffusion-tfjs/browser';

export type Format = 'mp4' | 'webm' | 'gif';

/** The formats that this browser can write. */
export const formatsFor = async (_size: { width: number; height: number }): Promise<Format[]> => [
  'mp4',
];

export const encode = async (
  frames: RgbImage[],
  { format: _, ...options }: { fps: number; format: Format; signal?: AbortSignal },
): Promise<Blob> =>
  new Blob([(await encodeMp4(createH264MP4Encoder, frames, options)) as Uint8Array<ArrayBuffer>], {
    type: 'video/mp4',
  });
