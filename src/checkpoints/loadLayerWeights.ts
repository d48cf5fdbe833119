/** Fills one layer from a whole checkpoint. */
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type AnyBlock, withoutWeights } from '../layers/block.ts';
import type { Checkpoint } from './checkpoint.ts';
import { checkInside } from './diffusers/insideFolder.ts';
import { weightedComponents, weightFileAmong } from './diffusers/names.ts';
import { shardsOf } from './diffusers/shards.ts';
import { CheckpointError, causeOf, listed } from './errors.ts';
import type { DownloadOptions } from './hub/download.ts';
import { isFolder, locateModel } from './hub/locate.ts';
import { openCheckpoint } from './openCheckpoint.ts';
import type { SingleFileOptions } from './original/open.ts';
import { openSafetensors } from './safetensors/file.ts';
import { openSharded } from './safetensors/sharded.ts';
import { type LoadWeightsOptions, loadWeights } from './weights/load.ts';
import type { WeightSource } from './weights/source.ts';

/**
 * Options of `loadLayerWeights`. Those for the hub count where the checkpoint is a model of the
 * hub, `config` where it is an original file.
 */
export type LoadLayerWeightsOptions = Omit<LoadWeightsOptions, 'prefix' | 'label' | 'onProgress'> &
  Omit<DownloadOptions, 'onProgress'> &
  Pick<SingleFileOptions, 'config'>;

/**
 * What the UNet's weights start with in the original single files, whose names are then translated
 * to diffusers'.
 */
const ORIGINAL_UNET = 'model.diffusion_model.';

/**
 * Fills one layer from a checkpoint and reads nothing else of it. A layer that is not built yet
 * gets built.
 *
 * @param checkpoint A model folder in diffusers' or TensorFlow.js' format or the name of one on the
 * hub, the folder of one of its components, a `.safetensors` file (also an original one), the index
 * of a sharded one, or an open source of weights.
 * @param path Where the layer is in the checkpoint, such as `decoder.up_blocks.0.resnets.0`; in a
 * model folder `vae.decoder...` says which component is meant, should two of them have the layer.
 * @throws CheckpointError if there is no such checkpoint or no such layer in it, or with a list of
 * all tensors that don't fit.
 */
export async function loadLayerWeights(
  layer: AnyBlock,
  checkpoint: string | WeightSource,
  path: string,
  options: LoadLayerWeightsOptions = {},
): Promise<void> {
  if (typeof checkpoint !== 'string')
    return fill(layer, checkpoint, path, 'The checkpoint', options);
  const { sources, close } = await openSources(checkpoint, options);
  try {
    const candidates = sources.flatMap(({ name, source }) => {
      const below = name && path.startsWith(`${name}.`) ? path.slice(name.length + 1) : path;
      return source.names().some((key) => key.startsWith(`${below}.`))
        ? [{ name, source, below }]
        : [];
    });
    if (candidates.length > 1) {
      const names = candidates.map(({ name }) => `"${name}.${path}"`);
      throw new CheckpointError(
        `${checkpoint} has the layer "${path}" more than once. Say which one is meant: ${names.join(' or ')}.`,
      );
    }
    const [{ source, below }] =
      candidates.length === 1 ? candidates : [{ source: joined(sources), below: path }];
    await fill(layer, source, below, checkpoint, options);
  } finally {
    await close();
  }
}

async function fill(
  layer: AnyBlock,
  source: WeightSource,
  path: string,
  label: string,
  options: LoadWeightsOptions,
): Promise<void> {
  const names = source.names();
  if (!names.some((name) => name.startsWith(`${path}.`)))
    throw new CheckpointError(`${label} has no layer "${path}". ${whatThereIs(names, path)}`);
  if (!layer.built) withoutWeights(() => layer.build());
  await loadWeights(layer, source, { ...options, prefix: `${path}.`, label: layer.name });
}

/** The names below the deepest part of `path` that there is. */
function whatThereIs(names: string[], path: string): string {
  const parts = path.split('.');
  for (let depth = parts.length - 1; depth >= 0; depth--) {
    const prefix = parts
      .slice(0, depth)
      .map((part) => `${part}.`)
      .join('');
    const below = names
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length).split('.')[0]!);
    if (below.length === 0) continue;
    const where = depth === 0 ? 'At its top' : `Below "${prefix.slice(0, -1)}"`;
    return `${where} there are ${listed([...new Set(below)])}.`;
  }
  return 'It has no tensors at all.';
}

interface NamedSource {
  /** The component, if there are several. */
  name?: string;
  source: WeightSource;
}

/** The names of all components, for messages, each behind that of its component. */
function joined(sources: NamedSource[]): WeightSource {
  const [{ source }] = sources;
  const names = sources.flatMap(({ name, source: { names } }) =>
    names().map((key) => (name ? `${name}.${key}` : key)),
  );
  return { ...source, names: () => names };
}

interface OpenSources {
  sources: NamedSource[];
  close(): Promise<void>;
}

async function openSources(
  checkpoint: string,
  options: LoadLayerWeightsOptions,
): Promise<OpenSources> {
  const alone = (source: WeightSource) => ({ sources: [{ source }], close: () => source.close() });
  if (checkpoint.endsWith('.json')) {
    await checkInside(dirname(checkpoint), await shardsOf(checkpoint));
    return alone(await openSharded(checkpoint));
  }
  if (checkpoint.endsWith('.safetensors')) {
    const source = await openSafetensors(checkpoint);
    if (!source.names().some((name) => name.startsWith(ORIGINAL_UNET))) return alone(source);
    await source.close();
    return componentsOf(await openCheckpoint(checkpoint, { config: options.config }));
  }
  const { variant, revision, token, cacheDir, localFilesOnly, signal } = options;
  const path = await locateModel(checkpoint, {
    variant,
    revision,
    token,
    cacheDir,
    localFilesOnly,
    signal,
  });
  const file = (await isFolder(path)) ? await weightFileIn(path, variant) : undefined;
  if (file === undefined) return componentsOf(await openCheckpoint(path, { variant }));
  await checkInside(path, [file]);
  return openSources(join(path, file), {});
}

async function componentsOf(model: Checkpoint): Promise<OpenSources> {
  try {
    const sources: NamedSource[] = [];
    for (const name of weightedComponents)
      sources.push({ name, source: await model.weights(name) });
    return { sources, close: () => model.close() };
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** The weight file in the folder of a component, if that is what it is. */
async function weightFileIn(folder: string, variant?: string): Promise<string | undefined> {
  const files = await readdir(folder).catch((error: unknown) => {
    throw new CheckpointError(`Cannot open the folder ${folder}: ${causeOf(error)}.`, {
      cause: error,
    });
  });
  return weightedComponents
    .map((component) => weightFileAmong(files, component, variant))
    .find((file) => file !== undefined);
}
