/** Compares how many layers a config asks for with how many its weights have, by their names. */
import type { WeightedComponent } from '../diffusers/names.ts';
import { CheckpointError } from '../errors.ts';
import type { Json } from './json.ts';

/** A key of a config, the number of layers that it asks for, and the list of these layers. */
type Asked = [key: string, count: number, list: string];

/**
 * @throws CheckpointError if a config asks for more layers than there are. Before anything is
 * built, this says in one sentence what a list of missing weights would say.
 */
export function checkCounts(
  path: string,
  component: WeightedComponent,
  config: Json,
  names: string[],
): void {
  const present = listLengths(names);
  for (const [key, count, list] of asked[component](config)) {
    const there = present.get(list);
    if (there === undefined || !(count > there.size)) continue; // a count may be left out
    throw new CheckpointError(
      `${path}/${component}/config.json: ${key} asks for ${count}, but the weights hold ` +
        `${there.size} in ${list}. Use the weights and the config of the same model.`,
    );
  }
}

/**
 * The numbers of each list in names of weights: those of `down_blocks` and of
 * `down_blocks.0.resnets` in `down_blocks.0.resnets.1.conv1.weight`.
 */
function listLengths(names: string[]): Map<string, Set<string>> {
  const lengths = new Map<string, Set<string>>();
  for (const name of names) {
    for (const { index, 1: number } of name.matchAll(/\.(\d+)(?=\.)/g)) {
      const list = name.slice(0, index);
      lengths.set(list, (lengths.get(list) ?? new Set()).add(number));
    }
  }
  return lengths;
}

/** A value that is given once for all levels, or once for each. */
const ofLevel = (value: unknown, level: number) =>
  (Array.isArray(value) ? value[level] : value) as number | number[];

const asked: Record<WeightedComponent, (config: Json) => Asked[]> = {
  unet: ({ down_block_types: down, ...config }) => {
    const levels = (down ?? []) as string[];
    return [
      ['down_block_types', levels.length, 'down_blocks'],
      ...levels.flatMap((_, i): Asked[] => {
        const transformers = ofLevel(config.transformer_layers_per_block, i);
        const resnets = ofLevel(config.layers_per_block, i) as number;
        const attention = `down_blocks.${i}.attentions.0.transformer_blocks`;
        return [
          ['layers_per_block', resnets, `down_blocks.${i}.resnets`],
          ['transformer_layers_per_block', [transformers].flat()[0], attention],
        ];
      }),
    ];
  },
  vae: ({ block_out_channels: widths, layers_per_block: layers }) => [
    ['block_out_channels', (widths as number[] | undefined)?.length ?? 0, 'encoder.down_blocks'],
    ['layers_per_block', layers as number, 'encoder.down_blocks.0.resnets'],
  ],
  image_encoder: ({ num_hidden_layers: count }) => [
    ['num_hidden_layers', count as number, 'vision_model.encoder.layers'],
  ],
};
