/**
 * Opens the original single-file checkpoints (`svd.safetensors`, `svd_xt.safetensors` and their
 * like) as they are.
 */
import { basename } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import type { Checkpoint, OtherUnet } from '../checkpoint.ts';
import { openModelFolder } from '../diffusers/openFolder.ts';
import { openSafetensors } from '../safetensors/file.ts';
import { originalCheckpoint, type SingleFileOptions } from './checkpoint.ts';

/**
 * Opens an original file.
 * @throws CheckpointError if it is of another model, or its configs are not known.
 */
export async function openOriginal(
  path: string,
  options: SingleFileOptions & { unet?: OtherUnet } = {},
): Promise<Checkpoint> {
  const file = await openSafetensors(path);
  try {
    return await originalCheckpoint(file, {
      ...options,
      path,
      name: basename(path),
      openConfig: async (config) => openModelFolder(await existingPath(config)),
      reopen: () => openOriginal(path, options),
    });
  } catch (error) {
    await file.close();
    throw error;
  }
}
