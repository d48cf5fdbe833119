/** The pipeline with loading from URLs, for browsers. */
import { type OpenUrlOptions, openUrl } from '../checkpoints/web/openUrl.ts';
import { browserMemoryLimits } from '../memory/browserLimits.ts';
import { deviceName } from '../ops/device.ts';
import { assemble } from './loading/assemble.ts';
import { SamplingPipeline } from './stableVideoDiffusion.ts';
import type { PlannedCall, Progress } from './types.ts';

/** Options of `fromPretrained` in browsers. */
export interface UrlOptions extends Pick<OpenUrlOptions, 'variant' | 'cache' | 'signal'> {
  /**
   * A call that is going to be made: if it cannot fit into memory, loading refuses before it
   * downloads any weights.
   */
  plannedFor?: PlannedCall;
  /** Called while files are downloaded, in bytes. */
  onProgress?: (progress: Progress) => void;
}

/** One still picture in, a short video out. */
export class StableVideoDiffusionPipeline extends SamplingPipeline {
  /**
   * Loads a pipeline onto the current backend from the folder at `url`, in diffusers' layout with
   * one weight file per component, or of TensorFlow.js artifacts. Files are kept in the browser's
   * cache.
   *
   * @throws CheckpointError if a file is missing or cannot be downloaded, or weights do not fit;
   * MemoryError if there is too little memory; the signal's reason if it aborts.
   */
  static async fromPretrained(
    url: string,
    { plannedFor, onProgress, ...web }: UrlOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    const onBytes = (_: string, step: number, steps = step) =>
      onProgress?.({ stage: 'downloading', step, steps });
    const files = await openUrl(url, { ...web, onBytes });
    // Nothing is known of the memory of the cpu backend.
    const known = ['wasm', 'webgpu'].includes(deviceName());
    const environment = {
      remote: true,
      limits: known ? browserMemoryLimits : undefined,
      wasmAdvice: 'Use the webgpu backend or a smaller model.',
    };
    const options = { plannedFor, weightDtype: 'float32', signal: web.signal } as const;
    return new StableVideoDiffusionPipeline(await assemble(files, environment, options));
  }
}
