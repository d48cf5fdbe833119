/**
 * A Stable Video Diffusion model on disk, in the folder layout that diffusers' `save_pretrained`
 * writes.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { finishUpdate } from '../../files/writing/folderUpdate.ts';
import type { Checkpoint, OtherUnet } from '../checkpoint.ts';
import { checkCounts } from '../configs/counts.ts';
import type { Json } from '../configs/json.ts';
import { readJson } from '../configs/jsonFile.ts';
import { checkIndex, configFile, readConfigs } from '../configs/readConfigs.ts';
import { CheckpointError, causeOf, listed, namingRefused } from '../errors.ts';
import { pickleRefusal } from '../otherModels.ts';
import { openBytes, openSafetensors } from '../safetensors/file.ts';
import { openSharded } from '../safetensors/sharded.ts';
import { tfjsSource } from '../tfjs/source.ts';
import { unwrapped } from '../weights/renamed.ts';
import type { WeightSource } from '../weights/source.ts';
import { checkInside } from './insideFolder.ts';
import {
  componentNames,
  configFiles,
  TFJS,
  variantsAmong,
  type WeightedComponent,
  weightedComponents,
  weightFileAmong,
  weightFileNames,
} from './names.ts';
import { shardsOf } from './shards.ts';

/** The components but a UNet that is replaced. */
const ownAmong = <T extends string>(names: readonly T[], unet?: OtherUnet): T[] =>
  names.filter((name) => name !== 'unet' || unet === undefined);

/**
 * Opens a model folder and reads all its configs, but no weights. `variant: 'fp16'` takes the
 * weight files with that word in their names, `unet` replaces the folder's own UNet.
 * @throws CheckpointError if the folder, `model_index.json` or a component is missing, broken, or
 * of another class.
 */
export async function openModelFolder(
  path: string,
  options: { variant?: string; unet?: OtherUnet } = {},
): Promise<Checkpoint> {
  const { variant, unet } = options;
  await namingRefused(path, () => finishUpdate(path));
  await checkInside(path, configFiles);
  const index = await readModelIndex(path);
  await checkFolders(path, unet);
  const configs = await readConfigs(
    path,
    index,
    (file) => readJson(join(path, file)),
    unet?.config,
  );

  const opened: WeightSource[] = [];
  const close = async () => {
    await Promise.all(opened.splice(0).map((source) => source.close()));
  };
  return {
    path,
    format:
      weightFileAmong(await filesIn(join(path, 'vae')), 'vae', variant) === TFJS
        ? 'tfjs'
        : 'diffusers',
    index,
    unet,
    config: (component) => structuredClone(configs[component]),
    async weights(component) {
      const config = configs[component];
      const source =
        component === 'unet' && unet
          ? await unet.weights(unet.config ?? { file: join(path, configFile('unet')), config })
          : await openWeights(path, component, variant);
      opened.push(source);
      if (component !== 'unet' || !unet) checkCounts(path, component, config, source);
      return source;
    },
    async files() {
      const weights = await Promise.all(
        ownAmong(weightedComponents, unet).map((name) => weightFiles(path, name, variant)),
      );
      const configs = configFiles.filter((file) => !unet?.config || file !== configFile('unet'));
      return [...configs, ...weights.flat()];
    },
    reopen: () => openModelFolder(path, options),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function readModelIndex(path: string): Promise<Json> {
  const files = await filesIn(path);
  if (!files.includes('model_index.json')) {
    throw new CheckpointError(
      `${path} has no model_index.json. Use a folder that diffusers' \`save_pretrained\` has ` +
        'written.',
    );
  }
  const index = await readJson(join(path, 'model_index.json'));
  checkIndex(path, index);
  return index;
}

/** @throws CheckpointError if the folder cannot be opened. */
export async function filesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const why = `Cannot open the folder ${folder}: ${causeOf(error)}.`;
    throw new CheckpointError(why, { cause: error });
  }
}

async function checkFolders(path: string, unet?: OtherUnet): Promise<void> {
  const files = await filesIn(path);
  const needed = unet?.config ? ownAmong(componentNames, unet) : componentNames;
  const missing = needed.filter((name) => !files.includes(name));
  if (missing.length > 0)
    throw new CheckpointError(
      `${path} lacks the folders ${missing.join(', ')}. Copy or download the whole model` +
        `${unet ? ", or put the UNet's config.json beside it" : ''}.`,
    );
}

async function openWeights(
  path: string,
  component: WeightedComponent,
  variant?: string,
): Promise<WeightSource> {
  const [file] = await weightFiles(path, component, variant);
  return openWeightFile(join(path, file), component);
}

/** Opens a weight file, the index of several, or a TensorFlow.js artifact. */
export async function openWeightFile(path: string, label?: string): Promise<WeightSource> {
  if (basename(path) === TFJS) {
    const open = (name: string) => openBytes(join(dirname(path), name));
    return tfjsSource(path, await readJson(path), open, label);
  }
  const file = await (/\.json$/i.test(path) ? openSharded : openSafetensors)(path);
  return unwrapped(file, path);
}

/**
 * The weight file of a component, or the index and the shards that it names, as paths within the
 * model's folder.
 */
async function weightFiles(
  path: string,
  component: WeightedComponent,
  variant?: string,
): Promise<string[]> {
  const file = `${component}/${await weightFile(path, component, variant)}`;
  await checkInside(path, [file]);
  const shards = await shardsOf(join(path, file));
  const files = [file, ...shards.map((name) => `${component}/${name}`)];
  await checkInside(path, files);
  return files;
}

async function weightFile(
  path: string,
  component: WeightedComponent,
  variant?: string,
): Promise<string> {
  const folder = join(path, component);
  const files = await filesIn(folder);
  const found = weightFileAmong(files, component, variant);
  if (found !== undefined) return found;
  const { single, index } = weightFileNames(component, variant);
  throw new CheckpointError(
    `${folder} has neither ${single} nor ${index}. ${advice(files, component)}`,
  );
}

function advice(files: string[], component: WeightedComponent): string {
  const variants = variantsAmong(files, component);
  if (variants.join() === 'none') return 'Its weights have no variants. Leave it out.';
  if (variants.length > 0) return `The variants are: ${variants.join(', ')}. Choose one of them.`;
  if (files.includes(TFJS))
    return 'Its weights are TensorFlow.js artifacts, which have no variants. Leave it out.';
  const binary = files.filter((file) => file.endsWith('.bin'));
  return binary.length > 0 ? pickleRefusal(listed(binary, 3)) : 'Copy or download the weights.';
}
