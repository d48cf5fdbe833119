/**
 * Incomplete downloads. A process writes to a file of its own, `BLOB.PID-RANDOM.incomplete`, and
 * renames it to `BLOB.incomplete` when it stops. The next process takes over the file of a killed
 * one.
 */
import { randomBytes } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive } from '../../files/process.ts';

/**
 * Milliseconds without a write after which a file belongs to nobody, whatever process has its
 * number now.
 */
const ABANDONED = 120_000;
/** Files that this process writes to. */
const inUse = new Set<string>();

/** A path to write the content of a blob to, with what is there of it already. */
export async function claimPartial(folder: string, blob: string): Promise<string> {
  const own = `${blob}.${process.pid}-${randomBytes(4).toString('hex')}.incomplete`;
  inUse.add(own);
  for (const found of await freePartials(folder, blob)) {
    try {
      await rename(join(folder, found), join(folder, own));
      break;
    } catch {} // another process was faster
  }
  return join(folder, own);
}

/** Gives a path back for whoever comes next. */
export async function releasePartial(folder: string, blob: string, path: string): Promise<void> {
  await rename(path, join(folder, `${blob}.incomplete`)).catch(() => {}); // nothing has come
  inUse.delete(path.slice(folder.length + 1));
}

/** Ends the use of a path whose content is complete, and removes what nobody will complete. */
export async function finishPartial(folder: string, blob: string, path: string): Promise<void> {
  inUse.delete(path.slice(folder.length + 1));
  for (const left of await freePartials(folder, blob))
    await rm(join(folder, left), { force: true });
}

/** The partial contents of a blob that no living process writes to, the largest first. */
async function freePartials(folder: string, blob: string): Promise<string[]> {
  const names = (await readdir(folder)).filter(
    (name) => name.startsWith(`${blob}.`) && name.endsWith('.incomplete') && !inUse.has(name),
  );
  const found: { name: string; size: number }[] = [];
  for (const name of names) {
    const status = await stat(join(folder, name)).catch(() => undefined);
    if (status === undefined) continue;
    if (isFree(name.slice(blob.length), Date.now() - status.mtimeMs))
      found.push({ name, size: status.size });
  }
  return found.sort((a, b) => b.size - a.size).map(({ name }) => name);
}

function isFree(ending: string, idle: number): boolean {
  if (ending === '.incomplete' || idle > ABANDONED) return true;
  const pid = Number(/^\.(\d+)-/.exec(ending)?.[1]);
  return Number.isInteger(pid) && (pid === process.pid || !isAlive(pid));
}
