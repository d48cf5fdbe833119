/** Reads the metadata that `exportToVideo` stores. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkPath } from '../../text/options.ts';
import { metadataKind } from './encodingOptions.ts';
import { frameName } from './frames.ts';
import { gifComment } from './gif.ts';

/**
 * The metadata of a video of any format, of a PNG picture, or of a folder of frames.
 *
 * @returns Nothing if `exportToVideo` has stored none there.
 * @throws When nothing is at `path`, or it is neither a video nor a picture.
 */
export async function readMetadata(path: string): Promise<Record<string, string> | undefined> {
  checkPath('readMetadata', path);
  const isFolder = (await stat(path)).isDirectory();
  const comment = await commentIn(await readFile(isFolder ? join(path, frameName(0)) : path));
  try {
    const metadata: unknown = JSON.parse(comment ?? '');
    return isMetadata(metadata) ? metadata : undefined;
  } catch {
    return undefined; // the comment of another program
  }
}

const isMetadata = (value: unknown): value is Record<string, string> => metadataKind.test(value);

async function commentIn(file: Buffer): Promise<string | undefined> {
  const isMp4 = file.toString('latin1', 4, 8) === 'ftyp';
  const isWebm = file.toString('latin1', 0, 4) === '\x1a\x45\xdf\xa3';
  if (isMp4 || isWebm) return (await import('./readContainer.ts')).readComment(file);
  if (file.toString('latin1', 0, 4) === 'GIF8') return gifComment(file);
  const { default: sharp } = await import('sharp'); // only here, because it takes 10 MB
  const { exif } = await sharp(file).metadata();
  return /\{"[ -~]*\}/.exec(exif?.toString('latin1') ?? '')?.[0];
}
