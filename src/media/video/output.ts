/**
 * The format of an output, from its path, and a check before the long work begins that it can be
 * written.
 */
import type { Stats } from 'node:fs';
import { access, constants, open, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isatty } from 'node:tty';
import { existingPath } from '../../files/existingPath.ts';
import {
  isStream,
  STANDARD,
  type Target,
  targetOf,
  workFolderOf,
} from '../../files/writing/target.ts';
import { withTemporary } from '../../files/writing/temporary.ts';
import { messageOf } from '../../text/messages.ts';
import { checkPath } from '../../text/options.ts';
import { checkFrameFolder, frameName } from './frames.ts';

/** `png`: a folder with one picture per frame; in a stream, one picture after the other. */
export type OutputFormat = 'mp4' | 'webm' | 'webp' | 'gif' | 'safetensors' | 'png';

const ENDINGS: Record<string, OutputFormat> = {
  '.mp4': 'mp4',
  '.webm': 'webm',
  '.webp': 'webp',
  '.gif': 'gif',
  '.safetensors': 'safetensors',
  '/': 'png',
};
/** The endings of paths that a video can be written to. */
export const outputEndings: readonly string[] = Object.keys(ENDINGS);
/** The formats that a video can be written in. */
export const outputFormats: readonly OutputFormat[] = Object.values(ENDINGS);

/**
 * The format that a path's ending chooses. A device, a pipe, or `-` for standard output, gets MP4
 * if it has no such ending.
 *
 * @param format The format to write whatever the ending.
 * @throws When the path does not end in `.mp4`, `.webm`, `.webp`, `.gif`, `.safetensors` or `/` and
 * nothing else says the format, or when the ending is that of another format.
 */
export function outputFormat(path: string, format?: OutputFormat): OutputFormat {
  const ending = outputEndings.find((known) => path.toLowerCase().endsWith(known));
  if (ending && format && format !== ENDINGS[ending])
    throw new Error(
      `The output "${path}" ends with ${ending}, but the format is ${format}. Use another ending, ` +
        'or leave out the format.',
    );
  if (format) return format;
  if (ending) return ENDINGS[ending]!;
  if (isStream(path)) return 'mp4';
  throw new Error(
    `The output "${path}" ends in none of the known ways. Use .mp4, .webm, ` +
      '.webp, .gif, .safetensors, or / for a folder of PNG pictures.',
  );
}

/**
 * Checks before sampling that a video can be written to `path`: makes a temporary file there and
 * removes it again.
 *
 * @param format The format to write. Default: by the path's ending.
 * @throws When the ending is unknown, when its folder does not exist or is not writable, when its
 * name is too long, when a folder is where a file is wanted or the reverse, when a folder holds
 * anything but an earlier output, or when standard output is a terminal.
 */
export async function checkOutput(path: string, format?: OutputFormat): Promise<void> {
  checkPath('checkOutput', path);
  await checkTarget(path, outputFormat(path, format) === 'png');
}

/** The same for a file with any ending, or a folder of frames. */
export async function checkTarget(path: string, isFolder = false): Promise<void> {
  if (path !== STANDARD) await checkFolder(dirname(resolve(path)), path);
  const target = await targetOf(path).catch((error) => refuse(path, error));
  switch (target.kind) {
    case 'folder':
      if (!isFolder)
        throw new Error(
          `The output "${path}" is a folder. Use the name of a file, or end it with / for PNG ` +
            'pictures.',
        );
      await checkFrameFolder(path);
      return probe(target.path, path);
    case 'file':
      if (isFolder)
        throw new Error(`The output "${path}" is a file, not a folder. Use another folder.`);
      await access(path, constants.W_OK).catch((error) => refuse(path, error));
      return probe(await workFolderOf(target), path);
    case 'new':
      await checkFolder(dirname(target.path), path);
      // A folder's pictures have longer paths than itself.
      if (isFolder) await targetOf(join(target.path, frameName(0))).catch(ignoreMissing(path));
      return probe(dirname(target.path), path);
    default:
      await checkStream(path, target);
      return probe(await workFolderOf(target), path);
  }
}

async function checkFolder(folder: string, path: string): Promise<void> {
  const found = await stat(await existingPath(folder)).catch(() => undefined);
  if (!found)
    throw new Error(
      `The output "${path}" cannot be written: there is no folder ${folder}. Create it first.`,
    );
  if (!found.isDirectory())
    throw new Error(
      `The output "${path}" cannot be written: ${folder} is not a folder. Use another path.`,
    );
}

async function checkStream(path: string, { kind, found }: Target): Promise<void> {
  const isTerminal = kind === 'stdout' ? process.stdout.isTTY : found && (await isTty(path, found));
  if (isTerminal)
    throw new Error(
      `The output "${path}" is the terminal, which shows no videos. Send it into a file or a ` +
        'program by > or |.',
    );
  if (kind === 'stdout') return;
  if (found?.isBlockDevice() || found?.isSocket())
    throw new Error(
      `The output "${path}" is a ${found.isSocket() ? 'socket' : 'disk'}. Use the name of a file.`,
    );
  await access(path, constants.W_OK).catch((error) => refuse(path, error));
}

async function isTty(path: string, found: Stats): Promise<boolean> {
  if (!found.isCharacterDevice()) return false;
  const device = await open(path, constants.O_WRONLY).catch((error) => refuse(path, error));
  const answer = isatty(device.fd);
  await device.close();
  return answer;
}

/** Tries to write in `folder`. */
async function probe(folder: string, path: string): Promise<void> {
  await withTemporary(folder, async (temporary) => {
    const file = await open(temporary, 'wx');
    await file.close();
  }).catch((error) => {
    throw new Error(
      `The output "${path}" cannot be written: the folder ${folder} is not writable ` +
        `(${reasonOf(error)}). Use another path.`,
      { cause: error },
    );
  });
}

/** @throws Error that says why `path` cannot be written. */
function refuse(path: string, error: unknown): never {
  throw new Error(`The output "${path}" cannot be written: ${reasonOf(error)}. Use another path.`, {
    cause: error,
  });
}

const ignoreMissing = (path: string) => (error: NodeJS.ErrnoException) => {
  if (error.code !== 'ENOENT') refuse(path, error);
};

const reasons: Record<string, string> = {
  ENAMETOOLONG: 'its name is too long for the file system',
  ELOOP: 'it is a link to itself',
  EACCES: 'permission is denied',
  EPERM: 'it is protected',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'your share of the disk is full',
};

const reasonOf = (error: unknown): string =>
  reasons[(error as NodeJS.ErrnoException).code ?? ''] ?? messageOf(error);
