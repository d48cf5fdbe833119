/**
 * Temporary files and folders. Their names tell which process makes them, so that what a killed one
 * has left is removed by the next.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { isAlive } from '../process.ts';

/** Stands for the machine or container whose processes a number can mean. */
export const machine = createHash('sha256')
  .update(hostname() + processNamespace())
  .digest('hex')
  .slice(0, 8);

function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

const NAME = /^\.svd-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp(\.old)?$/;
const DAY = 24 * 60 * 60 * 1000;

/** A path for something temporary in `folder`. Its name is short, whatever it is for. */
export const temporaryIn = (folder: string): string =>
  join(folder, `.svd-${machine}-${process.pid}-${randomBytes(4).toString('hex')}.tmp`);

/** `.NAME` with `ending`. Where a file system would not take so long a name, its hash stands in. */
export const hiddenName = (name: string, ending: string): string =>
  Buffer.byteLength(name) + ending.length < 255
    ? `.${name}${ending}`
    : `.${createHash('sha256').update(name).digest('hex')}${ending}`;

/**
 * Calls `use` with a path in `folder` for a temporary file or folder, and removes what is there
 * afterwards. Before that, it removes what killed processes have left in `folder`.
 * @throws What `use` throws.
 */
export async function withTemporary<T>(
  folder: string,
  use: (temporary: string) => Promise<T>,
): Promise<T> {
  await removeLeftovers(folder);
  const temporary = temporaryIn(folder);
  try {
    return await use(temporary);
  } finally {
    await removeQuietly(temporary);
  }
}

/** Removes what killed processes have left in `folder`. */
export async function removeLeftovers(folder: string): Promise<void> {
  const names: string[] = await readdir(folder).catch(() => []);
  for (const name of names) {
    const [, owner, pid] = NAME.exec(name) ?? [];
    if (pid === undefined) continue;
    // Both are whole if a process was killed while one folder took the place of the other.
    const stem = name.replace(/\.old$/, '');
    if (names.includes(stem) && names.includes(`${stem}.old`)) continue;
    const path = join(folder, name);
    if (await isLeft(path, owner === machine ? Number(pid) : undefined)) await removeQuietly(path);
  }
}

/** Whether nobody uses `path` any more. `pid` is undefined for processes of other machines. */
async function isLeft(path: string, pid: number | undefined): Promise<boolean> {
  if (pid !== undefined && pid !== process.pid) return !isAlive(pid);
  // An earlier process may have had the number of this one.
  const since = pid === undefined ? Date.now() - DAY : Date.now() - process.uptime() * 1000 - 1000;
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && found.mtimeMs < since && (pid === undefined || isMainThread);
}

const removeQuietly = (path: string) => rm(path, { recursive: true, force: true }).catch(() => {});
