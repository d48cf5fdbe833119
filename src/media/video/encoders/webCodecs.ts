/** Encodes pictures with the encoders of browsers (WebCodecs). */
import {
  canEncodeVideo,
  Quality,
  type VideoCodec,
  type VideoEncodingConfig,
  VideoSample,
  VideoSampleSource,
} from 'mediabunny';
import type { RgbImage } from '../../image.ts';
import { type ContainerOptions, writeContainer } from '../container.ts';
import { type EncodingOptions, KEY_FRAME_EVERY, quantizers } from '../encodingOptions.ts';
import { colorSpace, evenSize, toI420 } from '../yuv.ts';
import { h264Level } from './h264Level.ts';

type Size = { width: number; height: number };
type Codec = Extract<VideoCodec, 'avc' | 'vp9' | 'av1'>;

/** Pictures that a frame of H.264 refers to at most. */
const REFERENCES = 4;

/** The first of some codecs that this browser encodes at a size, with its settings. */
export async function findWebCodec(
  codecs: readonly Codec[],
  frame: Size,
  options: EncodingOptions,
): Promise<VideoEncodingConfig | undefined> {
  if (typeof VideoEncoder === 'undefined') return undefined; // also on pages without https
  const size = evenSize(frame);
  for (const config of codecs.flatMap((codec) => configsOf(codec, size, options)))
    if (await canEncodeVideo(config.codec, { ...config, ...size })) return config;
  return undefined;
}

function configsOf(codec: Codec, size: Size, options: EncodingOptions): VideoEncodingConfig[] {
  const { fps, quality } = options;
  // Where there is no constant quantizer: about the bits that it takes on moving pictures.
  const bitsPerPixel = 0.4 * 2 ** ((quality - 80) / 13);
  const bitrate = Math.ceil(size.width * size.height * fps * bitsPerPixel);
  const config = {
    codec,
    quality: new Quality({ quantizer: quantizers[codec](quality), bitrate }),
    keyFrameInterval: KEY_FRAME_EVERY / fps,
  };
  if (codec !== 'avc') return [config];
  const bytes = Array(Math.ceil(fps)).fill(bitrate / 8 / fps);
  const level = h264Level({ ...size, bytes }, fps, REFERENCES)
    .toString(16)
    .padStart(2, '0');
  // The High and the Baseline profile: not every browser has both.
  return ['6400', '42e0'].map((profile) => ({
    ...config,
    fullCodecString: `avc1.${profile}${level}`,
  }));
}

/** A video file of frames of equal size. */
export function encodeByWebCodecs(
  config: VideoEncodingConfig,
  frames: readonly RgbImage[],
  options: EncodingOptions & ContainerOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { fps, signal } = options;
  const source = new VideoSampleSource(config);
  const size = evenSize(frames[0]!);
  const init = { format: 'I420', codedWidth: size.width, codedHeight: size.height } as const;
  return writeContainer(source, options, async () => {
    for (const [i, frame] of frames.entries()) {
      signal?.throwIfAborted();
      const time = { timestamp: i / fps, duration: 1 / fps };
      using sample = new VideoSample(toI420(frame), { ...init, ...time, colorSpace });
      await source.add(sample);
    }
  });
}
