/** Videos as files in browsers. */
import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import type { RgbImage } from '../image.ts';
import type { CreateEncoder } from './encoders/h264.ts';
import { checkEncoding, commentOf, DEFAULT_QUALITY, metadataKind } from './encodingOptions.ts';

/** A format that browsers can write. */
export type BrowserVideoFormat = 'mp4' | 'webm' | 'gif';

const types: Record<BrowserVideoFormat, string> = {
  mp4: 'video/mp4',
  webm: 'video/webm',
  gif: 'image/gif',
};

/** The codecs of each format, the most widely played first. */
const codecs = { mp4: ['avc'], webm: ['vp9', 'av1'] } as const;

/** Options of `encodeVideo`. */
export interface EncodeVideoOptions {
  /** Frames per second, 0.1 to 240; for GIF at most 50. Default 7. */
  fps?: number;
  /** Default `mp4`. */
  format?: BrowserVideoFormat;
  /** Quality, 1 to 100, on one scale for all formats. Default 80. */
  quality?: number;
  /** Settings that the file keeps in its comment, as JSON. */
  metadata?: Record<string, string>;
  /**
   * Loads `createH264MP4Encoder` of the package h264-mp4-encoder. It is called for MP4 only where
   * the browser has no encoder of H.264.
   */
  loadH264Encoder?: () => Promise<CreateEncoder>;
  /** Stops the work. The promise then rejects with the signal's reason. */
  signal?: AbortSignal;
}

const encodeVideoOptionKinds: Kinds<EncodeVideoOptions> = {
  ...{ fps: kinds.any, quality: kinds.any }, // by their ranges, below
  format: { oneOf: Object.keys(types) },
  ...{ metadata: metadataKind, loadH264Encoder: kinds.listener, signal: kinds.signal },
};

/**
 * Encodes a video in a browser, on a page or in a worker. MP4 is H.264; where the browser does not
 * encode that, `loadH264Encoder` does, and without it VP9 or AV1. WebM is VP9 or AV1. In both, odd
 * sizes are made even by repeating the last column or row.
 *
 * @param frames One picture or more, all of the same size.
 * @returns The file, with its type.
 * @throws When there are no frames, they differ in size, an option is unknown or out of its range,
 * or the browser has no encoder for the format.
 */
export async function encodeVideo(
  frames: readonly RgbImage[],
  options: EncodeVideoOptions = {},
): Promise<Blob> {
  checkOptionValues('encodeVideo', options, encodeVideoOptionKinds);
  const { fps = 7, format = 'mp4', quality = DEFAULT_QUALITY, metadata, signal } = options;
  checkEncoding(frames, { fps, quality }, format);
  signal?.throwIfAborted();
  const comment = commentOf(metadata);
  const file = await encode();
  signal?.throwIfAborted();
  return new Blob([file], { type: types[format] });

  async function encode(): Promise<Uint8Array<ArrayBuffer>> {
    const encoding = { fps, quality, comment, signal };
    if (format === 'gif') return (await gif()).encodeGif(frames, encoding);
    const { encodeByWebCodecs, encodeH264, findWebCodec, writePackets } = await encoders();
    const load = format === 'mp4' ? options.loadH264Encoder : undefined;
    // MP4 can hold those of WebM, too, but few players of it know them.
    const wanted = format === 'mp4' && !load ? [...codecs.mp4, ...codecs.webm] : codecs[format];
    const config = await findWebCodec(wanted, frames[0]!, encoding);
    if (config) return encodeByWebCodecs(config, frames, { ...encoding, format });
    if (!load) throw new Error(missing(format));
    const video = await encodeH264(await load(), frames, encoding);
    return writePackets(video, { ...encoding, format });
  }
}

/**
 * Whether this browser itself encodes a format at a size: MP4 with H.264, which all players know.
 * Where it does not, MP4 needs `loadH264Encoder`. What encodes the format is loaded meanwhile, so
 * that a video can still be encoded when the page's server is gone.
 */
export async function canEncodeVideo(
  format: BrowserVideoFormat,
  size: { width: number; height: number },
): Promise<boolean> {
  if (format === 'gif') return Boolean(await gif());
  const { findWebCodec } = await encoders();
  const options = { fps: 7, quality: DEFAULT_QUALITY };
  return (await findWebCodec(codecs[format], size, options)) !== undefined;
}

const encoders = () => import('./encoders/browser.ts');
const gif = () => import('./encoders/gif.ts');

const missing = (format: 'mp4' | 'webm') =>
  `This browser has no encoder for .${format} at this size. ` +
  (format === 'mp4' ? 'Pass `loadH264Encoder`.' : 'Use mp4 or gif.');
