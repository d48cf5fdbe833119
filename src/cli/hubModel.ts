/** The options by which commands find a checkpoint, and the folder that it is in. */
import { isSingleFile } from '../checkpoints/diffusers/names.ts';
import { isHubId } from '../checkpoints/hub/address.ts';
import type { DownloadOptions } from '../checkpoints/hub/download.ts';
import { hubOnly, isAddress, isOfHub } from '../checkpoints/hub/locate.ts';
import type { SingleFileOptions } from '../checkpoints/original/checkpoint.ts';
import { framesByName } from '../checkpoints/original/publishedConfigs.ts';
import type { Located } from '../checkpoints/unet/locate.ts';
import { kebabCase } from '../text/cases.ts';
import { askedLora, loraOptions } from './lora.ts';
import { UsageError } from './terminal/errors.ts';
import { group } from './terminal/options.ts';
import type { Session } from './terminal/session.ts';

/** Options for models of the hub. Undefined: not given. */
export type HubCommand = Pick<DownloadOptions, 'variant' | (typeof hubOnly)[number]> & {
  /** The UNet that replaces the model's own. */
  unet?: string;
  /** The LoRA on it, which are located by `locateLoras`. */
  lora?: string[];
};

/** The options that say which checkpoint to use and where it is. Each command picks from them. */
export const modelOptions = {
  ...group('Files', 'checkpoint', {
    model: {
      value: 'DIR',
      short: 'm',
      files: ['/', '.safetensors'],
      reads: true,
      help:
        'The checkpoint: a folder in diffusers format, with its model_index.json, or of ' +
        'TensorFlow.js artifacts; an original file, such as svd_xt.safetensors; or the name ' +
        'org/name or the address of a model of the hub.',
    },
    unet: {
      value: 'FILE',
      files: ['/', '.safetensors'],
      reads: true,
      help:
        'Another UNet instead of that of the checkpoint, which is not read then: a .safetensors ' +
        'file or a folder, in the names of diffusers or of the original file, also of a whole ' +
        'checkpoint; or org/name or org/name/FILE of the hub. Its config is the config.json ' +
        'beside it, otherwise that of the checkpoint.',
    },
    variant: {
      value: 'NAME',
      help: 'Read the weight files of this variant, such as fp16. Default: those without one.',
    },
    config: {
      value: 'DIR',
      files: ['/'],
      reads: true,
      help:
        'For an original file: folder in diffusers format with the configs. Default: those of ' +
        'the published models.',
    },
    revision: {
      value: 'NAME',
      help: 'Branch, tag or commit of a model of the hub. Default: main.',
    },
  }),
  ...loraOptions,
  ...group('Files', 'machine', {
    cacheDir: {
      value: 'DIR',
      files: ['/'],
      reads: true,
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
 * The folder that `model` is in, or the file that it is, and the file of the UNet; what is of the
 * hub is brought into the cache first.
 * @throws UsageError if options for the hub are given with a folder or a file.
 */
export async function locate(
  model: string,
  { unet, lora = [], variant, revision, token, cacheDir, localFilesOnly }: HubCommand,
  { note, ...session }: Pick<DownloadOptions, 'signal' | 'onProgress'> & Partial<Session> = {},
): Promise<Located> {
  const options = { variant, revision, token, cacheDir, localFilesOnly };
  const unetIsOfHub = await isOnHub(unet);
  const modelIsOfHub = await isOfHub(model);
  const lorasOfHub = await Promise.all(lora.map((text) => isOnHub(askedLora(text).file)));
  const isAnyOfHub = unetIsOfHub || lorasOfHub.includes(true);
  const forHub = hubOnly.find(
    (name) => options[name] !== undefined && (name === 'revision' || !isAnyOfHub),
  );
  if (forHub !== undefined && !modelIsOfHub) {
    throw new UsageError(
      `--${kebabCase(forHub)} is for models of the hub, such as org/name, but ${model} is not one.`,
    );
  }
  if (note && isHubId(model) && (await isOfHub(model)))
    note(`there is no folder ${model} here, so the model of the hub is used`);
  if (note && unetIsOfHub && !isAddress(unet!))
    note(`there is no file or folder ${unet} here, so the UNet of the hub is used`);
  const { locateWithUnet } = await import('../checkpoints/unet/locate.ts');
  const forBoth = modelIsOfHub || unetIsOfHub ? options : { variant };
  return locateWithUnet(model, unet, { ...forBoth, ...session });
}

/** The same for commands that fetch nothing: what is of the hub has to be in the cache. */
export async function locateInCache(model: string, command: HubCommand): Promise<Located> {
  const isAnyOfHub = (await isOfHub(model)) || (await isOnHub(command.unet));
  return locate(model, { ...command, ...(isAnyOfHub && { localFilesOnly: true }) });
}

/** Whether a UNet or LoRA is of the hub. */
async function isOnHub(name?: string): Promise<boolean> {
  if (name === undefined) return false;
  const { placeOnHub } = await import('../checkpoints/unet/locate.ts');
  return (await placeOnHub(name)) !== undefined;
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
