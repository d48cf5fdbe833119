/** Writes what `svd generate` makes: videos with their settings, and tensors. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { writeSafetensors } from '../../checkpoints/safetensors/writer.ts';
import { isStream } from '../../files/writing/target.ts';
import type { RgbImage } from '../../media/image.ts';
import { exportToVideo } from '../../media/video/exportVideo.ts';
import type { OutputFormat } from '../../media/video/output.ts';
import type { FloatArray } from '../../pipelines/types.ts';
import { messageOf } from '../../text/messages.ts';
import { asTexts, diffusersArguments, type StoredSettings } from './storedSettings.ts';

type Tensors = Record<string, FloatArray>;

/** Videos as pictures for video files, or tensors by name for a `.safetensors` file. */
export type Result = { videos: RgbImage[][] } | { tensors: Tensors };

/** A file, or a folder of pictures, and what goes into it. */
export type Output = { path: string } & (
  | { tensors: Tensors }
  | { video: RgbImage[]; format: OutputFormat }
);

/** The outputs that a result is written to, each at its path. */
export const outputsOf = (result: Result, paths: string[], format: OutputFormat): Output[] =>
  'tensors' in result
    ? [{ path: paths[0], tensors: result.tensors }]
    : result.videos.map((video, i) => ({ path: paths[i], video, format }));

/**
 * Writes all outputs. What fails, for example because the disk is full, goes into the system's
 * folder for temporary files instead, so that the work is not lost: as it is, or as PNG pictures,
 * which need no encoder.
 * @param hasSpare Whether that is done. Otherwise the work is lost.
 * @throws Error that says what failed, and where the result is.
 */
export async function writeOutputs(
  outputs: Output[],
  settings: StoredSettings,
  signal: AbortSignal,
  hasSpare = true,
): Promise<void> {
  signal.throwIfAborted();
  const failures: { output: Output; error: unknown }[] = [];
  for (const output of outputs) {
    await write(output, settings, signal).catch((error) => failures.push({ output, error }));
    signal.throwIfAborted();
  }
  if (failures.length === 0) return;
  const [{ error }] = failures;
  if (!hasSpare) throw error;
  const folder = await mkdtemp(join(tmpdir(), 'svd-'));
  const kept: string[] = [];
  for (const { output } of failures) {
    const [first, ...others] = spares(output, folder);
    let path = write(first, settings, signal);
    for (const other of others) path = path.catch(() => write(other, settings, signal));
    kept.push(
      await path.catch(() => {
        throw error;
      }),
    );
  }
  const message = `${messageOf(error)} The result is in ${kept.join(', ')} instead.`;
  throw new Error(message, { cause: error });
}

/** An output in a folder as it is; and a video as pictures, in case its encoder has failed. */
function spares(output: Output, folder: string): Output[] {
  const format = 'tensors' in output ? 'safetensors' : output.format;
  const ending = format === 'png' ? '/' : `.${format}`;
  const given = isStream(output.path) ? 'result' : basename(output.path);
  const name = given.toLowerCase().endsWith(ending) ? given : given + ending;
  const path = join(folder, name);
  if ('tensors' in output) return [{ ...output, path }];
  return [
    { ...output, path },
    { ...output, path: `${path}.frames/`, format: 'png' },
  ];
}

/** @returns Its path. */
async function write(
  output: Output,
  settings: StoredSettings,
  signal: AbortSignal,
): Promise<string> {
  const { path } = output;
  if ('tensors' in output) {
    await writeTensors(output.tensors, path, settings);
    return path;
  }
  const { video, format } = output;
  const { fps, quality } = settings;
  const encoder = format === 'png' ? undefined : settings.encoder; // pictures need none
  const options = { fps, quality, encoder, metadata: asTexts(settings), format, signal };
  await exportToVideo(video, path, options);
  return path;
}

/**
 * Writes tensors with the settings in the metadata: whole under `settings`, and by diffusers' names
 * under `args`.
 */
async function writeTensors(
  tensors: Tensors,
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
