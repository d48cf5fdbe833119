/** A Stable Video Diffusion model behind a URL, in the folder layout of diffusers. */

import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import type { Checkpoint, Format, OtherUnet } from '../checkpoint.ts';
import { checkCounts } from '../configs/counts.ts';
import type { Json } from '../configs/json.ts';
import { type Configs, checkIndex, configFile, readConfigs } from '../configs/readConfigs.ts';
import { configFiles, TFJS, type WeightedComponent } from '../diffusers/names.ts';
import { type Download, WebFiles, type WebOptions } from './files.ts';
import { openUnetUrl } from './openUnet.ts';
import { folderUrl, openWeights, shardUrls, weightUrl } from './weights.ts';

// Browsers before 2025 lack it.
(Symbol as { asyncDispose: symbol }).asyncDispose ??= Symbol.for('Symbol.asyncDispose');

/** Options of `openUrl`. */
export interface OpenUrlOptions extends WebOptions {
  /** Weight file variant, such as `fp16`. */
  variant?: string;
  /**
   * The address of a UNet to use instead of the model's own, whose weights are not downloaded: a
   * `.safetensors` file in diffusers' or the original names of weights, or the folder of a UNet or
   * of a whole model. Its config counts if it is beside it, otherwise the model's own.
   */
  unet?: string;
}

export const openUrlOptionKinds: Kinds<OpenUrlOptions> = {
  variant: kinds.text,
  unet: kinds.text,
  cache: kinds.text,
  onBytes: kinds.listener,
  signal: kinds.signal,
};

/** A checkpoint behind a URL. Its files stay those that were there when it was opened. */
export interface WebCheckpoint extends Checkpoint {
  /**
   * Brings the weights into the browser's storage, and keeps the configs that have been read there:
   * nothing is stored before. Until then, or without storage or room there, weights are read from the
   * server by range requests.
   * @throws CheckpointError if the server cannot be reached or refuses, or the storage gets full
   * meanwhile: what has come stays.
   */
  fetch(): Promise<void>;
  /** What `fetch` has to download. @throws CheckpointError if the server cannot be reached. */
  download(): Promise<Download>;
}

/** The parts of a model that do not change while it is open. */
interface Model {
  base: string;
  variant?: string;
  files: WebFiles;
  index: Json;
  configs: Configs;
  unet?: OtherUnet;
}

/**
 * Opens the model in the folder at `url` and reads its configs. Weights are in safetensors files,
 * one or several per component, or in TensorFlow.js artifacts.
 * @throws CheckpointError if a config is missing or broken, or the model is of another class.
 */
export async function openUrl(
  url: string | URL,
  options: OpenUrlOptions = {},
): Promise<WebCheckpoint> {
  checkOptionValues('openUrl', options, openUrlOptionKinds);
  const { variant, unet, ...web } = options;
  return openFolder(new WebFiles(web), url, { variant, unet });
}

/** The same, among files that are open. */
export async function openFolder(
  files: WebFiles,
  url: string | URL,
  { variant, unet: unetUrl }: Pick<OpenUrlOptions, 'variant' | 'unet'> = {},
): Promise<WebCheckpoint> {
  const base = folderUrl(url);
  const unet = unetUrl === undefined ? undefined : await openUnetUrl(files, unetUrl, variant);
  const index = await files.json(`${base}model_index.json`);
  const path = base.slice(0, -1);
  checkIndex(path, index);
  const configs = await readConfigs(path, index, (file) => files.json(base + file), unet?.config);
  return checkpointOf({ base, variant, files, index, configs, unet });
}

function checkpointOf(model: Model): WebCheckpoint {
  const { base, variant, files, index, configs, unet } = model;
  let format: Format = 'diffusers';
  const urlOf = async (component: WeightedComponent) => {
    const url = await weightUrl(files, `${base}${component}/`, component, variant);
    format = url.endsWith(`/${TFJS}`) ? 'tfjs' : 'diffusers';
    return url;
  };
  /** The files of weights: of each component one, then those that it names. */
  const weightUrls = async () => {
    const own: string[] = [];
    for (const component of ['image_encoder', 'unet', 'vae'] as const) {
      if (component === 'unet' && unet) continue;
      const url = await urlOf(component);
      own.push(url, ...(await shardUrls(files, url)));
    }
    return own;
  };
  const toFetch = () => weightsOf(weightUrls, unet);
  return {
    path: base,
    /** Known once it has been looked for weights. */
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
      const source = await openWeights(files, await urlOf(component), component);
      checkCounts(base.slice(0, -1), component, config, source);
      return source;
    },
    async files() {
      const configs = configFiles.filter((file) => !unet?.config || file !== configFile('unet'));
      return [...configs, ...(await weightUrls()).map((url) => url.slice(base.length))];
    },
    fetch: async () => files.fetch(await toFetch()),
    download: async () => files.download(await toFetch()),
    reopen: async () => checkpointOf(model),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

/** The addresses of a model's own weights and of those of a UNet that replaces its own. */
export async function weightsOf(own: () => Promise<string[]>, unet?: OtherUnet): Promise<string[]> {
  const others = (await unet?.files())?.filter((url) => url !== unet?.config?.file) ?? [];
  return [...(await own()), ...others].filter((url) => !/\.json$/.test(url));
}
