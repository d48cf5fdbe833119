/** Videos as files. */
import {
  type BrowserVideoFormat,
  canEncodeVideo,
  type EncodeVideoOptions,
  encodeVideo,
  type RgbImage,
} from 'stable-video-diffusion-tfjs/browser';

/** Loads the encoder for MP4 that browsers without one of their own need. */
const loadH264Encoder = async () => (await import('h264-mp4-encoder')).createH264MP4Encoder;

export const encode = (frames: RgbImage[], options: EncodeVideoOptions): Promise<Blob> =>
  encodeVideo(frames, { ...options, loadH264Encoder });

/**
 * The formats that this browser can write. Loads what encodes them, to be called before the long
 * work: after it, the page's server may be gone.
 */
export async function formatsFor(size: {
  width: number;
  height: number;
}): Promise<BrowserVideoFormat[]> {
  if (!(await canEncodeVideo('mp4', size))) await loadH264Encoder();
  return ['mp4', ...((await canEncodeVideo('webm', size)) ? (['webm'] as const) : []), 'gif'];
}
