/** Folders with one PNG picture per frame, and whether what is in one may be replaced. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFilesIn, writeFolderAtomically } from '../../files/writing/atomic.ts';
import { targetOf } from '../../files/writing/target.ts';
import type { RgbImage } from '../image.ts';

const FRAME_NAME = /^\d{4,}\.png$/;
/** What systems leave in folders, and hidden files: they stay where they are. */
const IGNORED = /^(\.|thumbs\.db$|ehthumbs\.db$|desktop\.ini$|icon\r$)/i;

/** Loaded only when it is needed: its libraries take 10 MB. */
const animation = () => import('./animation.ts');

/** The name of frame `index` in a folder of PNG pictures. */
export function frameName(index: number): string {
  return `${String(index).padStart(4, '0')}.png`;
}

/** The paths of the frames in a folder. */
export async function framesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => FRAME_NAME.test(name)).map((name) => join(folder, name));
}

/** @throws Error if a folder holds anything but frames that this package has written. */
export async function checkFrameFolder(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => !IGNORED.test(name));
  const other = names.find((name) => !FRAME_NAME.test(name));
  if (other !== undefined) {
    throw new Error(
      `The output folder "${folder}" holds "${other}", and frames would replace it all. Use a ` +
        'new or an empty folder.',
    );
  }
  for (const name of names) {
    if (await (await animation()).isOwnPng(join(folder, name))) continue;
    throw new Error(
      `The output folder "${folder}" holds "${name}", which is not a frame that this program has ` +
        'written, and frames would replace it. Use a new or an empty folder.',
    );
  }
}

/**
 * Writes one picture per frame into a folder, in place of earlier frames. Everything else in the
 * folder stays.
 */
export async function writeFrames(
  frames: readonly RgbImage[],
  path: string,
  comment?: string,
  signal?: AbortSignal,
): Promise<void> {
  const { encodePng } = await animation();
  const fill = async (folder: string) => {
    for (const [i, frame] of frames.entries()) {
      signal?.throwIfAborted();
      await writeFile(join(folder, frameName(i)), await encodePng(frame, comment));
    }
    signal?.throwIfAborted();
  };
  const target = await targetOf(path);
  if (target.kind === 'new') {
    try {
      return await writeFolderAtomically(path, fill);
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      await checkFrameFolder(path); // another process has written it meanwhile
    }
  }
  await replaceFilesIn(target.path, (name) => FRAME_NAME.test(name), fill);
}
