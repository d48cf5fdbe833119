/** Encodes pictures with the program ffmpeg. */
import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../../text/messages.ts';
import type { RgbImage } from '../../image.ts';
import type { EncodedVideo } from '../container.ts';
import { type EncodingOptions, KEY_FRAME_EVERY, quantizers } from '../encodingOptions.ts';
import { readContainer } from '../readContainer.ts';
import { colorSpace, evenSize, toI420 } from '../yuv.ts';

/** How ffmpeg encodes a format. */
interface FfmpegEncoder {
  name: string;
  arguments: string[];
  /** Its constant rate factor for a quality. */
  rateFactor: (quality: number) => number;
}

const encoders: Record<'mp4' | 'webm', FfmpegEncoder> = {
  mp4: {
    name: 'libx264',
    // Without the 700 bytes that only say how x264 was called.
    arguments: ['-preset', 'slow', '-bsf:v', 'filter_units=remove_types=6'],
    rateFactor: quantizers.x264,
  },
  webm: {
    name: 'libvpx-vp9',
    arguments: ['-b:v', '0', '-deadline', 'good', '-cpu-used', '2'],
    rateFactor: quantizers.vp9,
  },
};

/**
 * The version of ffmpeg with the name of its encoder for a format: `ffmpeg 7.1 libx264`.
 *
 * @throws When there is no ffmpeg, it does not run, or it lacks that encoder.
 */
export async function findFfmpeg(format: 'mp4' | 'webm'): Promise<string> {
  const { name } = encoders[format];
  const { output, errors } = await runFfmpeg(['-encoders']);
  const version = /^ffmpeg version (\S+)/m.exec(`${errors}\n${output}`)?.[1] ?? 'of no version';
  if (!new RegExp(`^ V\\S* ${name} `, 'm').test(output.toString()))
    throw new Error(`ffmpeg ${version} has no encoder ${name}`);
  return `ffmpeg ${version} ${name}`;
}

/**
 * Encodes frames of equal size.
 *
 * @throws When ffmpeg fails, with its reason; the signal's reason, once ffmpeg has been ended.
 */
export async function encodeByFfmpeg(
  format: 'mp4' | 'webm',
  frames: readonly RgbImage[],
  { fps, quality, signal }: EncodingOptions,
): Promise<EncodedVideo> {
  const { width, height } = evenSize(frames[0]!);
  const { name, arguments: own, rateFactor } = encoders[format];
  const rate = `${Math.round(1000 * fps)}/1000`;
  const size = ['-pix_fmt', 'yuv420p', '-video_size', `${width}x${height}`];
  const { primaries, transfer, matrix } = colorSpace;
  const colours = ['-color_primaries', primaries, '-color_trc', transfer, '-colorspace', matrix];
  const { output } = await runFfmpeg(
    [
      ...['-loglevel', 'error', '-f', 'rawvideo', ...size, '-framerate', rate, '-i', 'pipe:0'],
      ...[
        '-c:v',
        name,
        ...own,
        '-crf',
        `${rateFactor(quality)}`,
        '-g',
        `${KEY_FRAME_EVERY}`,
        ...colours,
      ],
      // One thread, because the bytes depend on their number.
      ...['-color_range', 'tv', '-threads', '1', '-f', 'matroska', 'pipe:1'],
    ],
    frames,
    signal,
  );
  const video = await readContainer(output).catch((error) => {
    throw new Error('ffmpeg wrote no video', { cause: error });
  });
  if (video.packets.length === frames.length) return video;
  throw new Error(`ffmpeg wrote ${video.packets.length} frames instead of ${frames.length}`);
}

/** Runs ffmpeg, which reads the frames from its standard input. */
async function runFfmpeg(
  args: string[],
  frames: readonly RgbImage[] = [],
  signal?: AbortSignal,
): Promise<{ output: Buffer; errors: string }> {
  signal?.throwIfAborted();
  const child = spawn('ffmpeg', args, { windowsHide: true, signal, killSignal: 'SIGKILL' });
  const end = new Promise<string | undefined>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, killer) => resolve(code === 0 ? undefined : (killer ?? `${code}`)));
  });
  const planes = Readable.from(frames).map(toI420);
  const [output, errors, failure] = await Promise.all([
    ...([buffer(child.stdout), text(child.stderr), end] as const),
    pipeline(planes, child.stdin).catch(() => {}), // it may end before it has read everything
  ]).catch((error: NodeJS.ErrnoException) => {
    signal?.throwIfAborted();
    throw error.code === 'ENOENT'
      ? new MissingFfmpeg('there is no program ffmpeg')
      : new Error(`ffmpeg does not run (${messageOf(error)})`);
  });
  if (failure === undefined) return { output, errors };
  throw new Error(`ffmpeg failed (${reasonIn(errors) ?? failure})`);
}

/** There is no program ffmpeg. */
export class MissingFfmpeg extends Error {
  override name = 'MissingFfmpeg';
}

/** The first complaint, without the name of the part that has it: `[libx264 @ 0x5581]`. */
const reasonIn = (errors: string): string | undefined =>
  errors
    .split('\n')
    .map((line) => line.replace(/^\[.*?\] */, '').trim())
    .find((line) => line !== '');
