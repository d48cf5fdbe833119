/**
 * Writing files and folders so that a failure leaves nothing half-written, and so that what is at a
 * path stays what it is: a link, a device or a pipe, with its mode and its owner.
 */
import type { Stats } from 'node:fs';
import { chmod, chown, copyFile, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pour } from './pour.ts';
import { type Target, targetOf, workFolderOf } from './target.ts';
import { withTemporary } from './temporary.ts';

/**
 * Writes a file whole or not at all. `write` gets the path of an empty temporary file; when it is
 * done, that file takes the target's place. If it fails, the temporary file is removed and what was
 * at `path` before stays as it was. Links are followed. A device or a pipe, or `-` for standard
 * output, gets the finished file.
 *
 * @throws What `write` throws; an Error with the reason if the file system refuses; the signal's
 * reason.
 */
export async function writeAtomically(
  path: string,
  write: (temporary: string) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  await namingRefusals(path, async () => {
    const target = await targetOf(path);
    await withTemporary(await workFolderOf(target), async (temporary) => {
      // Readable to nobody else until it has the target's mode.
      await (await open(temporary, 'wx', target.kind === 'new' ? 0o666 : 0o600)).close();
      await write(temporary);
      await finish(temporary, target, signal);
    });
  });
}

async function finish(temporary: string, target: Target, signal?: AbortSignal): Promise<void> {
  const { kind, path, found } = target;
  if (kind === 'new') return rename(temporary, path);
  if (kind !== 'file') return pour(temporary, target, signal);
  try {
    await takeAfter(temporary, found!);
    await rename(temporary, path);
  } catch {
    // It belongs to somebody else, or it is mounted: it can be written but not replaced.
    await copyFile(temporary, path);
  }
}

/** Gives a file or folder the owner and the mode of another. */
async function takeAfter(path: string, { uid, gid, mode }: Stats): Promise<void> {
  await chown(path, uid, gid);
  await chmod(path, mode & 0o7777);
}

/**
 * Writes a folder whole or not at all: `write` fills a new one, which then takes the place of the
 * folder at `path`, if there is one.
 *
 * @throws What `write` throws; an Error with the reason if the file system refuses.
 */
export async function writeFolderAtomically(
  path: string,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  await namingRefusals(path, async () => {
    const target = await targetOf(path);
    await withTemporary(dirname(target.path), async (temporary) => {
      await mkdir(temporary);
      await write(temporary);
      if (!target.found) return rename(temporary, target.path);
      await takeAfter(temporary, target.found).catch(() => {});
      await replaceFolder(target.path, temporary);
    });
  });
}

/**
 * A folder that holds something cannot be renamed onto, so the old one is moved out of the way
 * first.
 */
async function replaceFolder(target: string, replacement: string): Promise<void> {
  const old = `${replacement}.old`;
  await rename(target, old);
  try {
    await rename(replacement, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true });
}

/**
 * Writes files into a folder that exists, in place of those that `isReplaced` names. All are made
 * before the first is replaced. The folder itself and everything else in it stay.
 *
 * @throws What `write` throws; an Error with the reason if the file system refuses.
 */
export async function replaceFilesIn(
  folder: string,
  isReplaced: (name: string) => boolean,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  await namingRefusals(folder, async () => {
    await withTemporary(folder, async (temporary) => {
      await mkdir(temporary);
      await write(temporary);
      for (const name of (await readdir(folder)).filter(isReplaced)) await rm(join(folder, name));
      for (const name of await readdir(temporary))
        await rename(join(temporary, name), join(folder, name));
    });
  });
}

/** Does `work` that writes `path`. @throws An Error that names it if the file system refuses. */
async function namingRefusals(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { syscall, code = '', message } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    const [reason] = message.split(', '); // without the name of the temporary file
    const wayOut = ['ENOSPC', 'EDQUOT'].includes(code) ? 'Free space there or choose' : 'Choose';
    throw new Error(`"${path}" could not be written (${reason}). ${wayOut} another place.`, {
      cause: error,
    });
  }
}
