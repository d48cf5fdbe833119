/** Finds a model by what the user calls it: a folder, a file, or a name on the hub. */
import { stat } from 'node:fs/promises';
import { existingPath } from '../../files/existingPath.ts';
import { isSingleFile } from '../diffusers/names.ts';
import { CheckpointError } from '../errors.ts';
import { type DownloadOptions, downloadModel, isHubId } from './download.ts';

/** The options that only models of the hub have. */
export const hubOnly = ['revision', 'token', 'cacheDir', 'localFilesOnly'] as const;

/** Whether there is a folder at `path`. It goes before a model of the same name on the hub. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/**
 * The folder or file of a model: `model` itself if it is one, otherwise where the model `org/name`
 * of the hub is in the cache, once it is there.
 * @throws CheckpointError if options for the hub are given with a folder, and like `downloadModel`;
 * the signal's reason.
 */
export async function locateModel(model: string, options: DownloadOptions = {}): Promise<string> {
  if (isHubId(model) && !isSingleFile(model) && !(await isFolder(model)))
    return downloadModel(model, options);
  const given = hubOnly.filter((name) => options[name] !== undefined);
  if (given.length === 0) return existingPath(model);
  throw new CheckpointError(
    `${given.join(', ')} can be given for a model of the hub (org/name) only, but "${model}" ` +
      'is none.',
  );
}
