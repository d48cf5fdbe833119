/**
 * Writing files and folders so that a failure leaves nothing half-written: first beside the target,
 * then renamed onto it.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/**
 * Writes a file whole or not at all. `write` gets the path of a temporary file in the same folder;
 * when it is done, that file takes the target's place. If it fails, the temporary file is removed
 * and what was at `path` before stays as it was.
 *
 * @throws What `write` throws; an Error with the reason if the file system refuses.
 */
export async function writeAtomically(
  path: string,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  // through a link, onto the file that it names
  const target = await realpath(path).catch(() => path);
  await withTemporary(target, async (temporary) => {
    await write(temporary);
    await rename(temporary, target);
  });
}

/**
 * The same for a folder: `write` fills a new one, which then takes the place of the folder at
 * `path`.
 *
 * @throws What `write` throws; an Error with the reason if the file system refuses.
 */
export async function writeFolderAtomically(
  path: string,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  const before = await realpath(path).catch(() => undefined);
  const target = before ?? resolve(path);
  await withTemporary(target, async (temporary) => {
    await mkdir(temporary);
    await write(temporary);
    if (before === undefined) await rename(temporary, target);
    else await replaceFolder(target, temporary);
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

async function withTemporary(
  target: string,
  use: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(target), `.${basename(target)}.${randomUUID()}.tmp`);
  try {
    await use(temporary);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    const { syscall, message } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    throw new Error(
      `"${target}" could not be written (${message}). Free space there or choose another place.`,
      { cause: error },
    );
  }
}
