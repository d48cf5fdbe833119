/** The pipeline with loading from disk, for Node. */
import { locateModel } from '../checkpoints/index.ts';
import { loadComponents } from './loadComponents.ts';
import { StableVideoDiffusionPipeline as SamplingPipeline } from './stableVideoDiffusion.ts';
import type { LoadOptions } from './types.ts';

/** One still picture in, a short video out. */
export class StableVideoDiffusionPipeline extends SamplingPipeline {
  /**
   * Loads a pipeline from a folder as diffusers' `save_pretrained` writes it, or by its name `org/name` from the hub: what is not in the
   * cache of Python's huggingface_hub yet is fetched into it.
   *
   * @throws If the model is no such pipeline or cannot be had, weights do not fit, or the backend cannot be used.
   */
  static async fromPretrained(model: string, options: LoadOptions = {}): Promise<StableVideoDiffusionPipeline> {
    const { variant, revision, token, cacheDir, localFilesOnly, onProgress, signal } = options;
    const folder = await locateModel(model, { variant, revision, token, cacheDir, localFilesOnly, onProgress, signal });
    return new StableVideoDiffusionPipeline(await loadComponents(folder, options));
  }
}
