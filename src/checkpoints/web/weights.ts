/** Finds and opens the weights in a folder behind a URL. */
import { TFJS, type WeightedComponent, weightFileNames } from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { type ByteReader, readSafetensors } from '../safetensors/reader.ts';
import { manifestOf } from '../tfjs/manifest.ts';
import { tfjsSource } from '../tfjs/source.ts';
import type { WeightSource } from '../weights/source.ts';
import { type WebOptions, webExists, webJson } from './files.ts';

/** Which weights to read, and how. */
export interface WeightUrlOptions extends WebOptions {
  /** Weight file variant, such as `fp16`. */
  variant?: string;
}

/** The address of a folder, with a slash at its end. @throws CheckpointError if it is none. */
export function folderUrl(url: string | URL): string {
  const address = String(url);
  const base = globalThis.location?.href;
  if (address !== '' && URL.canParse(address, base))
    return new URL(address.endsWith('/') ? address : `${address}/`, base).href;
  throw new CheckpointError(`${quoted(address)} is not an address. Use that of a model's folder.`);
}

const weightNames = (component: WeightedComponent, variant?: string) => [
  weightFileNames(component, variant).single,
  ...(variant === undefined ? [TFJS] : []),
];

/** The address of the weights of a component in a folder, if there are any. */
export async function findWeights(
  folder: string,
  component: WeightedComponent,
  { variant, ...web }: WeightUrlOptions,
): Promise<string | undefined> {
  for (const name of weightNames(component, variant))
    if (await webExists(folder + name, web)) return folder + name;
  return undefined;
}

/** The same. @throws CheckpointError if there are none. */
export async function weightUrl(
  folder: string,
  component: WeightedComponent,
  options: WeightUrlOptions,
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

/** The addresses of the further files of a TensorFlow.js artifact. */
export async function shardUrls(url: string, web: WebOptions): Promise<string[]> {
  if (!url.endsWith(`/${TFJS}`)) return [];
  const groups = manifestOf(await webJson(url, web), url);
  return groups.flatMap(({ paths }) => paths.map((name) => beside(url, name)));
}
