/** Whether paths lead to the same file, by whatever name or link. */
import { fstatSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { existingPath } from './existingPath.ts';
import { STANDARD, withoutLinks } from './writing/target.ts';

/**
 * What all paths of one file have in common and those of two files have not. Undefined for a
 * terminal or `/dev/null`, where nothing can be lost, and for a path that leads nowhere. Names of
 * files that do not exist yet are the same if only upper and lower case letters tell them apart,
 * because many systems do not.
 *
 * @param path A path, or `-`.
 * @param descriptor What `-` means: 0 for standard input, 1 (default) for standard output.
 */
export async function fileKey(path: string, descriptor: 0 | 1 = 1): Promise<string | undefined> {
  try {
    const found =
      path === STANDARD
        ? fstatSync(descriptor, { bigint: true })
        : await stat(await existingPath(path), { bigint: true });
    return found.isCharacterDevice() ? undefined : `${found.dev}:${found.ino}`;
  } catch {
    const place = await withoutLinks(path).catch(() => undefined);
    return place?.normalize('NFC').toLowerCase();
  }
}
