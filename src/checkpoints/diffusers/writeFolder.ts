/** A whole model as diffusers' `save_pretrained` writes it. */
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolder } from '../../files/makeFolder.ts';
import { type FolderUpdate, updateFolder } from '../../files/writing/folderUpdate.ts';
import { type OutputFile, textFile, writePieces } from '../../files/writing/outputFile.ts';
import { namingRefused } from '../errors.ts';
import { tensorBytes } from '../safetensors/dtypes.ts';
import { safetensorsFile, type TensorToWrite } from '../safetensors/writer.ts';
import {
  type Component,
  componentNames,
  components,
  type WeightedComponent,
  weightedComponents,
  weightFileAmong,
  weightFileNames,
} from './names.ts';
import { shardsOf } from './shards.ts';

/** Everything that a model in diffusers' layout consists of. */
export interface ModelToWrite {
  /** `model_index.json`. */
  index: Record<string, unknown>;
  /** JSON with snake_case keys. */
  configs: Record<Component, Record<string, unknown>>;
  /** Tensors by their keys. */
  weights: Record<WeightedComponent, Record<string, TensorToWrite>>;
}

/** How weights are named and split. */
export interface FileOptions {
  /** A word in the names of weight files, such as `fp16`. */
  variant?: string;
  /** Maximum bytes of tensors in a file; a larger tensor has a file of its own. Default 10 GB. */
  maxShardSize?: number;
}

/**
 * Numbers that transformers expects as floats. JavaScript cannot tell a whole one from an integer.
 */
const WHOLE_FLOATS =
  /^( *"(?:initializer_factor|initializer_range|layer_norm_eps)": -?\d+)(?=,?$)/gm;

const jsonText = (json: unknown) =>
  `${JSON.stringify(json, null, 2).replace(WHOLE_FLOATS, '$1.0')}\n`;

/** The configs of a model. `model_index.json`, which makes a folder a model, is the last. */
export function configOutputs(
  configs: ModelToWrite['configs'],
  index: () => ModelToWrite['index'] | Promise<ModelToWrite['index']>,
): OutputFile[] {
  return [
    ...componentNames.map((name) =>
      textFile(`${name}/${components[name].config}`, () => jsonText(configs[name])),
    ),
    textFile('model_index.json', async () => jsonText(await index())),
  ];
}

/**
 * The weight files of a component: one, or shards and their index. Tensors are distributed in their
 * order.
 */
export function weightOutputs(
  component: WeightedComponent,
  tensors: Record<string, TensorToWrite>,
  { variant, maxShardSize = 10e9 }: FileOptions,
): OutputFile[] {
  const shards: Record<string, TensorToWrite>[] = [{}];
  let [filled, total] = [0, 0];
  for (const [name, tensor] of Object.entries(tensors)) {
    const bytes = tensorBytes(tensor.dtype, tensor.shape)!;
    if (filled > 0 && filled + bytes > maxShardSize) {
      shards.push({});
      filled = 0;
    }
    shards.at(-1)![name] = tensor;
    filled += bytes;
    total += bytes;
  }
  const { single, index } = weightFileNames(component, variant);
  const number = (i: number) => String(i).padStart(5, '0');
  const nameOf = (i: number) =>
    shards.length === 1
      ? single
      : single.replace(
          /\.safetensors$/,
          `-${number(i + 1)}-of-${number(shards.length)}.safetensors`,
        );
  const files = shards.map((shard, i) =>
    safetensorsFile(`${component}/${nameOf(i)}`, shard, { format: 'pt' }),
  );
  if (shards.length === 1) return files;
  const map = shards
    .flatMap((shard, i) => Object.keys(shard).map((name) => [name, nameOf(i)] as const))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const json = { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
  return [...files, textFile(`${component}/${index}`, () => jsonText(json))];
}

/**
 * Writes a model into `folder`, which holds the old model or the new one whole whatever ends the
 * process. Files that are not replaced stay, except weights of the same variant.
 * @throws CheckpointError if a file cannot be written; the signal's reason if that aborts.
 */
export async function writeModelFolder(
  folder: string,
  { weights, configs, index }: ModelToWrite,
  { signal, ...options }: FileOptions & { signal?: AbortSignal } = {},
): Promise<void> {
  signal?.throwIfAborted();
  const collect = async (target: string): Promise<FolderUpdate> => {
    const files = [
      ...weightedComponents.flatMap((name) => weightOutputs(name, weights[name], options)),
      ...configOutputs(configs, () => index),
    ];
    for (const file of files) {
      const path = join(target, file.path);
      await makeFolder(dirname(path));
      await writePieces(path, file, { signal });
    }
    const written = files.map(({ path }) => path);
    const others = weightedComponents.map((name) =>
      otherWeights(folder, name, written, options.variant),
    );
    return { written, removed: (await Promise.all(others)).flat() };
  };
  await namingRefused(folder, () => updateFolder(folder, collect));
}

/**
 * Weights of the same variant in `folder` that are split in another way: they would be found
 * instead of the `written` ones, or never.
 */
async function otherWeights(
  folder: string,
  component: WeightedComponent,
  written: string[],
  variant?: string,
): Promise<string[]> {
  const found = new Set<string>();
  const names = await readdir(join(folder, component)).catch(() => []);
  for (;;) {
    const left = names.filter(
      (name) => !found.has(name) && !written.includes(`${component}/${name}`),
    );
    const old = weightFileAmong(left, component, variant);
    if (old === undefined) break;
    const shards = await shardsOf(join(folder, component, old)).catch(() => []);
    for (const name of [old, ...shards]) found.add(name);
  }
  return [...found].map((name) => `${component}/${name}`).filter((path) => !written.includes(path));
}
