/** The pipeline with loading from disk, for Node. */
import { loadComponents } from './loadComponents.ts';
import { StableVideoDiffusionPipeline as SamplingPipeline } from './stableVideoDiffusion.ts';
import type { LoadOptions } from './types.ts';

/** One still picture in, a short video out. */
export class StableVideoDiffusionPipeline extends SamplingPipeline {
  /**
   * Loads a pipeline from a folder as diffusers' `save_pretrained` writes it.
   *
   * @throws If the folder is no such pipeline, weights do not fit, or the backend cannot be used.
   */
  static async fromPretrained(folder: string, options: LoadOptions = {}): Promise<StableVideoDiffusionPipeline> {
    return new StableVideoDiffusionPipeline(await loadComponents(folder, options));
  }
}
