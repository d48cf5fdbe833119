/** The names of outputs: where none is passed, and of several videos. */
import { existsSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { withLock } from '../../files/lock.ts';
import { STANDARD } from '../../files/writing/target.ts';
import { hiddenName } from '../../files/writing/temporary.ts';
import type { OutputFormat } from '../../media/video/output.ts';
import type { GenerateCommand } from './options.ts';

/**
 * `rocket.mp4` in the current folder for a picture `rocket.jpg`; where that is taken,
 * `rocket-2.mp4` and so on.
 */
export const defaultOutput = (...of: Parameters<typeof defaultOutputs>): string =>
  defaultOutputs(...of).at(-1)!;

/** The names that are taken, and the one that is not. */
export function defaultOutputs(
  image: string,
  format: OutputFormat = 'mp4',
  isTaken: (path: string) => boolean = existsSync,
): string[] {
  const [address] = image.split(/[?#]/);
  const isData = image === STANDARD || /^\s*data:/i.test(image);
  const file = isData ? 'video' : basename(/^[a-z]{2,}:/i.test(image) ? address : image);
  const name = file.slice(0, file.length - extname(file).length) || 'video';
  const ending = format === 'png' ? '/' : `.${format}`;
  for (const outputs: string[] = []; ; ) {
    const base = outputs.length === 0 ? name : `${name}-${outputs.length + 1}`;
    outputs.push(base + ending);
    // Several videos get numbers behind it.
    if (![base, `${base}-0`].some((one) => isTaken(one + ending))) return outputs;
  }
}

/**
 * Does `work` with the default output, which no other call takes meanwhile: a lock beside it is of
 * this process. `passedOver` are the names before it.
 */
export async function withDefaultOutput<T>(
  { images, format }: Pick<GenerateCommand, 'images' | 'format'>,
  work: (output: string, passedOver: string[]) => Promise<T>,
): Promise<T> {
  const held = new Set<string>();
  const isTaken = (path: string) => held.has(path) || existsSync(path);
  for (;;) {
    const outputs = defaultOutputs(images[0], format, isTaken);
    const output = outputs.at(-1)!;
    let state: 'asked' | 'held' | 'ours' = 'asked';
    const busy = () => {
      state = 'held';
      return '';
    };
    const ours = async () => {
      // That of another call may have come since it was looked for.
      if (defaultOutput(images[0], format, isTaken) !== output) throw new Error(busy());
      state = 'ours';
      return work(output, outputs.slice(0, -1));
    };
    const lock = hiddenName(output.replace(/\/$/, ''), '.lock');
    try {
      return await withLock(lock, busy, ours);
    } catch (error) {
      state = state as 'asked' | 'held' | 'ours';
      if (state === 'ours') throw error;
      // Where nothing can be written, the check of the output says so.
      if (state === 'asked') return work(output, outputs.slice(0, -1));
      held.add(output);
    }
  }
}

/** The paths that a number of videos is written to. A `.safetensors` file holds them all. */
export function outputPaths(
  { output, format }: Pick<GenerateCommand, 'output' | 'format'>,
  videos: number,
): string[] {
  if (videos === 1 || format === 'safetensors') return [output];
  return Array.from({ length: videos }, (_, i) => numbered(output, i));
}

/** `clip.mp4` becomes `clip-0.mp4`, the folder `clip/` becomes `clip-0/`. */
function numbered(output: string, index: number): string {
  const ending = output.endsWith('/') ? '/' : extname(output);
  return `${output.slice(0, output.length - ending.length)}-${index}${ending}`;
}
