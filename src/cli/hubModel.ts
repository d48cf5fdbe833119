/** The options by which commands take models of the hub, and the folder that a model is in. */

import { isSingleFile } from '../checkpoints/diffusers/names.ts';
import { type DownloadOptions, isHubId } from '../checkpoints/hub/download.ts';
import { hubOnly, isFolder, locateModel } from '../checkpoints/hub/locate.ts';
import type { SingleFileOptions } from '../checkpoints/original/open.ts';
import { framesByName } from '../checkpoints/original/publishedConfigs.ts';
import { kebabCase } from '../text/cases.ts';
import type { Arguments, Options } from './terminal/arguments.ts';
import { UsageError } from './terminal/errors.ts';

/** Options for models of the hub. Undefined: not given. */
export interface HubCommand {
  variant?: string;
  revision?: string;
  token?: string;
  cacheDir?: string;
  localFilesOnly?: boolean;
}

/** The same as a table of options. */
export const hubOptions: Options = {
  revision: { value: 'NAME', help: 'Branch, tag or commit of a model of the hub. Default: main.' },
  'cache-dir': {
    value: 'DIR',
    help: 'Folder of the cache for models of the hub. Default: $HF_HUB_CACHE or ~/.cache/huggingface/hub.',
  },
  token: {
    value: 'TEXT',
    help: 'Access token for the hub; others can see it here. Default: $HF_TOKEN, or what hf auth login has stored.',
  },
};

/** Option for commands that can do without the network. */
export const offlineOption: Options = {
  'local-files-only': {
    help: 'Ask nobody: take a model of the hub as it is in the cache. So does HF_HUB_OFFLINE=1.',
  },
};

/** Reads these options. */
export function readHubCommand(given: Arguments): HubCommand {
  return {
    variant: given.value('variant'),
    revision: given.value('revision'),
    token: given.value('token'),
    cacheDir: given.value('cache-dir'),
    localFilesOnly: given.has('local-files-only') ? true : undefined,
  };
}

/**
 * The folder that `model` is in, or the file that it is; models of the hub are brought into the
 * cache first.
 * @throws UsageError if options for the hub are given with a folder or a file.
 */
export async function folderOf(
  model: string,
  command: HubCommand,
  watch: Pick<DownloadOptions, 'signal' | 'onProgress'>,
): Promise<string> {
  const given = hubOnly.filter((name) => command[name] !== undefined);
  if (given.length > 0 && (isSingleFile(model) || (await isFolder(model)))) {
    throw new UsageError(
      `--${kebabCase(given[0])} is for models of the hub, such as org/name, but ${model} is none.`,
    );
  }
  const { variant, revision, token, cacheDir, localFilesOnly } = command;
  return locateModel(model, { variant, revision, token, cacheDir, localFilesOnly, ...watch });
}

/** The same for commands that fetch nothing: models of the hub have to be in the cache. */
export async function cachedFolderOf(model: string, command: HubCommand): Promise<string> {
  const ofHub = isHubId(model) && !isSingleFile(model) && !(await isFolder(model));
  return folderOf(model, ofHub ? { ...command, localFilesOnly: true } : command, {});
}

/** Option for commands that take original files, too. */
export const configOption: Options = {
  config: {
    value: 'DIR',
    help: 'For an original file: folder in diffusers format with the configs. Default: those of the published models.',
  },
};

/**
 * What has to be known of an original file besides: `numFrames` stands in for the frames that its
 * name does not tell.
 * @throws UsageError if a config is given for a model that has its own.
 */
export function singleFileOptions(
  model: string,
  { config, numFrames }: SingleFileOptions,
): SingleFileOptions {
  if (isSingleFile(model))
    return {
      config,
      numFrames: config === undefined && framesByName(model) === undefined ? numFrames : undefined,
    };
  if (config !== undefined)
    throw new UsageError(
      `--config is for original files, such as svd_xt.safetensors, but ${model} is none.`,
    );
  return {};
}
