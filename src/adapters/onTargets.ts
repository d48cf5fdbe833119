/** LoRA on layers and models of your own, in Node and in browsers alike. */
import { fuseLoras, type LoraOptions, putLora, removeLoras, setScales } from './load.ts';
import type { LoraFile } from './loraFile.ts';
import { type LoraTarget, loraLayers } from './targets.ts';

export { type AddLoraOptions, addLora } from './addLora.ts';
export type { LoraOptions } from './load.ts';
export type { LoraTarget } from './targets.ts';

/** Puts a LoRA on a layer or model, and closes its file. */
export async function loadFrom(
  target: LoraTarget,
  open: () => Promise<LoraFile>,
  options: LoraOptions,
): Promise<string> {
  const layers = loraLayers('loadLora', target);
  const file = await open();
  try {
    return await putLora(file, layers, options);
  } finally {
    await file.source.close();
  }
}

/**
 * Sets the scales of LoRA of a layer or model by their names; the others stay.
 * @throws Error if there is none of a name, or a scale is no finite number.
 */
export const setLoraScales = (target: LoraTarget, scales: Record<string, number>): void =>
  setScales(loraLayers('setLoraScales', target), scales);

/**
 * Frees the LoRA of a name, or all, of a layer or model. The stored weights are as they were, to
 * the bit.
 * @throws Error if there is none of that name.
 */
export const unloadLora = (target: LoraTarget, name?: string): void =>
  removeLoras(loraLayers('unloadLora', target), name);

/**
 * Adds the LoRA of a layer or model to its stored weights. These are kept as they were, so that
 * another scale or `unloadLora` undoes it.
 */
export const fuseLora = (target: LoraTarget): void => fuseLoras(loraLayers('fuseLora', target));
