/** Whether a disk has room for what is going to be written. */
import { statfs } from 'node:fs/promises';
import { formatFileSize } from '../text/bytes.ts';

/** A sentence if the disk that `folder` is on has less than `needed` bytes. */
export async function spaceProblem(
  folder: string,
  needed: number,
  work: string,
): Promise<string | undefined> {
  const { bavail, blocks, bsize } = await statfs(folder);
  // Some file systems do not know their size.
  if (blocks === 0 || needed <= bavail * bsize) return undefined;
  return (
    `${work} needs ${formatFileSize(needed)} in ${folder}, where ` +
    `${formatFileSize(bavail * bsize)} are free.`
  );
}
