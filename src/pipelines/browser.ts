/** The pipeline with loading from URLs, for browsers. */
import * as tf from '@tensorflow/tfjs-core';
import { type LoadLoraUrlOptions, loadLoraUrlOptionKinds } from '../adapters/browser.ts';
import { guardCurrentBackend } from '../backends/browser.ts';
import { openLoraUrl } from '../checkpoints/web/openLora.ts';
import {
  type OpenSingleFileUrlOptions,
  openSingleFileUrl,
} from '../checkpoints/web/openSingleFile.ts';
import { type OpenUrlOptions, openUrl, type WebCheckpoint } from '../checkpoints/web/openUrl.ts';
import { browserLimits } from '../memory/browserLimits.ts';
import { checkOptionValues, type Kinds, kinds } from '../text/options.ts';
import { assemble } from './loading/assemble.ts';
import { offloadBlocks, offloadModels } from './loading/offload.ts';
import { joinBackend } from './loading/oneBackend.ts';
import { LoraPipeline } from './lora/pipeline.ts';
import { checkLoadOptions, loadOptionKinds } from './options.ts';
import type { LoadOptions } from './types.ts';

/** Options of `fromPretrained` in browsers. */
export interface UrlOptions
  extends Pick<OpenUrlOptions, 'variant' | 'unet' | 'cache'>,
    Pick<
      LoadOptions,
      'weightDtype' | 'offload' | 'plannedFor' | 'memory' | 'onPlan' | 'onProgress' | 'signal'
    > {}

/** Options of `fromSingleFile` in browsers. */
export interface SingleFileUrlOptions
  extends Omit<UrlOptions, 'variant'>,
    Pick<OpenSingleFileUrlOptions, 'config' | 'numFrames'> {}

const { variant, unet, weightDtype, offload, plannedFor, memory, onPlan, onProgress, signal } =
  loadOptionKinds;

const singleFileKinds: Kinds<SingleFileUrlOptions> = {
  ...{ unet, weightDtype, offload, plannedFor, memory, onPlan, onProgress, signal },
  ...{ cache: kinds.text, config: kinds.text, numFrames: kinds.count },
};
const { config, numFrames, ...urlKinds } = singleFileKinds;
const urlOptionKinds: Kinds<UrlOptions> = { ...urlKinds, variant };

const offloads = { model: offloadModels, sequential: offloadBlocks };

/** One still picture in, a short video out. */
export class StableVideoDiffusionPipeline extends LoraPipeline {
  /**
   * Loads a pipeline onto the current backend from the folder at `url`, in diffusers' layout or of
   * TensorFlow.js artifacts. Weights are downloaded once into the browser's storage, and a download
   * that was stopped goes on where it ended. Without storage or room there, they are read from the
   * server whenever they are needed.
   *
   * @throws CheckpointError if a file is missing or cannot be downloaded, or weights do not fit;
   * MemoryError if there is too little memory; the signal's reason if it aborts.
   */
  static async fromPretrained(
    url: string,
    options: UrlOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    checkLoadOptions('fromPretrained', options, urlOptionKinds);
    const { variant, unet, cache } = options;
    return StableVideoDiffusionPipeline.load(options, (web) =>
      openUrl(url, { variant, unet, cache, ...web }),
    );
  }

  /**
   * Loads a pipeline from an original file at `url`, such as `svd_xt.safetensors`, which holds only
   * weights. The configs are those of the published models, unless `config` says which.
   *
   * @throws As `fromPretrained` does, and if it is not known how many frames the model was trained
   * on.
   */
  static async fromSingleFile(
    url: string,
    options: SingleFileUrlOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    checkLoadOptions<SingleFileUrlOptions>('fromSingleFile', options, singleFileKinds);
    const { unet, cache, config, numFrames } = options;
    return StableVideoDiffusionPipeline.load(options, async (web) => {
      const files = await openSingleFileUrl(url, { unet, cache, config, numFrames, ...web });
      if (files.assumption) console.warn(files.assumption);
      return files;
    });
  }

  /**
   * Loads a LoRA onto the UNet: the `.safetensors` file at `url`, in the names of diffusers, peft or
   * kohya. Its tensors for text encoders, and others without a layer, are left aside with a
   * warning. Stored weights do not change. Waits for earlier calls, but runs at once within a
   * callback.
   * @returns Its name, for `setLoraScales` and `unloadLora`.
   * @throws CheckpointError if it is no LoRA, or one for another model, or cannot be downloaded;
   * Error if an option is wrong or its name is taken.
   */
  async loadLora(url: string, options: LoadLoraUrlOptions = {}): Promise<string> {
    checkOptionValues('loadLora', options, loadLoraUrlOptionKinds);
    return this.putLora(await openLoraUrl(url, options), options);
  }

  private static async load(
    { signal, onProgress, memory, ...loading }: Omit<UrlOptions, 'variant'>,
    open: (web: Pick<OpenUrlOptions, 'onBytes' | 'signal'>) => Promise<WebCheckpoint>,
  ): Promise<StableVideoDiffusionPipeline> {
    // Weights are read from the same files later, when nobody means this signal any more.
    const stop = new AbortController();
    const abort = () => stop.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    let isLoaded = false;
    const onBytes = (_: string, step: number, steps = step) => {
      if (!isLoaded) onProgress?.({ stage: 'downloading', step, steps });
    };
    try {
      const files = await open({ onBytes, signal: stop.signal });
      const leave = await joinBackend(tf.getBackend() ?? 'auto', () => tf.ready());
      try {
        guardCurrentBackend();
        const environment = {
          remote: true,
          limits: browserLimits(memory),
          offloads,
          wasmAdvice: "Use the webgpu backend, `offload: 'sequential'`, or a smaller model.",
        };
        const options = { ...loading, signal: stop.signal };
        const pipe = new StableVideoDiffusionPipeline(await assemble(files, environment, options));
        pipe.onFreed = leave;
        return pipe;
      } catch (error) {
        leave();
        throw error;
      }
    } finally {
      isLoaded = true;
      signal?.removeEventListener('abort', abort);
    }
  }
}
