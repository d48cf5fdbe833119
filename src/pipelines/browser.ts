/** The pipeline with loading from URLs, for browsers. */
import * as tf from '@tensorflow/tfjs-core';
import { type OpenUrlOptions, openUrl } from '../checkpoints/web/openUrl.ts';
import type { WeightDtype } from '../checkpoints/weights/reader.ts';
import { browserMemoryLimits } from '../memory/browserLimits.ts';
import { deviceName } from '../ops/device.ts';
import { type Kinds, kinds } from '../text/options.ts';
import { assemble } from './loading/assemble.ts';
import { joinBackend } from './loading/oneBackend.ts';
import { checkLoadOptions, loadOptionKinds } from './options.ts';
import { SamplingPipeline } from './stableVideoDiffusion.ts';
import type { PlannedCall, Progress } from './types.ts';

/** Options of `fromPretrained` in browsers. */
export interface UrlOptions extends Pick<OpenUrlOptions, 'variant' | 'unet' | 'cache' | 'signal'> {
  /**
   * A call that is going to be made: if it cannot fit into memory, loading refuses before it
   * downloads any weights.
   */
  plannedFor?: PlannedCall;
  /**
   * How weights are held in memory. `auto` (default): those of an F16 or BF16 checkpoint stay in
   * half precision on the webgpu backend and are widened at each use: the same results in half the
   * memory. `float32`: widened once.
   */
  weightDtype?: WeightDtype;
  /** Called while files are downloaded, in bytes. */
  onProgress?: (progress: Progress) => void;
}

const { variant, unet, signal, plannedFor, weightDtype, onProgress } = loadOptionKinds;

const urlOptionKinds: Kinds<UrlOptions> = {
  ...{ variant, unet, signal, plannedFor, weightDtype, onProgress },
  cache: kinds.text,
};

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
    options: UrlOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    checkLoadOptions('fromPretrained', options, urlOptionKinds);
    const { plannedFor, weightDtype, onProgress, ...web } = options;
    const onBytes = (_: string, step: number, steps = step) =>
      onProgress?.({ stage: 'downloading', step, steps });
    const files = await openUrl(url, { ...web, onBytes });
    const leave = await joinBackend(tf.getBackend() ?? 'auto', () => tf.ready());
    try {
      // Nothing is known of the memory of the cpu backend.
      const known = ['wasm', 'webgpu'].includes(deviceName());
      const environment = {
        remote: true,
        limits: known ? browserMemoryLimits : undefined,
        wasmAdvice: 'Use the webgpu backend or a smaller model.',
      };
      const loading = { plannedFor, weightDtype, signal: web.signal };
      const pipe = new StableVideoDiffusionPipeline(await assemble(files, environment, loading));
      pipe.onFreed = leave;
      return pipe;
    } catch (error) {
      leave();
      throw error;
    }
  }
}
