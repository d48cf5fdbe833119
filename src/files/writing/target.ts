/** What the path of an output leads to: a file, a folder, a device, a pipe or standard output. */
import { fstatSync, type Stats, statSync } from 'node:fs';
import { access, constants, readlink, realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { existingPath } from '../existingPath.ts';

/** The path that stands for standard output, and for standard input. */
export const STANDARD = '-';

/** Where an output goes. */
export interface Target {
  /**
   * `new`: nothing is there. `stream`: a device or a pipe, which is written through. `stdout`: the
   * same, and it is the standard output of this process.
   */
  kind: 'new' | 'file' | 'folder' | 'stream' | 'stdout';
  /** Without links, also where the last one leads to nothing. */
  path: string;
  /** What is there. */
  found?: Stats;
}

/** @throws The system's error if it refuses to look there. */
export async function targetOf(output: string): Promise<Target> {
  if (output === STANDARD) return { kind: 'stdout', path: output };
  const path = withoutSlash(output);
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (found === undefined) return { kind: 'new', path: await withoutLinks(path) };
  if (isOwnOutput(found)) return { kind: 'stdout', path, found };
  if (found.isDirectory()) return { kind: 'folder', path: await realpath(path), found };
  return found.isFile()
    ? { kind: 'file', path: await realpath(path), found }
    : { kind: 'stream', path, found };
}

/** Whether an output at `path` is written through instead of replacing what is there. */
export function isStream(path: string): boolean {
  const found = foundAt(path);
  const isOther = found !== undefined && !found.isFile() && !found.isDirectory();
  return isOther || isStandardOutput(path);
}

/** Whether an output at `path` goes to standard output. */
export function isStandardOutput(path: string): boolean {
  const found = foundAt(path);
  return path === STANDARD || (found !== undefined && isOwnOutput(found));
}

function foundAt(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** A path with every link on the way followed, whether there is something at its end or not. */
export async function withoutLinks(path: string): Promise<string> {
  const parent = await existingPath(dirname(withoutSlash(path)));
  const folder = await realpath(parent).catch(() => resolve(parent));
  const place = join(folder, basename(path));
  const link = await readlink(place).catch(() => undefined);
  if (link === undefined) return place;
  return withoutLinks(isAbsolute(link) ? link : `${folder}/${link}`);
}

/** The path of a folder as that of a file, which is how links are seen. */
const withoutSlash = (path: string) => path.replace(/(?<=.)\/+$/, '');

/**
 * The folder in which an output is made: that of the target, from which it can take the target's
 * place in one step; otherwise the system's folder for temporary files.
 */
export async function workFolderOf({ kind, path }: Target): Promise<string> {
  const folder = dirname(path);
  if (kind === 'new') return folder;
  const canReplace =
    kind === 'file' &&
    (await access(folder, constants.W_OK | constants.X_OK).then(
      () => true,
      () => false,
    ));
  return canReplace ? folder : tmpdir();
}

function isOwnOutput({ dev, ino }: Stats): boolean {
  try {
    const own = fstatSync(1);
    return own.dev === dev && own.ino === ino;
  } catch {
    return false; // it is closed
  }
}
