/** A Stable Video Diffusion model on disk, in the folder layout that diffusers' `save_pretrained` writes. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, listed, quoted, reason } from './errors.ts';
import {
  type Component,
  componentNames,
  components,
  configFiles,
  variantsAmong,
  type WeightedComponent,
  weightedComponents,
  weightFileAmong,
  weightFileNames,
} from './modelFiles.ts';
import { openSafetensors } from './safetensorsFile.ts';
import { openSharded, readIndex, readJson } from './shardedSource.ts';
import type { WeightSource } from './weightSource.ts';

export type { Component, WeightedComponent };

/** An open model folder: its configs, and its weights when they are asked for. */
export interface ModelFolder {
  /** The folder, as it was given. */
  readonly path: string;
  /** The `variant` that weights are read of, if any. */
  readonly variant?: string;
  /** `model_index.json`. */
  readonly index: Record<string, unknown>;
  /** A component's JSON config as it is, with snake_case keys. */
  config(component: Component): Record<string, unknown>;
  /**
   * Opens a component's weights. The folder closes them; to free them earlier, close them yourself.
   * @throws CheckpointError if there are none of the variant, or they are broken.
   */
  weights(component: WeightedComponent): Promise<WeightSource>;
  /**
   * The paths within the folder of all files that the model is read from: configs, weights and their index files.
   * @throws CheckpointError if there are no weights of the variant.
   */
  files(): Promise<string[]>;
  /** Closes all weights opened so far. */
  close(): Promise<void>;
}

/**
 * Opens a model folder and reads all its configs, but no weights. `variant: 'fp16'` takes the weight files with that word in their names.
 * @throws CheckpointError if the folder, `model_index.json` or a component is missing, broken, or of another class.
 */
export async function openModelFolder(path: string, options: { variant?: string } = {}): Promise<ModelFolder> {
  const { variant } = options;
  const index = await readModelIndex(path);
  checkComponents(path, index);
  await checkFolders(path);
  const configs = new Map<Component, Record<string, unknown>>();
  for (const name of componentNames) configs.set(name, await readConfig(path, name));

  const opened: WeightSource[] = [];
  return {
    path,
    variant,
    index,
    config: (component) => structuredClone(configs.get(component)!),
    async weights(component) {
      const source = await openWeights(path, component, variant);
      opened.push(source);
      return source;
    },
    async files() {
      const weights = await Promise.all(weightedComponents.map((component) => weightFiles(path, component, variant)));
      return [...configFiles, ...weights.flat()];
    },
    async close() {
      await Promise.all(opened.splice(0).map((source) => source.close()));
    },
  };
}

async function readModelIndex(path: string): Promise<Record<string, unknown>> {
  const files = await list(path);
  if (!files.includes('model_index.json')) {
    throw new CheckpointError(`${path} has no model_index.json. Give a folder as diffusers' \`save_pretrained\` writes it.`);
  }
  const index = await readJson(join(path, 'model_index.json'));
  if (index._class_name !== 'StableVideoDiffusionPipeline') {
    throw new CheckpointError(
      `${path} holds a model for ${quoted(index._class_name)}, not for "StableVideoDiffusionPipeline". Give a Stable Video Diffusion model.`,
    );
  }
  return index;
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw new CheckpointError(`Cannot open the folder ${folder}: ${reason(error)}.`, { cause: error });
  }
}

function checkComponents(path: string, index: Record<string, unknown>): void {
  const classOf = (name: Component) => {
    const entry = index[name]; // [library, class], both null if left out
    return Array.isArray(entry) && typeof entry[1] === 'string' ? entry[1] : undefined;
  };
  const missing = componentNames.filter((name) => classOf(name) === undefined);
  if (missing.length > 0) {
    throw new CheckpointError(`${path}/model_index.json lacks ${missing.join(', ')}: a model needs all of ${componentNames.join(', ')}.`);
  }
  for (const name of componentNames) {
    const allowed: readonly string[] = components[name].classes;
    const found = classOf(name)!;
    if (allowed.includes(found)) continue;
    throw new CheckpointError(`${path}/model_index.json: ${name} is of the class ${quoted(found)}, but has to be ${allowed.join(' or ')}.`);
  }
}

async function checkFolders(path: string): Promise<void> {
  const files = await list(path);
  const missing = componentNames.filter((name) => !files.includes(name));
  if (missing.length > 0) throw new CheckpointError(`${path} lacks the folders ${missing.join(', ')}. Copy or download the whole model.`);
}

async function readConfig(path: string, name: Component): Promise<Record<string, unknown>> {
  const config = await readJson(join(path, name, components[name].config));
  if (name === 'feature_extractor') {
    const allowed: readonly string[] = components[name].classes;
    // Newer releases of transformers write `image_processor_type`, older ones `feature_extractor_type`.
    const found = config.image_processor_type ?? config.feature_extractor_type;
    if (typeof found !== 'string' || !allowed.includes(found)) {
      throw new CheckpointError(`${path}/${name} is of the type ${quoted(found)}, but has to be ${allowed.join(' or ')}.`);
    }
  }
  return config;
}

async function openWeights(path: string, component: WeightedComponent, variant?: string): Promise<WeightSource> {
  const file = join(path, component, await weightFile(path, component, variant));
  return file.endsWith('.json') ? openSharded(file) : openSafetensors(file);
}

/** The weight file of a component, or the index and the shards that it names, as paths within the model's folder. */
async function weightFiles(path: string, component: WeightedComponent, variant?: string): Promise<string[]> {
  const file = await weightFile(path, component, variant);
  const shards = file.endsWith('.json') ? new Set((await readIndex(join(path, component, file))).values()) : [];
  return [file, ...shards].map((name) => `${component}/${name}`);
}

async function weightFile(path: string, component: WeightedComponent, variant?: string): Promise<string> {
  const folder = join(path, component);
  const files = await list(folder);
  const found = weightFileAmong(files, component, variant);
  if (found !== undefined) return found;
  const { single, index } = weightFileNames(component, variant);
  throw new CheckpointError(`${folder} has neither ${single} nor ${index}. ${advice(files, component)}`);
}

function advice(files: string[], component: WeightedComponent): string {
  const variants = variantsAmong(files, component);
  if (variants.length > 0) return `The variants there are: ${variants.join(', ')}. Ask for one of them.`;
  const binary = files.filter((file) => file.endsWith('.bin'));
  if (binary.length > 0) {
    return `The weights are in PyTorch's own format (${listed(binary, 3)}): convert them by diffusers' \`save_pretrained(folder, safe_serialization=True)\`.`;
  }
  return 'Copy or download the weights.';
}
