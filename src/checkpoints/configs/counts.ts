/** Compares how much a config asks for with what its weights have, by their names and shapes. */
import type { WeightedComponent } from '../diffusers/names.ts';
import { CheckpointError } from '../errors.ts';
import type { WeightSource } from '../weights/source.ts';
import type { Json } from './json.ts';

/**
 * A key of a config, the number that it asks for, and where the weights tell theirs: in a list of
 * layers, or in the bias of a layer of that width.
 */
type Asked = [key: string, count: number, list: string];

/**
 * @throws CheckpointError if a config asks for more or wider layers than there are. Before anything
 * is built, this says in one sentence what a list of missing weights would say.
 */
export function checkCounts(
  path: string,
  component: WeightedComponent,
  config: Json,
  source: Pick<WeightSource, 'names' | 'info'>,
): void {
  const lists = listLengths(source.names());
  const biases = new Set(source.names().filter((name) => name.endsWith('.bias')));
  for (const [key, count, where] of asked[component](config)) {
    const there = biases.has(where) ? source.info(where).shape[0] : lists.get(where)?.size;
    if (there === undefined || !(count > there)) continue; // a count may be left out
    throw new CheckpointError(
      `${path}/${component}/config.json: ${key} asks for ${count}, but the weights hold ` +
        `${there} in ${where}. Use the weights and the config of the same model.`,
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

/** The widths of the levels of a UNet or a VAE. */
const widths = ({ block_out_channels: all }: Json, bias: (level: number) => string) =>
  ((all ?? []) as number[]).map((width, i): Asked => ['block_out_channels', width, bias(i)]);

const asked: Record<WeightedComponent, (config: Json) => Asked[]> = {
  unet: (config) => {
    const levels = (config.down_block_types ?? []) as string[];
    return [
      ...levels.flatMap((_, i): Asked[] => {
        const transformers = ofLevel(config.transformer_layers_per_block, i);
        const resnets = ofLevel(config.layers_per_block, i) as number;
        const attention = `down_blocks.${i}.attentions.0.transformer_blocks`;
        return [
          ['layers_per_block', resnets, `down_blocks.${i}.resnets`],
          ['transformer_layers_per_block', [transformers].flat()[0], attention],
        ];
      }),
      // after these, which decide in original files where the levels are
      ['down_block_types', levels.length, 'down_blocks'],
      ...widths(config, (i) => `down_blocks.${i}.resnets.0.spatial_res_block.conv1.bias`),
    ];
  },
  vae: (config) => [
    [
      'block_out_channels',
      (config.block_out_channels as number[] | undefined)?.length ?? 0,
      'encoder.down_blocks',
    ],
    ['layers_per_block', config.layers_per_block as number, 'encoder.down_blocks.0.resnets'],
    ...widths(config, (i) => `encoder.down_blocks.${i}.resnets.0.conv1.bias`),
  ],
  image_encoder: (config) => {
    const { num_hidden_layers, hidden_size, intermediate_size } = config as Record<string, number>;
    return [
      ['num_hidden_layers', num_hidden_layers, 'vision_model.encoder.layers'],
      ['hidden_size', hidden_size, 'vision_model.pre_layrnorm.bias'],
      ['intermediate_size', intermediate_size, 'vision_model.encoder.layers.0.mlp.fc1.bias'],
    ];
  },
};
