/** The name of an output where none is passed. */
import { existsSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { STANDARD } from '../../files/writing/target.ts';
import type { OutputFormat } from '../../media/video/output.ts';

/**
 * `rocket.mp4` in the current folder for a picture `rocket.jpg`; where that is taken,
 * `rocket-2.mp4` and so on.
 */
export function defaultOutput(
  image: string,
  format: OutputFormat = 'mp4',
  isTaken: (path: string) => boolean = existsSync,
): string {
  const [address] = image.split(/[?#]/);
  const isData = image === STANDARD || /^\s*data:/i.test(image);
  const file = isData ? 'video' : basename(/^[a-z]{2,}:/i.test(image) ? address : image);
  const name = file.slice(0, file.length - extname(file).length) || 'video';
  const ending = format === 'png' ? '/' : `.${format}`;
  for (let i = 1; ; i++) {
    const base = i === 1 ? name : `${name}-${i}`;
    // Several videos get numbers behind it.
    if (![base, `${base}-0`].some((one) => isTaken(one + ending))) return base + ending;
  }
}
