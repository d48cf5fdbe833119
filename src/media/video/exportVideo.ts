/**
 * Writes frames as a video file or a folder of pictures, as diffusers' `export_to_video` and
 * `export_to_gif` do in Python.
 */
import { writeFile } from 'node:fs/promises';
import { writeAtomically } from '../../files/writing/atomic.ts';
import { isStream } from '../../files/writing/target.ts';
import { checkOptionValues, checkPath, type Kinds, kinds } from '../../text/options.ts';
import type { RgbImage } from '../image.ts';
import type { ChosenEncoder } from './encoders/node.ts';
import {
  checkEncoding,
  commentOf,
  DEFAULT_QUALITY,
  gifColours,
  metadataKind,
  type VideoEncoder,
  videoEncoders,
} from './encodingOptions.ts';
import { writeFrames } from './frames.ts';
import { checkOutput, type OutputFormat, outputFormat } from './output.ts';

/** Options of `exportToVideo`. */
export interface ExportOptions {
  /** Frames per second, 0.1 to 240; for GIF at most 50. Default 7. */
  fps?: number;
  /**
   * Quality, 1 to 100, on one scale for all formats. Default 80: a quantizer of 18 for the built-in
   * encoder, about as close to the pictures for ffmpeg, and 256 colours for GIF, which has no more.
   * PNG ignores it.
   */
  quality?: number;
  /**
   * What encodes MP4 and WebM. Default `auto`: the program ffmpeg where there is one, otherwise the
   * built-in encoder, which does not write WebM. The bytes differ, but one encoder always makes the
   * same.
   */
  encoder?: VideoEncoder;
  /** The format to write. Default: by the path's ending; MP4 for devices and pipes without one. */
  format?: OutputFormat;
  /**
   * Settings that the file keeps as JSON: in the comment of MP4, WebM and GIF, in the EXIF image
   * description of WebP and of each PNG.
   */
  metadata?: Record<string, string>;
  /** Stops the work. The promise then rejects with the signal's reason, and nothing is written. */
  signal?: AbortSignal;
}

const exportOptionKinds: Kinds<ExportOptions> = {
  ...{ fps: kinds.any, quality: kinds.any }, // by their ranges, below
  encoder: { oneOf: videoEncoders },
  ...{ format: kinds.any, metadata: metadataKind, signal: kinds.signal },
};

/**
 * Writes a video. The path's ending decides on the format: `.mp4` (H.264, plays in browsers and
 * players), `.webm` (VP9; in both, odd sizes are made even by repeating the last column or row),
 * `.webp` and `.gif` (animated, looping), or `/` (a folder with `0000.png`, `0001.png`, ..., which
 * replace those that this function has written there before). The target appears whole or not at
 * all. Devices, pipes and `-`, which is standard output, are written through.
 *
 * @param frames One picture or more, all of the same size.
 * @throws When there are no frames, they differ in size, an option is unknown or out of its range,
 * nothing encodes the format, or the target cannot be written.
 */
export async function exportToVideo(
  frames: readonly RgbImage[],
  path: string,
  options: ExportOptions = {},
): Promise<void> {
  checkOptionValues('exportToVideo', options, exportOptionKinds);
  checkPath('exportToVideo', path);
  const { fps = 7, quality = DEFAULT_QUALITY, metadata, signal } = options;
  const format = outputFormat(path, options.format);
  checkEncoding(frames, { fps, quality }, format);
  await checkOutput(path, format);
  const chosen = await loadEncoder(format, options.encoder);
  signal?.throwIfAborted();
  const comment = commentOf(metadata);
  if (format === 'png' && !isStream(path)) return writeFrames(frames, path, comment, signal);
  const file = await encode();
  signal?.throwIfAborted();
  await writeAtomically(path, (temporary) => writeFile(temporary, file), signal);

  async function encode(): Promise<Uint8Array> {
    if (format === 'webp') return (await animation()).encodeWebp(frames, fps, quality, comment);
    if (format === 'gif')
      return (await animation()).encodeGif(frames, fps, gifColours(quality), comment);
    if (format === 'png') return (await animation()).encodePngs(frames, comment);
    if (format === 'safetensors')
      throw new Error(
        `The output "${path}" is for tensors, not for pictures. Use .mp4, .webm, .webp, .gif or / ` +
          'for a folder of PNG pictures.',
      );
    const { encodeBy } = await video();
    return encodeBy(chosen!, frames, { format, fps, quality, comment, signal });
  }
}

/**
 * Finds what encodes a format, and loads it.
 *
 * @returns The encoder of MP4 or WebM, nothing for other formats.
 * @throws When there is none, or `wanted` does not encode the format. What Node throws if a package
 * is not installed.
 */
export async function loadEncoder(
  format: OutputFormat,
  wanted?: VideoEncoder,
): Promise<ChosenEncoder | undefined> {
  if (format === 'mp4' || format === 'webm') return (await video()).chooseEncoder(format, wanted);
  if (wanted === 'ffmpeg')
    throw new Error(`ffmpeg encodes MP4 and WebM, but the format is ${format}.`);
  if (format !== 'safetensors') await animation();
  return undefined;
}

/** Each is loaded only when it is needed: their libraries take 10 MB. */
const animation = () => import('./animation.ts');
const video = () => import('./encoders/node.ts');
