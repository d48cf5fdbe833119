/**
 * Writes a whole model as diffusers' `save_pretrained` does, out of memory or wherever tensors come
 * from.
 */
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeAtomically, writeFolderAtomically } from '../../files/atomic.ts';
import { CheckpointError, causeOf } from '../errors.ts';
import { type TensorToWrite, writeSafetensors } from '../safetensors/writer.ts';
import {
  type Component,
  componentNames,
  components,
  type WeightedComponent,
  weightedComponents,
  weightFileAmong,
} from './names.ts';
import { shardsOf } from './shards.ts';
import { diffusersFiles, type FileOptions } from './weightFiles.ts';

/** Everything that a model in diffusers' layout consists of. */
export interface ModelToWrite {
  /** `model_index.json`. */
  index: Record<string, unknown>;
  /** JSON with snake_case keys. */
  configs: Record<Component, Record<string, unknown>>;
  /** Tensors by their keys. */
  weights: Record<WeightedComponent, Record<string, TensorToWrite>>;
}

/**
 * What transformers wants written as a float, also where it is whole, which JavaScript cannot tell
 * from an integer.
 */
const WHOLE_FLOATS =
  /^( *"(?:initializer_factor|initializer_range|layer_norm_eps)": -?\d+)(?=,?$)/gm;

/**
 * The text files of a model by their paths. `model_index.json`, which makes a folder a model, is
 * the last.
 */
export function configTexts({
  index,
  configs,
}: Pick<ModelToWrite, 'index' | 'configs'>): Record<string, string> {
  const text = (json: unknown) =>
    `${JSON.stringify(json, null, 2).replace(WHOLE_FLOATS, '$1.0')}\n`;
  const texts = componentNames.map((name) => [
    `${name}/${components[name].config}`,
    text(configs[name]),
  ]);
  return { ...Object.fromEntries(texts), 'model_index.json': text(index) };
}

/**
 * Writes a model into `folder`. A new folder appears when it is complete; in one that is there,
 * each file does, and files that are not replaced stay, but for weights of the same variant.
 * @throws CheckpointError if a file cannot be written; the signal's reason if that aborts.
 */
export async function writeModelFolder(
  folder: string,
  model: ModelToWrite,
  { signal, ...options }: FileOptions & { signal?: AbortSignal } = {},
): Promise<void> {
  signal?.throwIfAborted();
  const fill = async (target: string) => {
    for (const component of weightedComponents)
      await writeWeights(target, component, model.weights[component], options, signal);
    for (const [path, text] of Object.entries(configTexts(model)))
      await writeText(join(target, path), text);
  };
  try {
    if (await stat(folder).catch(() => undefined)) await fill(folder);
    else await writeFolderAtomically(folder, fill);
  } catch (error) {
    const cause = (error as Error).cause ?? error;
    const refused =
      cause instanceof Error && 'syscall' in cause && !(error instanceof CheckpointError);
    throw refused
      ? new CheckpointError(`Cannot write ${folder}: ${causeOf(cause)}.`, { cause })
      : error;
  }
}

async function writeWeights(
  folder: string,
  component: WeightedComponent,
  tensors: Record<string, TensorToWrite>,
  options: FileOptions,
  signal?: AbortSignal,
): Promise<void> {
  await mkdir(join(folder, component), { recursive: true });
  const { files, texts } = diffusersFiles(component, tensors, options);
  for (const [path, shard] of files)
    await writeSafetensors(join(folder, path), stoppable(shard, signal), { format: 'pt' });
  for (const [path, text] of Object.entries(texts)) await writeText(join(folder, path), text);
  // One of the same variant that was split in another way would be found first, or never.
  const written = new Set(
    [...files.map(([path]) => path), ...Object.keys(texts)].map((path) =>
      path.slice(component.length + 1),
    ),
  );
  for (;;) {
    const names = (await readdir(join(folder, component))).filter((name) => !written.has(name));
    const old = weightFileAmong(names, component, options.variant);
    if (old === undefined) return;
    const shards = await shardsOf(join(folder, component, old)).catch(() => []);
    for (const name of [old, ...shards])
      if (!written.has(name)) await rm(join(folder, component, name), { force: true });
  }
}

function stoppable(
  tensors: Record<string, TensorToWrite>,
  signal?: AbortSignal,
): Record<string, TensorToWrite> {
  const entries = Object.entries(tensors).map(([name, tensor]): [string, TensorToWrite] => {
    const data = () => {
      signal?.throwIfAborted();
      return typeof tensor.data === 'function' ? tensor.data() : tensor.data;
    };
    return [name, { ...tensor, data }];
  });
  return Object.fromEntries(entries);
}

async function writeText(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeAtomically(path, (temporary) => writeFile(temporary, text));
}
