/**
 * The folder of what `svd setup` brings: one per user, outside any project, so that no `npm ci`
 * undoes it and every project finds it.
 */
import { existsSync } from 'node:fs';
import { rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ownDataFolder } from '../../files/home.ts';
import { withLock } from '../../files/lock.ts';
import { makeFolder } from '../../files/makeFolder.ts';
import { firstLineOf } from '../../text/messages.ts';

/**
 * `$SVD_TENSORFLOW_DIR`, or `stable-video-diffusion-tfjs` in the user's data folder
 * (`$XDG_DATA_HOME`, by default `~/.local/share`).
 * @throws Error if the user has no home folder and neither variable is set.
 */
export function setupRoot(): string {
  const root = knownRoot();
  if (root) return root;
  throw new Error(
    'This user has no home folder for backends. Set SVD_TENSORFLOW_DIR to a folder for them.',
  );
}

const knownRoot = () => process.env.SVD_TENSORFLOW_DIR || ownDataFolder();

/** A folder below the root, if it is there, so that it is complete. */
export function foundFolder(name: string): string | undefined {
  const root = knownRoot();
  const folder = root && join(root, name);
  return folder && existsSync(folder) ? folder : undefined;
}

/** How a folder is filled. */
export interface Filling {
  /** The command, for messages. */
  command: string;
  /** The name of the folder below the root. */
  name: string;
  log: (line: string) => void;
  /** Fails if the machine lacks what is needed. */
  checkMachine?(): Promise<void>;
  /** Fills a folder, or goes on where an earlier call was stopped. */
  fill(folder: string): Promise<void>;
  /** Fails if what is in a folder does not work; otherwise says what works. */
  verify(folder: string): Promise<string>;
}

/**
 * Makes a folder under another name and renames it when it is complete and works, so that a call
 * which is stopped leaves nothing that looks complete. Does nothing if there is a working one.
 * @returns The folder.
 * @throws Error if another process is at work on it, or a step fails.
 */
export async function fillFolder(filling: Filling): Promise<string> {
  const { command, name, log, checkMachine, fill, verify } = filling;
  const folder = join(setupRoot(), name);
  // A folder that no longer works, such as on another machine with the same home folder, is made
  // again.
  const working = existsSync(folder) && (await verify(folder).catch(() => undefined));
  if (working) {
    log(`Already set up in ${folder}: ${working}`);
    return folder;
  }
  await checkMachine?.();
  const partial = `${folder}.partial`;
  await makeFolder(partial).catch((error) => {
    throw new Error(
      `${partial} cannot be made (${firstLineOf(error)}). Set SVD_TENSORFLOW_DIR to another ` +
        'folder.',
    );
  });
  const lock = `${folder}.lock`;
  const busy = (pid: number) =>
    `Another \`${command}\` (process ${pid}) is at work. Wait until it has ended, or ` +
    `remove ${lock} if there is none.`;
  await withLock(lock, busy, async () => {
    await rm(folder, { recursive: true, force: true });
    log(`Setting up in ${folder}`);
    await fill(partial);
    const result = await verify(partial);
    await rename(partial, folder);
    log(`Done: ${result}`);
  });
  return folder;
}

/**
 * Removes folders of `fillFolder`, complete or not.
 * @returns Those that were there.
 */
export async function removeFolders(
  names: string[],
  log: (line: string) => void,
): Promise<string[]> {
  const folders = names
    .flatMap((name) => [name, `${name}.partial`])
    .map((name) => join(setupRoot(), name))
    .filter((folder) => existsSync(folder));
  for (const folder of folders) {
    await rm(folder, { recursive: true });
    log(`Removed ${folder}`);
  }
  return folders;
}

/** Removes the root, unless anything else is in it. */
export const removeEmptyRoot = (): Promise<void> => rmdir(setupRoot()).catch(() => {});
