/** Fills one layer from a checkpoint behind a URL, without downloading the rest of it. */
import type { AnyBlock } from '../../layers/block.ts';
import { hasEnding } from '../../text/endings.ts';
import { kinds } from '../../text/options.ts';
import { type WeightedComponent, weightedComponents } from '../diffusers/names.ts';
import type { SingleFileOptions } from '../original/checkpoint.ts';
import {
  checkLoadLayer,
  fillLayer,
  isOriginal,
  type LayerOptions,
  layerOptionKinds,
  type NamedSource,
} from '../weights/layer.ts';
import type { WeightSource } from '../weights/source.ts';
import { WebFiles } from './files.ts';
import { openSingleFileUrl } from './openSingleFile.ts';
import { readerOf, webRanges } from './ranges.ts';
import { addressOf, findWeights, folderUrl, openWeights, weightUrl } from './weights.ts';

/** Options of `loadLayerWeights` in browsers. */
export interface LoadLayerUrlOptions extends LayerOptions, Pick<SingleFileOptions, 'config'> {
  /** Weight file variant of a folder, such as `fp16`. */
  variant?: string;
}

/**
 * Fills one layer from a checkpoint and downloads nothing else of it, by HTTP range requests. A
 * layer that is not built yet gets built.
 *
 * @param checkpoint The address of a model's folder in the format of diffusers or TensorFlow.js, of
 * the folder of one of its components, of a `.safetensors` file (also an original one, whose
 * configs `config` names), or of the index of a sharded one; or an open source of weights.
 * @param path Where the layer is in the checkpoint, such as `decoder.up_blocks.0.resnets.0`; in a
 * model folder `vae.decoder...` says which component is meant, should two of them have the layer.
 * Default: nothing, as in a file that `layer.save` has written.
 * @throws CheckpointError if there is no such checkpoint or no such layer in it, if the server does
 * not send parts of files, or with a list of all tensors that do not fit; Error if an argument is
 * wrong.
 */
export async function loadLayerWeights(
  layer: AnyBlock,
  checkpoint: string | WeightSource,
  path = '',
  options: LoadLayerUrlOptions = {},
): Promise<void> {
  const optionKinds = { ...layerOptionKinds, variant: kinds.text, config: kinds.text };
  checkLoadLayer(layer, checkpoint, path, options, optionKinds);
  const sources =
    typeof checkpoint === 'string'
      ? await openSources(checkpoint, options)
      : [{ source: checkpoint }];
  const label = typeof checkpoint === 'string' ? checkpoint : 'The checkpoint';
  await fillLayer(layer, sources, path, label, options);
}

async function openSources(
  checkpoint: string,
  { variant, config, signal }: LoadLayerUrlOptions,
): Promise<NamedSource[]> {
  const files = new WebFiles({ cache: null, signal });
  const open = async (url: string) => readerOf(url, await webRanges(url, { signal }));
  if (hasEnding(checkpoint.split(/[?#]/)[0]!, '.safetensors', '.json')) {
    const url = addressOf(checkpoint);
    const source = await openWeights(files, url, url, open);
    if (!isOriginal(source)) return [{ source }];
    const model = await openSingleFileUrl(url, { config, cache: null, signal });
    return componentsOf((name) => model.weights(name));
  }
  const base = folderUrl(checkpoint);
  const load = async (folder: string, component: WeightedComponent) =>
    openWeights(files, await weightUrl(files, folder, component, variant), component, open);
  if (await files.find(`${base}model_index.json`))
    return componentsOf((name) => load(`${base}${name}/`, name));
  const isUnet = await findWeights(files, base, 'unet', variant);
  return [{ source: await load(base, isUnet ? 'unet' : 'image_encoder') }];
}

const componentsOf = (open: (name: WeightedComponent) => Promise<WeightSource>) =>
  Promise.all(weightedComponents.map(async (name) => ({ name, source: await open(name) })));
