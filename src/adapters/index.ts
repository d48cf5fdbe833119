/** LoRA on layers and models of your own: training, loading, fusing and writing, in Node. */
import { openLora } from '../checkpoints/lora/open.ts';
import { checkPath } from '../text/options.ts';
import { type LoraOptions, loadFrom } from './onTargets.ts';
import { type SaveLoraOptions, writeLora } from './saveLora.ts';
import { type LoraTarget, loraLayers } from './targets.ts';

export * from './onTargets.ts';
export type { SaveLoraOptions } from './saveLora.ts';

/**
 * Loads a LoRA onto a layer or model: a `.safetensors` file with the names of diffusers, peft or
 * kohya. Tensors without a layer are left aside with a warning. Stored weights do not change.
 * @returns Its name.
 * @throws CheckpointError if it is no LoRA, or one for another model; Error if an option is wrong or
 * its name is taken.
 */
export async function loadLora(
  target: LoraTarget,
  path: string,
  options: LoraOptions = {},
): Promise<string> {
  checkPath('loadLora', path);
  return loadFrom(target, () => openLora(path), options);
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
