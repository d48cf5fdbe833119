/** The names of outputs: where none is passed, and of several videos. */
import { existsSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { STANDARD } from '../../files/writing/target.ts';
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
