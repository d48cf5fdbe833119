/** Whether a disk has room for what is going to be written. */
import { statfs } from 'node:fs/promises';
import { formatFileSize } from '../text/bytes.ts';
import { CheckpointError } from './errors.ts';

/**
 * @throws CheckpointError with `advice` if the disk that `folder` is on has less than `needed`
 * bytes.
 */
export async function checkSpace(
  folder: string,
  needed: number,
  what: string,
  advice: string,
): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (needed <= bavail * bsize) return;
  throw new CheckpointError(
    `${what} needs ${formatFileSize(needed)} in ${folder}, where ${formatFileSize(bavail * bsize)} are free. ${advice}`,
  );
}
