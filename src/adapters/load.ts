/** LoRA on the layers of a model: puts those of files there, changes how strong they are, frees them. */
import * as tf from '@tensorflow/tfjs-core';
import type { WeightedLayer } from '../layers/index.ts';
import { checkValue, kinds } from '../text/kinds.ts';
import { shown } from '../text/messages.ts';
import type { Kinds } from '../text/options.ts';
import { addToLayer, fuse, isFused, lorasOf, removeLora, unfuse } from './lora.ts';
import {
  contentsOf,
  type LoraFile,
  readAlpha,
  readMatrix,
  shapesIn,
  shapesOf,
} from './loraFile.ts';

/** The layers of a model that LoRA can be added to, by their paths. */
export type LoraLayers = ReadonlyMap<string, WeightedLayer>;

/** Options of `loadLora`. */
export interface LoraOptions {
  /** The factor of what it adds to the weights, any finite number. Default 1. */
  scale?: number;
  /** Its name among those of the model. Default: `default_0`, `default_1`, ... */
  name?: string;
}

/** The values of these options. */
export const loraOptionKinds: Kinds<LoraOptions> = { scale: kinds.number, name: kinds.text };

/** The names of the LoRA of a model and their scales. */
export function lorasIn(layers: LoraLayers): Record<string, number> {
  const all = [...layers.values()].flatMap(lorasOf);
  return Object.fromEntries(all.map(({ name, scale }) => [name, scale]));
}

/**
 * The name for a LoRA that is to be added.
 * @throws Error if there is one of that name.
 */
export function newName(layers: LoraLayers, name?: string): string {
  const taken = Object.keys(lorasIn(layers));
  if (name === undefined) {
    for (let i = 0; ; i++) if (!taken.includes(`default_${i}`)) return `default_${i}`;
  }
  if (!taken.includes(name)) return name;
  throw new Error(
    `There is a LoRA of the name ${shown(name)} already. Use another \`name\`, or call ` +
      `\`unloadLora\` first.`,
  );
}

/**
 * Puts the LoRA in a file on the layers of a model. If it fails, nothing has changed.
 * @param othersOf Other names of the layer at a path.
 * @returns Its name.
 * @throws CheckpointError if it is no LoRA for this model, or cannot be read; Error if its name is
 * taken.
 */
export async function putLora(
  file: LoraFile,
  layers: LoraLayers,
  { scale = 1, name: given }: LoraOptions,
  othersOf?: (path: string) => string[],
): Promise<string> {
  const { layers: contents, remark } = contentsOf(file, layers, othersOf);
  const name = newName(layers, given);
  const values: [WeightedLayer, Float32Array, Float32Array, number, number | undefined][] = [];
  for (const [path, parts] of contents) {
    const layer = layers.get(path)!;
    const shapes = shapesIn(layer, parts.rank);
    const down = await readMatrix(file, parts.down, layer, shapes.down);
    const up = await readMatrix(file, parts.up, layer, shapes.up);
    values.push([layer, down, up, parts.rank, await readAlpha(file, path, parts)]);
  }
  for (const [layer, down, up, rank, alpha] of values) {
    const shapes = shapesOf(layer, rank);
    addToLayer(
      layer,
      { down: tf.tensor(down, shapes.down), up: tf.tensor(up, shapes.up) },
      { name, scale, alpha },
    );
  }
  if (remark !== undefined) console.warn(remark);
  return name;
}

/**
 * Sets the scales of LoRA by their names. The others stay.
 * @throws Error if there is none of a name, or a scale is no finite number.
 */
export function setScales(layers: LoraLayers, scales: Record<string, number>): void {
  checkValue('scales', scales, kinds.object);
  for (const [name, scale] of Object.entries(scales)) {
    checkThere(layers, name);
    checkValue(`scales.${name}`, scale, kinds.number);
  }
  for (const layer of layers.values()) {
    const changed = lorasOf(layer).filter(({ name, scale }) => (scales[name] ?? scale) !== scale);
    if (changed.length > 0) unfuse(layer);
    for (const each of changed) each.scale = scales[each.name];
  }
}

/**
 * Frees the LoRA of a name, or all. The stored weights are as they were, to the bit.
 * @throws Error if there is none of that name.
 */
export function removeLoras(layers: LoraLayers, name?: string): void {
  if (name !== undefined) checkThere(layers, name);
  for (const layer of layers.values()) removeLora(layer, name);
}

/** Adds the LoRA to the stored weights, which are kept for when it is undone. */
export function fuseLoras(layers: LoraLayers): void {
  for (const layer of layers.values()) fuse(layer);
}

/** Whether LoRA of the model is not in its stored weights. */
export const hasUnfused = (layers: LoraLayers): boolean =>
  [...layers.values()].some((layer) => lorasOf(layer).length > 0 && !isFused(layer));

/** @throws Error if no LoRA of the model has a name. */
export function checkThere(layers: LoraLayers, name: string): void {
  const names = Object.keys(lorasIn(layers));
  if (names.includes(name)) return;
  const there = names.length > 0 ? `The names are ${names.join(', ')}` : 'None is loaded';
  throw new Error(`There is no LoRA of the name ${shown(name)}. ${there}.`);
}
