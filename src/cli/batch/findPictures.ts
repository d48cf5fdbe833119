/** Finds the pictures that arguments mean: files, addresses, folders and glob patterns. */
import type { Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { existingPath } from '../../files/existingPath.ts';
import { localPath } from '../../files/localPath.ts';
import { hasEnding } from '../../text/endings.ts';
import { byNumber } from '../../text/inOrder.ts';
import { UsageError } from '../terminal/errors.ts';

/** What the name of an output gets for the name of the file that says how it was made. */
export const SIDECAR = '.svd.json';

/** A picture. */
export interface Source {
  /** As one would pass it to `svd generate`: a path or an address. */
  picture: string;
  /** The folder for its output, below the one for all. */
  folder: string;
}

/** What is taken from folders and patterns. A file that is named may be of any kind. */
export const pictureEndings: readonly string[] = [
  ...['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tif', '.tiff', '.avif', '.svg', '.bmp'],
  ...['.ppm', '.pgm', '.pbm'],
];

/** Whether a picture has an address instead of a path. */
export const isAddress = (input: string) => /^\s*([a-z][a-z0-9+.-]+:\/\/|data:)/i.test(input);

/**
 * The pictures of an argument, in the order of their names: itself, those directly in a folder, or
 * those that match a pattern. Below the fixed part of a pattern, outputs have the same folders.
 * Outputs of this program are passed over.
 * @param found What is at the path `input`.
 * @throws UsageError if there are none.
 */
export async function findPictures(input: string, found: Stats | undefined): Promise<Source[]> {
  if (found?.isDirectory()) {
    const names = await readdir(input);
    const here = pictures(names, new Set(names));
    return sources(input, here, `there is no picture in the folder ${input}`);
  }
  if (found !== undefined || isAddress(input)) return [{ picture: input, folder: '' }];
  if (!isDynamicPattern(input)) throw new UsageError(`there is no file or folder ${input}.`);
  const parts = input.split('/');
  const fixed = parts.findIndex((part) => isDynamicPattern(part));
  const base = fixed === 0 ? '.' : parts.slice(0, fixed).join('/') || '/';
  const matching = await glob([parts.slice(fixed).join('/')], {
    cwd: resolve(base),
    expandDirectories: false,
  });
  return sources(base, await withoutOutputs(base, matching), `no picture matches ${input}`);
}

/** What is at the path that an argument names. */
export const foundAt = async (input: string): Promise<Stats | undefined> =>
  isAddress(input) && !/^\s*file:/i.test(input)
    ? undefined
    : stat(await existingPath(localPath(input))).catch(() => undefined);

/** The names that are of pictures, and not of outputs of this program. */
const pictures = (names: string[], beside: ReadonlySet<string>): string[] =>
  names.filter(
    (name) =>
      hasEnding(name, ...pictureEndings) &&
      !basename(name).startsWith('.') &&
      !beside.has(name + SIDECAR),
  );

async function withoutOutputs(base: string, paths: string[]): Promise<string[]> {
  const folders = [...new Set(paths.map((path) => dirname(path)))];
  const beside = await Promise.all(
    folders.map(async (folder) => {
      const names = await readdir(join(base, folder)).catch(() => []);
      return names.map((name) => join(folder, name));
    }),
  );
  return pictures(paths, new Set(beside.flat()));
}

function sources(base: string, names: string[], problem: string): Source[] {
  if (names.length === 0)
    throw new UsageError(`${problem}. Pictures end with ${pictureEndings.join(', ')}.`);
  return names.sort(byNumber).map((name) => ({
    picture: base === '.' ? name : `${base.replace(/\/+$/, '')}/${name}`, // as a shell writes it
    folder: dirname(name),
  }));
}
