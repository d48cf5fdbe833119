/** The pipeline with loading from disk, for Node. */
import {
  type Checkpoint,
  locateModel,
  openCheckpoint,
  type SingleFileOptions,
} from '../checkpoints/index.ts';
import { loadComponents } from './loading/assemble.ts';
import { type SaveOptions, saveComponents } from './loading/savePretrained.ts';
import { SamplingPipeline } from './stableVideoDiffusion.ts';
import type { LoadOptions } from './types.ts';

/** Options of `fromSingleFile`. */
export interface SingleFileLoadOptions
  extends Omit<LoadOptions, 'variant' | 'revision' | 'token' | 'cacheDir' | 'localFilesOnly'>,
    SingleFileOptions {}

/** One still picture in, a short video out. */
export class StableVideoDiffusionPipeline extends SamplingPipeline {
  /** Opens the checkpoint that it was loaded from, if it was. */
  private reopen?: Checkpoint['reopen'];

  /**
   * Loads a pipeline from a folder as diffusers' `save_pretrained` or `svd convert` writes it, or
   * by its name `org/name` from the hub: what is not in the cache of Python's huggingface_hub yet
   * is fetched into it.
   *
   * @throws If the model is no such pipeline or cannot be had, weights do not fit, or the backend
   * cannot be used.
   */
  static async fromPretrained(
    model: string,
    options: LoadOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    const { variant, revision, token, cacheDir, localFilesOnly, onProgress, signal } = options;
    const path = await locateModel(model, {
      variant,
      revision,
      token,
      cacheDir,
      localFilesOnly,
      onProgress,
      signal,
    });
    return StableVideoDiffusionPipeline.load(await openCheckpoint(path, { variant }), options);
  }

  /**
   * Loads a pipeline from an original file, such as `svd_xt.safetensors`, which holds weights
   * alone. The configs are those of the published models, unless `config` says which.
   *
   * @throws Like `fromPretrained`, and if it is not known how many frames the model was trained on.
   */
  static async fromSingleFile(
    path: string,
    options: SingleFileLoadOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    const { config, numFrames, ...loading } = options;
    const files = await openCheckpoint(path, { config, numFrames });
    if (files.assumption) console.warn(files.assumption);
    return StableVideoDiffusionPipeline.load(files, loading);
  }

  private static async load(
    files: Checkpoint,
    options: LoadOptions,
  ): Promise<StableVideoDiffusionPipeline> {
    const pipe = new StableVideoDiffusionPipeline(await loadComponents(files, options));
    pipe.reopen = files.reopen;
    return pipe;
  }

  /**
   * Writes the pipeline as diffusers' `save_pretrained` does, so that diffusers loads it. A folder
   * that is there already keeps its other files, such as weights of other variants. Each file
   * appears when it is complete, `model_index.json` last.
   *
   * @throws CheckpointError if the folder cannot be written; the signal's reason if that aborts.
   */
  savePretrained(folder: string, options: SaveOptions = {}): Promise<void> {
    return saveComponents(this.components, folder, options, this.reopen);
  }
}
