/**
 * Replaces files of a folder all at once: whatever ends the process, the folder holds all old files
 * or all new ones. New files are collected in a hidden folder. They count as soon as that is
 * renamed to `.svd-saved`; moving them to their places can then be ended by anybody.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { makeFolder } from '../makeFolder.ts';
import { isAlive } from '../process.ts';

const COMPLETE = '.svd-saved';
const LIST = 'files.json';
/** The path of a file in the folder or in one below it, without dots at the start of a name. */
const PLAIN = /^([^\p{C}/\\.][^\p{C}/\\]*\/)?[^\p{C}/\\.][^\p{C}/\\]*$/u;

/** The paths of files within a folder. */
export interface FolderUpdate {
  /** Those that replace what is there. */
  written: string[];
  /** Those that are removed. */
  removed: string[];
}

/** The hidden folders in which this process collects files. */
const collecting = new Set<string>();

/**
 * Changes files of the folder at `path`, or makes it. `collect` writes all new files into the
 * folder that it gets. If it fails, that is removed and `path` stays as it was. Removes what killed
 * processes have left.
 * @throws What `collect` and the file system throw.
 */
export async function updateFolder(
  path: string,
  collect: (collected: string) => Promise<FolderUpdate>,
): Promise<void> {
  const exists = (await stat(path).catch(() => undefined)) !== undefined;
  const folder = exists ? await realpath(path) : resolve(path);
  if (exists) await finishUpdate(folder);
  const parent = exists ? folder : dirname(folder);
  const prefix = exists ? '.svd-saving-' : `.${basename(folder)}.svd-saving-`;
  await removeLeft(parent, prefix);
  const collected = join(parent, `${prefix}${process.pid}-${randomUUID()}`);
  collecting.add(collected);
  try {
    await mkdir(collected);
    const update = await collect(collected);
    if (exists) {
      await writeFile(join(collected, LIST), JSON.stringify(update));
      await finishUpdate(folder); // of another process
      await rename(collected, join(folder, COMPLETE));
    } else await rename(collected, folder);
  } catch (error) {
    await rm(collected, { recursive: true, force: true });
    throw error;
  } finally {
    collecting.delete(collected);
  }
  if (exists) await finishUpdate(folder);
}

/** Removes what killed processes have been collecting. */
async function removeLeft(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const owner = Number.parseInt(name.slice(prefix.length), 10);
    // A process that was killed may have had the number of this one.
    const isLeft = owner === process.pid ? !collecting.has(join(parent, name)) : !isAlive(owner);
    if (isLeft) await rm(join(parent, name), { recursive: true, force: true });
  }
}

/**
 * Moves the files of an update to their places if the process that has collected them was ended
 * before it could.
 * @throws Error if their list leads out of the folder; what the file system throws.
 */
export async function finishUpdate(folder: string): Promise<void> {
  const complete = join(folder, COMPLETE);
  const list = await readFile(join(complete, LIST), 'utf8').catch(() => undefined);
  if (list === undefined) return;
  const { written, removed } = await checkedUpdate(folder, list);
  for (const path of written) {
    await makeFolder(dirname(join(folder, path)));
    // Another process may be moving them, too.
    await rename(join(complete, path), join(folder, path)).catch(unlessMissing);
  }
  for (const path of removed) await rm(join(folder, path), { force: true });
  const done = join(folder, `.svd-saving-${process.pid}-${randomUUID()}`);
  await rename(complete, done).catch(unlessMissing);
  await rm(done, { recursive: true, force: true });
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** Reads a list, which may say anything if it comes with a folder from elsewhere. */
async function checkedUpdate(folder: string, list: string): Promise<FolderUpdate> {
  const root = await realpath(folder);
  const isInside = async (path: unknown) => {
    if (typeof path !== 'string' || !PLAIN.test(path)) return false;
    const real = await realpath(join(folder, dirname(path))).catch(() => root);
    return `${real}${sep}`.startsWith(`${root}${sep}`);
  };
  try {
    const { written, removed } = JSON.parse(list) as FolderUpdate;
    const inside = await Promise.all([...written, ...removed].map(isInside));
    if (!inside.includes(false)) return { written, removed };
  } catch {}
  throw new Error(`${join(folder, COMPLETE)} does not list files of its folder. Remove it.`);
}
