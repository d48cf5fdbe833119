/** Finds a model by what the user calls it: a folder, a file, or a name on the hub. */
import { stat } from 'node:fs/promises';
import { existingPath } from '../../files/existingPath.ts';
import { shownAddress } from '../../text/addresses.ts';
import { isSingleFile } from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { hubModel } from './address.ts';
import { type DownloadOptions, downloadModel } from './download.ts';

/** The options that only models of the hub have. */
export const hubOnly = ['revision', 'token', 'cacheDir', 'localFilesOnly'] as const;

/** Whether there is a folder at `path`. It goes before a model of the same name on the hub. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/** Whether `model` names a model of the hub, and no folder or file here. */
export async function isOfHub(model: string): Promise<boolean> {
  const mayBe = isAddress(model) || !isSingleFile(model);
  return mayBe && !(await isFolder(model)) && hubModel(model) !== undefined;
}

const isAddress = (text: string) => /^\s*[a-z]{2,}:\/\//i.test(text);

/**
 * The folder or file of a model: `model` itself if it is one, otherwise where the model of the hub
 * that it names is in the cache, once it is there.
 * @param model A path, `org/name`, or the address of a model's page on the hub.
 * @throws CheckpointError if options for the hub are given with a folder, and like `downloadModel`;
 * the signal's reason.
 */
export async function locateModel(model: string, options: DownloadOptions = {}): Promise<string> {
  if (await isOfHub(model)) return downloadModel(model, options);
  if (isAddress(model))
    throw new CheckpointError(
      `${quoted(shownAddress(model))} is not the address of a model of the hub, such as ` +
        'https://huggingface.co/org/name. Download the model and pass its path.',
    );
  const given = hubOnly.filter((name) => options[name] !== undefined);
  if (given.length === 0) return existingPath(model);
  throw new CheckpointError(
    `${given.join(', ')} can be given for a model of the hub (org/name) only, but "${model}" ` +
      'is none.',
  );
}
