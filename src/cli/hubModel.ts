/** The options by which commands find a checkpoint, and the folder that it is in. */
import { isSingleFile } from '../checkpoints/diffusers/names.ts';
import { isHubId } from '../checkpoints/hub/address.ts';
import type { DownloadOptions } from '../checkpoints/hub/download.ts';
import { hubOnly, isOfHub, locateModel } from '../checkpoints/hub/locate.ts';
import type { SingleFileOptions } from '../checkpoints/original/open.ts';
import { framesByName } from '../checkpoints/original/publishedConfigs.ts';
import { kebabCase } from '../text/cases.ts';
import { UsageError } from './terminal/errors.ts';
import { group } from './terminal/options.ts';
import type { Session } from './terminal/session.ts';

/** Options for models of the hub. Undefined: not given. */
export type HubCommand = Pick<DownloadOptions, 'variant' | (typeof hubOnly)[number]>;

/** The options that say which checkpoint to use and where it is. Each command picks from them. */
export const modelOptions = {
  ...group('Files', 'checkpoint', {
    model: {
      value: 'DIR',
      short: 'm',
      files: ['/', '.safetensors'],
      help:
        'The checkpoint: a folder in diffusers format, with its model_index.json, or of ' +
        'TensorFlow.js artifacts; an original file, such as svd_xt.safetensors; or the name ' +
        'org/name or the address of a model of the hub.',
    },
    variant: {
      value: 'NAME',
      help: 'Read the weight files of this variant, such as fp16. Default: those without one.',
    },
    config: {
      value: 'DIR',
      files: ['/'],
      help:
        'For an original file: folder in diffusers format with the configs. Default: those of ' +
        'the published models.',
    },
    revision: {
      value: 'NAME',
      help: 'Branch, tag or commit of a model of the hub. Default: main.',
    },
  }),
  ...group('Files', 'machine', {
    cacheDir: {
      value: 'DIR',
      files: ['/'],
      help:
        'Folder of the cache for models of the hub. Default: $HF_HUB_CACHE or ' +
        '~/.cache/huggingface/hub.',
    },
    token: {
      value: 'TEXT',
      help:
        'Access token for the hub; other users of the machine can see it here. Default: ' +
        '$HF_TOKEN, or what hf auth login has stored.',
    },
    localFilesOnly: {
      default: undefined,
      help:
        'Use a model of the hub as it is in the cache, without asking the hub. So does ' +
        'HF_HUB_OFFLINE=1.',
    },
  }),
};

/** `--model` of a command that cannot do without it. */
export const requiredModel = {
  model: { ...modelOptions.model, required: 'the folder of the checkpoint' },
} as const;

/**
 * The folder that `model` is in, or the file that it is; models of the hub are brought into the
 * cache first.
 * @throws UsageError if options for the hub are given with a folder or a file.
 */
export async function folderOf(
  model: string,
  { variant, revision, token, cacheDir, localFilesOnly }: HubCommand,
  { note, ...session }: Pick<DownloadOptions, 'signal' | 'onProgress'> & Partial<Session> = {},
): Promise<string> {
  const options = { variant, revision, token, cacheDir, localFilesOnly };
  const forHub = hubOnly.find((name) => options[name] !== undefined);
  if (forHub !== undefined && !(await isOfHub(model))) {
    throw new UsageError(
      `--${kebabCase(forHub)} is for models of the hub, such as org/name, but ${model} is not one.`,
    );
  }
  if (note && isHubId(model) && (await isOfHub(model)))
    note(`there is no folder ${model} here, so the model of the hub is used`);
  return locateModel(model, { ...options, ...session });
}

/** The same for commands that fetch nothing: models of the hub have to be in the cache. */
export async function cachedFolderOf(model: string, command: HubCommand): Promise<string> {
  const fetchesNothing = (await isOfHub(model)) && { localFilesOnly: true };
  return folderOf(model, { ...command, ...fetchesNothing });
}

/**
 * The options to open `model` with if it is an original file. `numFrames` stands in for the frames
 * that its name does not tell.
 * @throws UsageError if a config is given for a model that has its own.
 */
export function singleFileOptions(
  model: string,
  { config, numFrames }: SingleFileOptions,
): SingleFileOptions {
  if (isSingleFile(model)) {
    const known = config !== undefined || framesByName(model) !== undefined;
    return { config, numFrames: known ? undefined : numFrames };
  }
  if (config !== undefined)
    throw new UsageError(
      `--config is for original files, such as svd_xt.safetensors, but ${model} is not one.`,
    );
  return {};
}
