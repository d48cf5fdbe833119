/**
 * Opens a checkpoint in whatever format it is: a folder in diffusers' layout, such a folder of
 * TensorFlow.js artifacts, or an original file.
 */
import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import {
  type Component,
  isSingleFile,
  PICKLES,
  type WeightedComponent,
} from './diffusers/names.ts';
import { openModelFolder } from './diffusers/openFolder.ts';
import { CheckpointError, reason } from './errors.ts';
import { openOriginal, type SingleFileOptions } from './original/open.ts';
import { pickleRefusal } from './otherModels.ts';
import type { WeightSource } from './weights/source.ts';

/** The formats that checkpoints come in and can be converted to. */
export const formats = ['diffusers', 'original', 'tfjs'] as const;

/**
 * `diffusers`: a folder of safetensors. `original`: one safetensors file with the names of
 * Stability AI's code. `tfjs`: a folder of TensorFlow.js artifacts.
 */
export type Format = (typeof formats)[number];

/** An open checkpoint: its configs, and its weights when they are asked for. */
export interface ModelFiles {
  /** The folder or file, as it was given. */
  readonly path: string;
  /** What it is. */
  readonly format: Format;
  /** `model_index.json`. */
  readonly index: Record<string, unknown>;
  /** What was not given and had to be supposed, as one sentence. */
  readonly supposed?: string;
  /** A component's JSON config as it is, with snake_case keys. */
  config(component: Component): Record<string, unknown>;
  /**
   * Opens a component's weights. Closing the checkpoint closes them; to free them earlier, close
   * them yourself.
   * @throws CheckpointError if there are none of the variant, or they are broken.
   */
  weights(component: WeightedComponent): Promise<WeightSource>;
  /**
   * The paths of all files that the model is read from: configs, weights and what lists them;
   * within the folder, if it is one.
   * @throws CheckpointError if there are no weights of the variant.
   */
  files(): Promise<string[]>;
  /** Opens the same once more. */
  reopen(): Promise<ModelFiles>;
  /** Closes all weights opened so far. */
  close(): Promise<void>;
}

/** Options of `openModel`. */
export interface OpenOptions extends SingleFileOptions {
  /** Weight file variant of a folder, such as `fp16`. */
  variant?: string;
}

/**
 * Opens a checkpoint and reads its configs, but no weights.
 * @throws CheckpointError if it is none, is broken, or is of another model.
 */
export async function openModel(path: string, options: OpenOptions = {}): Promise<ModelFiles> {
  const { variant, ...single } = options;
  if (PICKLES.includes(extname(path))) throw new CheckpointError(pickleRefusal(path));
  const found = await stat(path).catch((error: unknown) => {
    if (!isSingleFile(path)) return undefined;
    throw new CheckpointError(`Cannot read ${path}: ${reason(error)}.`, { cause: error });
  });
  if (found?.isFile() && isSingleFile(path)) return openOriginal(path, single);
  const [given] = Object.keys(single).filter(
    (name) => single[name as keyof SingleFileOptions] !== undefined,
  );
  if (given)
    throw new CheckpointError(
      `\`${given}\` is for single files without configs, but ${path} is a folder with its own.`,
    );
  return openModelFolder(path, { variant });
}
