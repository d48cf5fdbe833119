/** Makes folders with those around them, as Node's own option `recursive` does. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a folder, unless it is there. Node's own way never ends where the system says of a folder
 * that is there that it is not, such as in /proc.
 * @throws The system's error.
 */
export function makeFolderSync(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    const parent = dirname(path);
    if (code !== 'ENOENT' || existsSync(parent)) {
      // Where a folder cannot be written, one that is there is enough.
      if (existsSync(path) && statSync(path).isDirectory()) return;
      throw error;
    }
    makeFolderSync(parent);
    makeFolderSync(path);
  }
}

/** The same, for what waits. */
export const makeFolder = async (path: string): Promise<void> => makeFolderSync(path);
