/** Writes LoRA in the layout of peft, which diffusers and peft read. */
import { type SavedDtype, savedDtypes, writeSafetensors } from '../checkpoints/index.ts';
import { valuesForCheckpoint } from '../checkpoints/weights/layout.ts';
import type { WeightedLayer } from '../layers/index.ts';
import { kinds } from '../text/kinds.ts';
import { joined } from '../text/messages.ts';
import { checkOptionValues, checkPath } from '../text/options.ts';
import { checkThere, type LoraLayers, lorasIn } from './load.ts';
import { type LoraAdapter, lorasOf, weightOfLayer } from './lora.ts';
import { shapesIn } from './loraFile.ts';

/** Options of `saveLora`. */
export interface SaveLoraOptions {
  /** Which LoRA to write. Default: the only one. */
  name?: string;
  /** The type that values are stored as. Default `float32`. */
  dtype?: SavedDtype;
}

const optionKinds = { name: kinds.text, dtype: { oneOf: Object.keys(savedDtypes) } };

/**
 * Writes the LoRA of a name. Its scale is not in the file.
 * @param prefix What the names of tensors begin with.
 * @throws CheckpointError if the file cannot be written; Error if there is no LoRA of that name, or
 * several and no name.
 */
export async function writeLora(
  layers: LoraLayers,
  path: string,
  options: SaveLoraOptions,
  prefix = '',
): Promise<void> {
  checkPath('saveLora', path);
  checkOptionValues('saveLora', options, optionKinds);
  const names = Object.keys(lorasIn(layers));
  const { name = names[0], dtype = 'float32' } = options;
  if (names.length > 1 && options.name === undefined)
    throw new Error(`\`saveLora\` writes one LoRA: pass \`name\`, one of ${joined(names, 'or')}.`);
  checkThere(layers, name);
  const found = [...layers].flatMap(([path, layer]) => {
    const adapter = lorasOf(layer).find((each) => each.name === name);
    return adapter ? [{ path, layer, adapter }] : [];
  });
  const tensors = found.flatMap(({ path, layer, adapter }) => {
    const shapes = shapesIn(layer, adapter.rank);
    const tensor = (part: 'down' | 'up') => ({
      dtype: savedDtypes[dtype],
      shape: shapes[part],
      data: () => valuesIn(layer, adapter, part),
    });
    return [
      [`${prefix}${path}.lora_A.weight`, tensor('down')],
      [`${prefix}${path}.lora_B.weight`, tensor('up')],
    ] as const;
  });
  const settings = found.map(({ path, adapter: { rank, alpha } }) => ({ path, rank, alpha }));
  await writeSafetensors(path, Object.fromEntries(tensors), metadataOf(settings, prefix));
}

async function valuesIn(
  layer: WeightedLayer,
  adapter: LoraAdapter,
  part: 'down' | 'up',
): Promise<Float32Array> {
  const { layout } = weightOfLayer(layer);
  const value = adapter[part].read();
  return valuesForCheckpoint(layout, value.shape, (await value.data()) as Float32Array);
}

/** The LoRA of one layer, without its values. */
export interface LayerSettings {
  path: string;
  rank: number;
  alpha: number;
}

/** The metadata of a file: the arguments of peft's `LoraConfig`, as diffusers stores them. */
export function metadataOf(layers: readonly LayerSettings[], prefix = ''): Record<string, string> {
  const [{ rank: r, alpha: lora_alpha }] = layers;
  const others = (name: 'rank' | 'alpha', usual: number) => {
    const unlike = layers.filter((layer) => layer[name] !== usual);
    return Object.fromEntries(unlike.map((layer) => [layer.path, layer[name]]));
  };
  const settings = {
    ...{ r, lora_alpha, target_modules: layers.map(({ path }) => path) },
    ...{ rank_pattern: others('rank', r), alpha_pattern: others('alpha', lora_alpha) },
  };
  const prefixed = Object.entries(settings).map(([key, value]) => [prefix + key, value]);
  return { format: 'pt', lora_adapter_metadata: JSON.stringify(Object.fromEntries(prefixed)) };
}
