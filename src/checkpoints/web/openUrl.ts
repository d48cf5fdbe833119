/** A Stable Video Diffusion model behind a URL, in the folder layout of diffusers. */

import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import type { Checkpoint, Format } from '../checkpoint.ts';
import { checkCounts } from '../configs/counts.ts';
import { checkIndex, readConfigs } from '../configs/readConfigs.ts';
import {
  configFiles,
  TFJS,
  type WeightedComponent,
  weightedComponents,
  weightFileNames,
} from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { type ByteReader, readSafetensors } from '../safetensors/reader.ts';
import { manifestOf } from '../tfjs/manifest.ts';
import { tfjsSource } from '../tfjs/source.ts';
import type { WeightSource } from '../weights/source.ts';
import { findWebFile, type WebOptions, webExists, webFile, webJson } from './files.ts';

// Browsers before 2025 lack it.
(Symbol as { asyncDispose: symbol }).asyncDispose ??= Symbol.for('Symbol.asyncDispose');

/** Options of `openUrl`. */
export interface OpenUrlOptions extends WebOptions {
  /** Weight file variant, such as `fp16`. */
  variant?: string;
}

const openUrlOptionKinds: Kinds<OpenUrlOptions> = {
  variant: kinds.text,
  cache: kinds.text,
  onBytes: kinds.listener,
  signal: kinds.signal,
};

/** The address of a folder, with a slash at its end. @throws CheckpointError if it is none. */
export function folderUrl(url: string | URL): string {
  const address = String(url);
  const base = globalThis.location?.href;
  if (address !== '' && URL.canParse(address, base))
    return new URL(address.endsWith('/') ? address : `${address}/`, base).href;
  throw new CheckpointError(`${quoted(address)} is not an address. Use that of a model's folder.`);
}

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
  const { variant, ...web } = options;
  const index = await webJson(`${base}model_index.json`, web);
  checkIndex(path, index);
  const configs = await readConfigs(path, index, (file) => webJson(base + file, web));
  let format: Format = 'diffusers';
  const openArtifact = async (folder: string, component: WeightedComponent) => {
    const artifact = await weightUrl(folder, component, options);
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
    config: (component) => structuredClone(configs[component]),
    async weights(component) {
      const folder = `${base}${component}/`;
      const { single } = weightFileNames(component, variant);
      const file = await findWebFile(folder + single, web);
      const source = file ? await readSafetensors(file) : await openArtifact(folder, component);
      checkCounts(path, component, configs[component], source);
      return source;
    },
    async files() {
      const weights = weightedComponents.map(async (component) => {
        const file = await weightUrl(`${base}${component}/`, component, options);
        return [file, ...(await shardUrls(file, web))].map((name) => name.slice(base.length));
      });
      return [...configFiles, ...(await Promise.all(weights)).flat()];
    },
    reopen: () => openUrl(url, options),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

const weightNames = (component: WeightedComponent, variant?: string) => [
  weightFileNames(component, variant).single,
  ...(variant === undefined ? [TFJS] : []),
];

/** The address of the weights of a component in a folder, if there are any. */
export async function findWeights(
  folder: string,
  component: WeightedComponent,
  { variant, ...web }: OpenUrlOptions,
): Promise<string | undefined> {
  for (const name of weightNames(component, variant))
    if (await webExists(folder + name, web)) return folder + name;
  return undefined;
}

/** The same. @throws CheckpointError if there are none. */
export async function weightUrl(
  folder: string,
  component: WeightedComponent,
  options: OpenUrlOptions,
): Promise<string> {
  const found = await findWeights(folder, component, options);
  if (found !== undefined) return found;
  const names = weightNames(component, options.variant).join(' or ');
  throw new CheckpointError(
    `${folder} has no ${names}. Use the address of a model in the format of diffusers or ` +
      'TensorFlow.js.',
  );
}

/** Opens a weight file, or a TensorFlow.js artifact, whose files `open` opens. */
export async function openWeights(
  url: string,
  label: string,
  open: (url: string) => Promise<ByteReader>,
  web: WebOptions,
): Promise<WeightSource> {
  if (!url.endsWith(`/${TFJS}`)) return readSafetensors(await open(url));
  return tfjsSource(url, await webJson(url, web), (name) => open(beside(url, name)), label);
}

const beside = (url: string, name: string) => url.slice(0, url.lastIndexOf('/') + 1) + name;

async function shardUrls(url: string, web: WebOptions): Promise<string[]> {
  if (!url.endsWith(`/${TFJS}`)) return [];
  const groups = manifestOf(await webJson(url, web), url);
  return groups.flatMap(({ paths }) => paths.map((name) => beside(url, name)));
}
