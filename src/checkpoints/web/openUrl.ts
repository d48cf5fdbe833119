/** A Stable Video Diffusion model behind a URL, in the folder layout of diffusers. */

import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import type { Checkpoint, Format } from '../checkpoint.ts';
import { checkCounts } from '../configs/counts.ts';
import { checkIndex, configFile, readConfigs } from '../configs/readConfigs.ts';
import {
  configFiles,
  type WeightedComponent,
  weightedComponents,
  weightFileNames,
} from '../diffusers/names.ts';
import { readSafetensors } from '../safetensors/reader.ts';
import { unwrapped } from '../weights/renamed.ts';
import { findWebFile, webFile, webJson } from './files.ts';
import { openUnetUrl } from './openUnet.ts';
import { folderUrl, openWeights, shardUrls, type WeightUrlOptions, weightUrl } from './weights.ts';

// Browsers before 2025 lack it.
(Symbol as { asyncDispose: symbol }).asyncDispose ??= Symbol.for('Symbol.asyncDispose');

/** Options of `openUrl`. */
export interface OpenUrlOptions extends WeightUrlOptions {
  /**
   * The address of a UNet to use instead of the model's own, whose weights are not downloaded: a
   * `.safetensors` file in diffusers' or the original names of weights, or the folder of a UNet or
   * of a whole model. Its config counts if it is beside it, otherwise the model's own.
   */
  unet?: string;
}

const openUrlOptionKinds: Kinds<OpenUrlOptions> = {
  variant: kinds.text,
  unet: kinds.text,
  cache: kinds.text,
  onBytes: kinds.listener,
  signal: kinds.signal,
};

/**
 * Opens the model in the folder at `url` and reads its configs. Weights, one file per component or
 * TensorFlow.js artifacts, are downloaded when they are asked for.
 * @throws CheckpointError if a config is missing or broken, or the model is of another class.
 */
export async function openUrl(
  url: string | URL,
  options: OpenUrlOptions = {},
): Promise<Checkpoint> {
  checkOptionValues('openUrl', options, openUrlOptionKinds);
  const base = folderUrl(url);
  const path = base.slice(0, -1);
  const { variant, unet: unetUrl, ...web } = options;
  const weightOptions = { variant, ...web };
  const unet = unetUrl === undefined ? undefined : await openUnetUrl(unetUrl, weightOptions);
  const index = await webJson(`${base}model_index.json`, web);
  checkIndex(path, index);
  const configs = await readConfigs(path, index, (file) => webJson(base + file, web), unet?.config);
  let format: Format = 'diffusers';
  const openArtifact = async (folder: string, component: WeightedComponent) => {
    const artifact = await weightUrl(folder, component, weightOptions);
    format = 'tfjs';
    return openWeights(artifact, component, (name) => webFile(name, web), web);
  };
  return {
    path: base,
    /** Known once weights have been asked for. */
    get format() {
      return format;
    },
    index,
    unet,
    config: (component) => structuredClone(configs[component]),
    async weights(component) {
      const config = configs[component];
      if (component === 'unet' && unet)
        return unet.weights(unet.config ?? { file: base + configFile('unet'), config });
      const folder = `${base}${component}/`;
      const { single } = weightFileNames(component, variant);
      const file = await findWebFile(folder + single, web);
      const source = file
        ? unwrapped(await readSafetensors(file), folder + single)
        : await openArtifact(folder, component);
      checkCounts(path, component, config, source);
      return source;
    },
    async files() {
      const own = weightedComponents.filter((component) => component !== 'unet' || !unet);
      const weights = own.map(async (component) => {
        const file = await weightUrl(`${base}${component}/`, component, weightOptions);
        return [file, ...(await shardUrls(file, web))].map((name) => name.slice(base.length));
      });
      const configs = configFiles.filter((file) => !unet?.config || file !== configFile('unet'));
      return [...configs, ...(await Promise.all(weights)).flat()];
    },
    reopen: () => openUrl(url, options),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}
