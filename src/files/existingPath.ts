/**
 * Finds files whose names look like the one that was asked for but are written in other characters:
 * macOS takes letters and accents apart (NFD), and its screenshots have narrow no-break spaces.
 */
import { lstat, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** One form for all ways to write a name: letters with accents as one, every space as U+0020. */
const normalized = (name: string) => name.normalize('NFKC');

/**
 * `path`, or if nothing is there, the one path beside it whose name and folders look the same.
 * Where there is none, or more than one, `path` as it is.
 */
export async function existingPath(path: string): Promise<string> {
  if (await exists(path)) return path;
  const parent = dirname(path);
  if (parent === path) return path;
  const folder = await existingPath(parent);
  const wanted = normalized(basename(path));
  const alike = (await readdir(folder).catch(() => [])).filter(
    (name) => normalized(name) === wanted,
  );
  return alike.length === 1 ? join(folder, alike[0]) : path;
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );
