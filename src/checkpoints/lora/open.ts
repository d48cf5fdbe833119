/** Opens LoRA files on the disk. */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import { hasEnding } from '../../text/endings.ts';
import { pickOptions } from '../../text/options.ts';
import { readJson } from '../configs/jsonFile.ts';
import { PICKLES } from '../diffusers/names.ts';
import { filesIn } from '../diffusers/openFolder.ts';
import { CheckpointError } from '../errors.ts';
import { type DownloadOptions, downloadOptionKinds } from '../hub/download.ts';
import { isFolder } from '../hub/locate.ts';
import { pickleRefusal } from '../otherModels.ts';
import { openSafetensors } from '../safetensors/file.ts';
import type { SafetensorsFile } from '../safetensors/reader.ts';
import { locateWeights, type Sought } from '../unet/locate.ts';
import { chooseLora } from './choose.ts';
import { PEFT_CONFIG, PEFT_WEIGHTS } from './names.ts';

/** An open LoRA file. */
export interface OpenLora {
  /** Its tensors. */
  source: SafetensorsFile;
  /** Names it in messages. */
  label: string;
  /** The config that peft wrote beside it. */
  config?: Record<string, unknown>;
}

/** Opens a `.safetensors` file, and peft's config beside it. @throws CheckpointError if it is none. */
export async function openLora(path: string): Promise<OpenLora> {
  const [found, beside] = await loraFiles(path);
  const config = beside === undefined ? undefined : await readJson(beside);
  return { source: await openSafetensors(found), label: path, config };
}

/** The paths of what a LoRA is read from: its file, and peft's config beside it. */
export async function loraFiles(path: string): Promise<[file: string, ...config: string[]]> {
  const file = await existingPath(path);
  const beside = join(dirname(file), PEFT_CONFIG);
  return basename(file) === PEFT_WEIGHTS && existsSync(beside) ? [file, beside] : [file];
}

const THE_LORA: Sought = {
  ...{ noun: 'LoRA', option: '--lora', config: PEFT_CONFIG, choose: chooseLora },
};

/**
 * The path of the file of a LoRA, which is brought into the cache first if it is of the hub.
 * @param lora A path of a file or folder; `org/name`, `org/name/path`, or such an address of the
 * hub.
 * @throws CheckpointError if there is none, or several that could be meant, and like
 * `downloadModel`; the signal's reason.
 */
export async function locateLora(lora: string, options: DownloadOptions = {}): Promise<string> {
  if (hasEnding(lora, ...PICKLES)) throw new CheckpointError(pickleRefusal(lora));
  const path = await locateWeights(lora, options, THE_LORA);
  if (!(await isFolder(path))) return path;
  return join(path, chooseLora({ label: path, paths: (await filesIn(path)).sort() }, ''));
}

/** Opens a LoRA by what the user calls it, as `locateLora` does. */
export const findLora = async (
  lora: string,
  options: Pick<DownloadOptions, 'token' | 'cacheDir' | 'localFilesOnly' | 'onProgress' | 'signal'>,
): Promise<OpenLora> => openLora(await locateLora(lora, pickOptions(options, downloadOptionKinds)));
