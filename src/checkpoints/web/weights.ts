/** Finds and opens the weights in a folder behind a URL. */

import { either } from '../../text/messages.ts';
import { TFJS, type WeightedComponent, weightFileNames } from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { type ByteReader, readSafetensors } from '../safetensors/reader.ts';
import { shardedSource, weightMapOf } from '../safetensors/shardedSource.ts';
import { manifestOf } from '../tfjs/manifest.ts';
import { tfjsSource } from '../tfjs/source.ts';
import { unwrapped } from '../weights/renamed.ts';
import type { WeightSource } from '../weights/source.ts';
import type { WebFiles } from './files.ts';
import { NoFileError } from './receive.ts';

/** The full address of what is at `url`, from where the page is. */
export function addressOf(url: string | URL): string {
  const address = String(url);
  const base = globalThis.location?.href;
  if (address !== '' && URL.canParse(address, base)) return new URL(address, base).href;
  throw new CheckpointError(`${quoted(address)} is not an address. Use that of a model's folder.`);
}

/** The address of a folder, with a slash at its end. @throws CheckpointError if it is none. */
export function folderUrl(url: string | URL): string {
  const address = String(url);
  return addressOf(address === '' || address.endsWith('/') ? address : `${address}/`);
}

function weightNames(component: WeightedComponent, variant?: string): string[] {
  const { single, index } = weightFileNames(component, variant);
  return [single, index, ...(variant === undefined ? [TFJS] : [])];
}

/** The address of the weights of a component in a folder, if there are any. */
export async function findWeights(
  files: WebFiles,
  folder: string,
  component: WeightedComponent,
  variant?: string,
): Promise<string | undefined> {
  for (const name of weightNames(component, variant))
    if (await files.find(folder + name)) return folder + name;
  return undefined;
}

/** The same. @throws CheckpointError if there are none. */
export async function weightUrl(
  files: WebFiles,
  folder: string,
  component: WeightedComponent,
  variant?: string,
): Promise<string> {
  const found = await findWeights(files, folder, component, variant);
  if (found !== undefined) return found;
  const names = either(weightNames(component, variant));
  throw new CheckpointError(
    `${folder} has no ${names}. Use the address of a model in the format of diffusers or ` +
      'TensorFlow.js.',
  );
}

const isIndex = (url: string) => /\.json$/i.test(url.split(/[?#]/)[0]!);
const isTfjs = (url: string) => url.endsWith(`/${TFJS}`);

/** Opens a weight file, the index of several, or a TensorFlow.js artifact. */
export async function openWeights(
  files: WebFiles,
  url: string,
  label: string,
  open: (url: string) => Promise<ByteReader> = (url) => files.open(url),
): Promise<WeightSource> {
  if (isTfjs(url))
    return tfjsSource(url, await files.json(url), (name) => open(beside(url, name)), label);
  if (!isIndex(url)) return unwrapped(await readSafetensors(await open(url)), url);
  const file = await shardedSource(url, await files.json(url), (name) =>
    open(beside(url, name)).then(readSafetensors, (error: unknown) => {
      if (!(error instanceof NoFileError)) throw error;
      return undefined;
    }),
  );
  return unwrapped(file, url);
}

const beside = (url: string, name: string) => url.slice(0, url.lastIndexOf('/') + 1) + name;

/** The addresses of the further files that an index or a TensorFlow.js artifact names. */
export async function shardUrls(files: WebFiles, url: string): Promise<string[]> {
  if (!isIndex(url)) return [];
  const json = await files.json(url);
  const names = isTfjs(url)
    ? manifestOf(json, url).flatMap(({ paths }) => paths)
    : new Set(weightMapOf(json, url).values());
  return [...names].map((name) => beside(url, name));
}
