/**
 * Writes frames as a video file or a folder of pictures, as diffusers' `export_to_video` and
 * `export_to_gif` do in Python.
 */
import { writeFile } from 'node:fs/promises';
import { writeAtomically } from '../../files/writing/atomic.ts';
import { isStream } from '../../files/writing/target.ts';
import { checkOptionValues, checkPath, type Kind, type Kinds, kinds } from '../../text/options.ts';
import type { RgbImage } from '../image.ts';
import { encodeMp4 } from './encodeMp4.ts';
import { writeFrames } from './frames.ts';
import { nodeEncoder } from './nodeEncoder.ts';
import { checkOutput, type OutputFormat, outputFormat } from './output.ts';

/** Options of `exportToVideo`. */
export interface ExportOptions {
  /** Frames per second, 0.1 to 240; for GIF at most 50. Default 7. */
  fps?: number;
  /**
   * Quality of MP4 and WebP, 1 to 100. Default 80, which for MP4 is a quantizer of 18. GIF and PNG
   * ignore it.
   */
  quality?: number;
  /** The format to write. Default: by the path's ending; MP4 for devices and pipes without one. */
  format?: OutputFormat;
  /**
   * Settings that the file keeps as JSON: in the comment of MP4 and GIF, in the EXIF image
   * description of WebP and of each PNG.
   */
  metadata?: Record<string, string>;
  /** Stops the work. The promise then rejects with the signal's reason, and nothing is written. */
  signal?: AbortSignal;
}

/** The values of settings. */
const texts: Kind = {
  is: 'an object of strings',
  test: (value) =>
    kinds.object.test(value) &&
    Object.values(value as object).every((text) => kinds.text.test(text)),
};

const exportOptionKinds: Kinds<ExportOptions> = {
  ...{ fps: kinds.any, quality: kinds.any }, // by their ranges, below
  ...{ format: kinds.any, metadata: texts, signal: kinds.signal },
};

/**
 * Writes a video. The path's ending decides on the format: `.mp4` (H.264, plays in browsers and
 * players; odd sizes are made even by repeating the last column or row), `.webp` and `.gif`
 * (animated, looping), or `/` (a folder with `0000.png`, `0001.png`, ..., which replace those that
 * this function has written there before). The target appears whole or not at all. Devices, pipes
 * and `-`, which is standard output, are written through.
 *
 * @param frames One picture or more, all of the same size.
 * @throws When there are no frames, they differ in size, an option is unknown or out of its range, or the
 * target cannot be written.
 */
export async function exportToVideo(
  frames: readonly RgbImage[],
  path: string,
  options: ExportOptions = {},
): Promise<void> {
  checkOptionValues('exportToVideo', options, exportOptionKinds);
  checkPath('exportToVideo', path);
  const { fps = 7, quality = 80, metadata, signal } = options;
  const format = outputFormat(path, options.format);
  checkFrames(frames);
  checkRange('quality', quality, 1, 100);
  checkRange('fps', fps, 0.1, format === 'gif' ? 50 : 240);
  await checkOutput(path, format);
  signal?.throwIfAborted();
  const comment = metadata && asciiJson(metadata);
  if (format === 'png' && !isStream(path)) return writeFrames(frames, path, comment, signal);
  const file = await encode();
  signal?.throwIfAborted();
  await writeAtomically(path, (temporary) => writeFile(temporary, file), signal);

  async function encode(): Promise<Uint8Array> {
    if (format === 'webp') return (await animation()).encodeWebp(frames, fps, quality, comment);
    if (format === 'gif') return (await animation()).encodeGif(frames, fps, comment);
    if (format === 'png') return (await animation()).encodePngs(frames, comment);
    if (format === 'mp4')
      return encodeMp4(nodeEncoder(), frames, { fps, quality, comment, signal });
    throw new Error(
      `The output "${path}" is for tensors, not for pictures. Use .mp4, .webp, .gif or / for ` +
        'a folder of PNG pictures.',
    );
  }
}

/** Loads what encodes a format. @throws What Node throws if its package is not installed. */
export async function loadEncoder(format: OutputFormat): Promise<void> {
  if (format === 'mp4') nodeEncoder();
  else if (format !== 'safetensors') await animation();
}

/** Loaded only when it is needed: its libraries take 10 MB. */
const animation = () => import('./animation.ts');

/** JSON in ASCII, the only characters of EXIF. */
function asciiJson(value: Record<string, string>): string {
  return JSON.stringify(value).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function checkFrames(frames: readonly RgbImage[]): void {
  const isFrame = (frame: RgbImage | null) =>
    kinds.count.test(frame?.width) &&
    kinds.count.test(frame?.height) &&
    (frame?.data?.length ?? 0) > 0;
  if (!Array.isArray(frames) || !frames.every(isFrame))
    throw new Error(
      'The frames have to be a list of pictures `{ width, height, data }`, such as `frames[0]` of ' +
        'what `generate` returns.',
    );
  const [first] = frames;
  if (!first) throw new Error('There are no frames to write. Pass one or more.');
  for (const [i, { width, height, data }] of frames.entries()) {
    if (width !== first.width || height !== first.height) {
      throw new Error(
        `All frames have to be ${first.width} x ${first.height} pixels like the first, but ` +
          `frame ${i} is ${width} x ${height}.`,
      );
    }
    if (data.length !== width * height * 3) {
      throw new Error(
        `Frame ${i} of ${width} x ${height} pixels has to have ${width * height * 3} bytes ` +
          `but has ${data.length}.`,
      );
    }
  }
}

function checkRange(name: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high))
    throw new Error(`\`${name}\` has to be a number from ${low} to ${high} but is ${value}.`);
}
