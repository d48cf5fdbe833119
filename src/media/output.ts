/**
 * The format of an output, from its path, and a check before the long work begins that it can be
 * written.
 */
import { access, constants, readdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** `png`: a folder with one picture per frame. */
export type OutputFormat = 'mp4' | 'webp' | 'gif' | 'safetensors' | 'png';

const ENDINGS: Record<string, OutputFormat> = {
  '.mp4': 'mp4',
  '.webp': 'webp',
  '.gif': 'gif',
  '.safetensors': 'safetensors',
  '/': 'png',
};
/** The endings of paths that a video can be written to. */
export const outputEndings: readonly string[] = Object.keys(ENDINGS);
const FRAME_NAME = /^\d{4,}\.png$/;

/**
 * The format that a path's ending chooses.
 *
 * @throws When the path does not end in `.mp4`, `.webp`, `.gif`, `.safetensors` or `/`.
 */
export function outputFormat(path: string): OutputFormat {
  const ending = outputEndings.find((known) => path.toLowerCase().endsWith(known));
  if (ending) return ENDINGS[ending]!;
  throw new Error(
    `The output "${path}" ends in none of the known ways. Use .mp4, .webp, .gif, ` +
      '.safetensors, or / for a folder of PNG pictures.',
  );
}

/** The name of frame `index` in a folder of PNG pictures. */
export function frameName(index: number): string {
  return `${String(index).padStart(4, '0')}.png`;
}

/**
 * Checks before sampling that a video can be written to `path`. Creates nothing.
 *
 * @throws When the ending is unknown, when its folder does not exist or is not writable, or when
 * anything but an earlier output is in its place.
 */
export async function checkOutput(path: string): Promise<void> {
  const format = outputFormat(path);
  await checkFolder(dirname(resolve(path)), path);
  const existing = await stat(resolve(path)).catch(() => undefined);
  if (!existing) return;
  if (format !== 'png') {
    if (existing.isDirectory())
      throw new Error(
        `The output "${path}" is a folder. Use the name of a file, or end it with / for PNG ` +
          'pictures.',
      );
    return;
  }
  if (!existing.isDirectory())
    throw new Error(`The output "${path}" is a file, not a folder. Use another folder.`);
  const other = (await readdir(path)).find((name) => !FRAME_NAME.test(name));
  if (other !== undefined) {
    throw new Error(
      `The output folder "${path}" holds "${other}", and frames would replace it all. Use a ` +
        'new or an empty folder.',
    );
  }
}

async function checkFolder(folder: string, path: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (!found)
    throw new Error(
      `The output "${path}" cannot be written: there is no folder ${folder}. Create it first.`,
    );
  if (!found.isDirectory())
    throw new Error(
      `The output "${path}" cannot be written: ${folder} is not a folder. Use another path.`,
    );
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Error(
      `The output "${path}" cannot be written: the folder ${folder} is not writable. Use ` +
        'another path.',
      { cause: error },
    );
  }
}
