/** Checks that options which read files are given such files, before any work. */
import { open, stat } from 'node:fs/promises';
import { kindOfOtherFile, TELLING_BYTES } from '../../files/firstBytes.ts';
import { hasEnding } from '../../text/endings.ts';
import { either } from '../../text/messages.ts';
import type { Arguments } from './arguments.ts';
import { flagOf, type Options } from './options.ts';

/**
 * Names what a file or folder is where that cannot be meant.
 * @throws Error if one of the options with `reads` is given such a file.
 */
export async function checkFiles(given: Arguments, options: Options): Promise<void> {
  for (const [name, option] of Object.entries(options)) {
    if (!option.reads) continue;
    const { files = [] } = option;
    for (const path of given.values(name)) {
      const kind = await otherKind(path, files);
      if (kind === undefined) continue;
      const takes = files.map((ending) => (ending === '/' ? 'a folder' : `a ${ending} file`));
      throw new Error(`--${flagOf(name, option)} takes ${either(takes)}, but ${path} is ${kind}.`);
    }
  }
}

/** What is at `path`, if that is surely nothing with one of these endings. */
async function otherKind(path: string, files: readonly string[]): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return files.includes('/') ? undefined : 'a folder';
  if (!found?.isFile() || hasEnding(path, ...files.filter((ending) => ending !== '/')))
    return undefined;
  const bytes = new Uint8Array(TELLING_BYTES);
  const file = await open(path).catch(() => undefined);
  const { bytesRead = 0 } = (await file?.read(bytes, 0, TELLING_BYTES, 0)) ?? {};
  await file?.close();
  return kindOfOtherFile(bytes.subarray(0, bytesRead)) ?? (files.length > 1 ? undefined : 'a file');
}
