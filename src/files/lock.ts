/** Keeps two processes from doing the same work at once. */
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { makeFolder } from './makeFolder.ts';
import { isAlive } from './process.ts';

/**
 * Does `work` while this process holds the lock file `path`. The file has the number of its process
 * and the name of its machine; that of a process that has ended is taken over.
 * @throws Error with `busy` when another process holds the lock.
 */
export async function withLock<T>(
  path: string,
  busy: (pid: number) => string,
  work: () => Promise<T>,
): Promise<T> {
  await makeFolder(dirname(path));
  await acquire(path, busy);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function acquire(path: string, busy: (pid: number) => string): Promise<void> {
  const mine = `${path}.${randomUUID()}`;
  await writeFile(mine, `${process.pid} ${hostname()}`);
  try {
    while (!(await tryLink(mine, path))) {
      const holder = await readFile(path, 'utf8').catch(() => undefined);
      if (holder === undefined) continue; // it has just ended
      const [pid, machine] = holder.split(' ');
      if (machine !== hostname() || isAlive(Number(pid))) throw new Error(busy(Number(pid)));
      await rename(path, `${mine}.old`).catch(() => {}); // only one of several can do this
      await rm(`${mine}.old`, { force: true });
    }
  } finally {
    await rm(mine, { force: true });
  }
}

/** Gives a file a second name, unless there is one. */
async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
