/** Fills one layer from a checkpoint on disk or of the hub. */
import { dirname, join } from 'node:path';
import type { AnyBlock } from '../layers/block.ts';
import { hasEnding } from '../text/endings.ts';
import { type Kinds, kinds } from '../text/options.ts';
import type { Checkpoint } from './checkpoint.ts';
import { checkInside } from './diffusers/insideFolder.ts';
import { weightedComponents, weightFileAmong } from './diffusers/names.ts';
import { filesIn } from './diffusers/openFolder.ts';
import { shardsOf } from './diffusers/shards.ts';
import type { DownloadOptions } from './hub/download.ts';
import { isFolder, locateModel } from './hub/locate.ts';
import { openCheckpoint } from './openCheckpoint.ts';
import type { SingleFileOptions } from './original/checkpoint.ts';
import { openSafetensors } from './safetensors/file.ts';
import { openSharded } from './safetensors/sharded.ts';
import {
  checkLoadLayer,
  fillLayer,
  isOriginal,
  type LayerOptions,
  layerOptionKinds,
  type NamedSource,
} from './weights/layer.ts';
import type { WeightSource } from './weights/source.ts';

/**
 * Options of `loadLayerWeights`. Those for the hub count where the checkpoint is a model of the
 * hub, `config` where it is an original file.
 */
export type LoadLayerWeightsOptions = LayerOptions &
  Omit<DownloadOptions, 'onProgress' | 'weightsOf'> &
  Pick<SingleFileOptions, 'config'>;

const optionKinds: Kinds<LoadLayerWeightsOptions> = {
  ...layerOptionKinds,
  variant: kinds.text,
  revision: kinds.text,
  token: kinds.text,
  cacheDir: kinds.text,
  localFilesOnly: kinds.flag,
  verify: kinds.flag,
  pause: kinds.limit,
  limits: kinds.object,
  config: kinds.text,
};

/**
 * Fills one layer from a checkpoint and reads nothing else of it. A layer that is not built yet
 * gets built.
 *
 * @param checkpoint A model folder in diffusers' or TensorFlow.js' format or the name of one on the
 * hub, the folder of one of its components, a `.safetensors` file (also an original one), the index
 * of a sharded one, or an open source of weights.
 * @param path Where the layer is in the checkpoint, such as `decoder.up_blocks.0.resnets.0`; in a
 * model folder `vae.decoder...` says which component is meant, should two of them have the layer.
 * Default: nothing, as in a file that `layer.save` has written.
 * @throws CheckpointError if there is no such checkpoint or no such layer in it, or with a list of
 * all tensors that do not fit; Error if an argument is wrong.
 */
export async function loadLayerWeights(
  layer: AnyBlock,
  checkpoint: string | WeightSource,
  path = '',
  options: LoadLayerWeightsOptions = {},
): Promise<void> {
  checkLoadLayer(layer, checkpoint, path, options, optionKinds);
  if (typeof checkpoint !== 'string')
    return fillLayer(layer, [{ source: checkpoint }], path, 'The checkpoint', options);
  await using opened = await openSources(checkpoint, options);
  await fillLayer(layer, opened.sources, path, checkpoint, options);
}

interface OpenSources extends AsyncDisposable {
  sources: NamedSource[];
}

async function openSources(
  checkpoint: string,
  options: LoadLayerWeightsOptions,
): Promise<OpenSources> {
  const only = (source: WeightSource) => ({
    sources: [{ source }],
    [Symbol.asyncDispose]: () => source.close(),
  });
  if (hasEnding(checkpoint, '.json')) {
    await checkInside(dirname(checkpoint), await shardsOf(checkpoint));
    return only(await openSharded(checkpoint));
  }
  if (hasEnding(checkpoint, '.safetensors')) {
    const source = await openSafetensors(checkpoint);
    if (!isOriginal(source)) return only(source);
    await source.close();
    return componentsOf(await openCheckpoint(checkpoint, { config: options.config }));
  }
  const { variant, revision, token, cacheDir, localFilesOnly, signal } = options;
  const hub = { revision, token, cacheDir, localFilesOnly };
  const path = await locateModel(checkpoint, { variant, ...hub, signal });
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
    return { sources, [Symbol.asyncDispose]: () => model.close() };
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** The weight file in the folder of a component, if that is what it is. */
async function weightFileIn(folder: string, variant?: string): Promise<string | undefined> {
  const files = await filesIn(folder);
  return weightedComponents
    .map((component) => weightFileAmong(files, component, variant))
    .find((file) => file !== undefined);
}
