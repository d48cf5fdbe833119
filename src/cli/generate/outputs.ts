/** Writes the result of `svd generate`: videos with their settings, or tensors. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { writeSafetensors } from '../../checkpoints/safetensors/writer.ts';
import { exportToVideo } from '../../media/exportVideo.ts';
import type { RgbImage } from '../../media/image.ts';
import { outputFormat } from '../../media/output.ts';
import type { FloatArray } from '../../pipelines/types.ts';
import { messageOf } from '../../text/messages.ts';
import { asTexts, diffusersArguments, type StoredSettings } from './storedSettings.ts';

/** Videos as pictures for video files, or tensors by name for a `.safetensors` file. */
export type Result = { videos: RgbImage[][] } | { tensors: Record<string, FloatArray> };

/** The paths that a number of videos is written to. A `.safetensors` file holds them all. */
export function outputPaths(output: string, videos: number): string[] {
  if (videos === 1 || outputFormat(output) === 'safetensors') return [output];
  return Array.from({ length: videos }, (_, i) => numbered(output, i));
}

/** `clip.mp4` becomes `clip-0.mp4`, the folder `clip/` becomes `clip-0/`. */
function numbered(output: string, index: number): string {
  const ending = output.endsWith('/') ? '/' : extname(output);
  return `${output.slice(0, output.length - ending.length)}-${index}${ending}`;
}

/**
 * Writes a result to `paths` and returns them. If that fails, for example because the disk is full,
 * the result goes into the system's folder for temporary files instead, so that the work is not
 * lost.
 * @throws Error that says what failed, and where the result is.
 */
export async function writeResult(
  result: Result,
  paths: string[],
  settings: StoredSettings,
  signal: AbortSignal,
): Promise<string[]> {
  signal.throwIfAborted();
  try {
    await write(result, paths, settings, signal);
    return paths;
  } catch (error) {
    signal.throwIfAborted();
    const folder = await mkdtemp(join(tmpdir(), 'svd-'));
    const ending = (path: string) => (path.endsWith('/') ? '/' : '');
    const spare = paths.map((path) => join(folder, basename(path)) + ending(path));
    await write(result, spare, settings, signal).catch(() => {
      throw error;
    });
    const message = `${messageOf(error)} The result is in ${spare.join(', ')} instead.`;
    throw new Error(message, { cause: error });
  }
}

async function write(
  result: Result,
  paths: string[],
  settings: StoredSettings,
  signal: AbortSignal,
): Promise<void> {
  if ('tensors' in result) return writeTensors(result.tensors, paths[0], settings);
  const options = { fps: settings.fps, metadata: asTexts(settings), signal };
  for (const [i, video] of result.videos.entries()) await exportToVideo(video, paths[i], options);
}

/**
 * Writes tensors with the settings in the metadata: whole under `settings`, and by diffusers' names
 * under `args`.
 */
export async function writeTensors(
  tensors: Record<string, FloatArray>,
  path: string,
  settings: StoredSettings,
): Promise<void> {
  const entries = Object.entries(tensors).map(([name, { data, shape }]) => [
    ...[name, { dtype: 'F32', data, shape }],
  ]);
  const metadata = {
    format: 'pt',
    settings: JSON.stringify(settings),
    args: JSON.stringify(diffusersArguments(settings)),
  };
  await writeSafetensors(path, Object.fromEntries(entries), metadata);
}
