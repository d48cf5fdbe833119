/** Finds a model by what the user calls it: a folder, a file, or a name on the hub. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import { shownAddress } from '../../text/addresses.ts';
import { didYouMean } from '../../text/nearest.ts';
import { pickOptions } from '../../text/options.ts';
import { isSingleFile } from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { hubModel } from './address.ts';
import { type DownloadOptions, downloadModel, downloadOptionKinds } from './download.ts';

/** The options that only models of the hub have. */
export const hubOnly = ['revision', 'token', 'cacheDir', 'localFilesOnly'] as const;

/** Whether there is a folder at `path`. It goes before a model of the same name on the hub. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/**
 * Whether `model` names a model of the hub, and no folder or file here. Where there is a folder
 * `org`, `org/name` is a path.
 */
export async function isOfHub(model: string): Promise<boolean> {
  if (isAddress(model)) return hubModel(model) !== undefined;
  if (isSingleFile(model) || hubModel(model) === undefined) return false;
  return !(await isFolder(model)) && !(await isFolder(dirname(model)));
}

/** The models on the hub by the names that people give their folders and files. */
const published: [name: RegExp, id: string][] = [
  [/xt[-_.]?1[-_.]1/, 'stabilityai/stable-video-diffusion-img2vid-xt-1-1'],
  [/xt/, 'stabilityai/stable-video-diffusion-img2vid-xt'],
  [/^/, 'stabilityai/stable-video-diffusion-img2vid'],
];

/** What may be meant by a path where there is nothing, as a sentence. */
async function suggestion(path: string): Promise<string> {
  const beside = await readdir(dirname(path)).catch(() => []);
  const near = didYouMean(basename(path), beside, (name) => join(dirname(path), name));
  if (near !== '') return near;
  const name = basename(path).toLowerCase();
  if (/^(svd|stable-video-diffusion)\b|^svd_/.test(name)) {
    const [, id] = published.find(([pattern]) => pattern.test(name))!;
    return ` On the hub, the model is ${id}.`;
  }
  const isHub = hubModel(path) !== undefined;
  return isHub ? ` For a model of the hub, use https://huggingface.co/${path}.` : '';
}

export const isAddress = (text: string) => /^\s*[a-z]{2,}:\/\//i.test(text);

/**
 * The folder or file of a model: `model` itself if it is one, otherwise where the model of the hub
 * that it names is in the cache, once it is there.
 * @param model A path, `org/name`, or the address of a model's page on the hub.
 * @throws CheckpointError if options for the hub are given with a folder, and like `downloadModel`;
 * the signal's reason.
 */
export async function locateModel(model: string, options: DownloadOptions = {}): Promise<string> {
  if (await isOfHub(model))
    return downloadModel(model, pickOptions(options, downloadOptionKinds)).catch((error) => {
      if (!(error instanceof CheckpointError) || isAddress(model)) throw error;
      const message = `${error.message} There is no folder ${quoted(model)} here either.`;
      throw new CheckpointError(message, { cause: error });
    });
  if (isAddress(model))
    throw new CheckpointError(
      `${quoted(shownAddress(model))} is not the address of a model of the hub, such as ` +
        'https://huggingface.co/org/name. Download the model and pass its path.',
    );
  const given = hubOnly.filter((name) => options[name] !== undefined);
  if (given.length === 0) {
    const path = await existingPath(model);
    if (isSingleFile(path) || (await stat(path).catch(() => undefined))) return path;
    throw new CheckpointError(
      `Cannot open the folder ${quoted(model)}: it does not exist.${await suggestion(path)}`,
    );
  }
  throw new CheckpointError(
    `${given.join(', ')} can be given for a model of the hub (org/name) only, but "${model}" ` +
      'is none.',
  );
}
