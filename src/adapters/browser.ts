/** LoRA on layers and models of your own, in browsers. */
import { type OpenLoraUrlOptions, openLoraUrl } from '../checkpoints/web/openLora.ts';
import { checkOptionValues, type Kinds, kinds } from '../text/options.ts';
import { type LoraOptions, loraOptionKinds } from './load.ts';
import { loadFrom } from './onTargets.ts';
import type { LoraTarget } from './targets.ts';

export * from './onTargets.ts';

/** Options of `loadLora` in browsers. */
export interface LoadLoraUrlOptions extends LoraOptions, OpenLoraUrlOptions {}

/** The values of these options. */
export const loadLoraUrlOptionKinds: Kinds<LoadLoraUrlOptions> = {
  ...loraOptionKinds,
  ...{ cache: kinds.text, signal: kinds.signal },
};

/**
 * Loads a LoRA onto a layer or model: the `.safetensors` file at `url`, in the names of diffusers,
 * peft or kohya. Tensors without a layer are left aside with a warning. Stored weights do not
 * change.
 * @returns Its name.
 * @throws CheckpointError if it is no LoRA, or one for another model, or cannot be downloaded; Error
 * if an option is wrong or its name is taken.
 */
export async function loadLora(
  target: LoraTarget,
  url: string,
  options: LoadLoraUrlOptions = {},
): Promise<string> {
  checkOptionValues('loadLora', options, loadLoraUrlOptionKinds);
  return loadFrom(target, () => openLoraUrl(url, options), options);
}
