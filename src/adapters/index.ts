/** LoRA on layers and models of your own: training, loading, fusing and writing, in Node. */
import { type DownloadOptions, downloadOptionKinds } from '../checkpoints/hub/download.ts';
import { findLora } from '../checkpoints/lora/open.ts';
import { checkOptionValues, checkPath, type Kinds } from '../text/options.ts';
import { type LoraOptions, loraOptionKinds } from './load.ts';
import { loadFrom } from './onTargets.ts';
import { type SaveLoraOptions, writeLora } from './saveLora.ts';
import { type LoraTarget, loraLayers } from './targets.ts';

export * from './onTargets.ts';
export type { SaveLoraOptions } from './saveLora.ts';

type OfHub = 'token' | 'cacheDir' | 'localFilesOnly' | 'onProgress' | 'signal';

/** Options of `loadLora`, with those of models of the hub. */
export interface LoadLoraOptions extends LoraOptions, Pick<DownloadOptions, OfHub> {}

const { token, cacheDir, localFilesOnly, onProgress, signal } = downloadOptionKinds;

/** The values of these options. */
export const loadLoraOptionKinds: Kinds<LoadLoraOptions> = {
  ...loraOptionKinds,
  ...{ token, cacheDir, localFilesOnly, onProgress, signal },
};

/**
 * Loads a LoRA onto a layer or model: a `.safetensors` file, or a folder with one, in the names of
 * diffusers, peft or kohya; or `org/name` or `org/name/file` of the hub. Tensors without a layer are
 * left aside with a warning. Stored weights do not change.
 * @returns Its name.
 * @throws CheckpointError if it is no LoRA, or one for another model; Error if an option is wrong or
 * its name is taken.
 */
export async function loadLora(
  target: LoraTarget,
  lora: string,
  options: LoadLoraOptions = {},
): Promise<string> {
  checkPath('loadLora', lora);
  checkOptionValues('loadLora', options, loadLoraOptionKinds);
  return loadFrom(target, () => findLora(lora, options), options);
}

/**
 * Writes a LoRA of a layer or model in the layout of peft. Its scale is not in the file.
 * @throws CheckpointError if the file cannot be written; Error if there is no LoRA of that name, or
 * several and no name.
 */
export async function saveLora(
  target: LoraTarget,
  path: string,
  options: SaveLoraOptions = {},
): Promise<void> {
  await writeLora(loraLayers('saveLora', target), path, options);
}
