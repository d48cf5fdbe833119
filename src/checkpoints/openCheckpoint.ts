/**
 * Opens a checkpoint in whatever format it is: a folder in diffusers' layout, such a folder of
 * TensorFlow.js artifacts, or an original file.
 */
import { stat } from 'node:fs/promises';
import { hasEnding } from '../text/endings.ts';
import { checkOptionValues, checkPath, type Kinds, kinds } from '../text/options.ts';
import type { Checkpoint } from './checkpoint.ts';
import { isSingleFile, PICKLES } from './diffusers/names.ts';
import { openModelFolder } from './diffusers/openFolder.ts';
import { CheckpointError, causeOf } from './errors.ts';
import type { SingleFileOptions } from './original/checkpoint.ts';
import { openOriginal } from './original/open.ts';
import { pickleRefusal } from './otherModels.ts';
import { openUnet } from './unet/open.ts';

/** Options of `openCheckpoint`. */
export interface OpenOptions extends SingleFileOptions {
  /** Weight file variant of a folder, such as `fp16`. */
  variant?: string;
  /**
   * A UNet to use instead of the checkpoint's own, whose weights are not read and need not be
   * there: a weight file or the index of several, in diffusers' or the original names of weights;
   * or a folder with one, such as that of a whole model. Its config counts if it is beside it,
   * otherwise the checkpoint's own.
   */
  unet?: string;
}

const openOptionKinds: Kinds<OpenOptions> = {
  variant: kinds.text,
  config: kinds.text,
  numFrames: kinds.count,
  unet: kinds.text,
};

/**
 * Opens a checkpoint and reads its configs, but no weights.
 * @throws CheckpointError if it is none, is broken, or is of another model.
 */
export async function openCheckpoint(path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  checkPath('openCheckpoint', path);
  checkOptionValues('openCheckpoint', options, openOptionKinds);
  const { variant, unet: unetPath, ...single } = options;
  if (hasEnding(path, ...PICKLES)) throw new CheckpointError(pickleRefusal(path));
  const unet = unetPath === undefined ? undefined : await openUnet(unetPath, variant);
  const found = await stat(path).catch((error: unknown) => {
    if (!isSingleFile(path)) return undefined;
    throw new CheckpointError(`Cannot read ${path}: ${causeOf(error)}.`, { cause: error });
  });
  if (found?.isFile()) return openOriginal(path, { ...single, unet });
  if (found && !found.isDirectory())
    throw new CheckpointError(`Cannot read ${path}: it is not a file or a folder.`);
  const [given] = Object.keys(single).filter(
    (name) => single[name as keyof SingleFileOptions] !== undefined,
  );
  if (given)
    throw new CheckpointError(
      `\`${given}\` is for single files without configs, but ${path} is a folder with its own.`,
    );
  return openModelFolder(path, { variant, unet });
}
