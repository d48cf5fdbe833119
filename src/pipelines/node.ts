/** The pipeline with loading from disk, for Node. */
import { type LoadLoraOptions, loadLoraOptionKinds } from '../adapters/index.ts';
import { type SaveLoraOptions, writeLora } from '../adapters/saveLora.ts';
import { type BackendChoice, useBackend } from '../backends/index.ts';
import {
  type Checkpoint,
  locateUnet,
  locateWithUnet,
  openCheckpoint,
  type SingleFileOptions,
} from '../checkpoints/index.ts';
import { findLora } from '../checkpoints/lora/open.ts';
import { memoryLimits } from '../memory/limits.ts';
import type { Device } from '../memory/shapes/allocators.ts';
import { deviceName } from '../ops/device.ts';
import { recordGraph } from '../recording/recordGraph.ts';
import { checkOptionValues, checkPath, kinds } from '../text/options.ts';
import { assemble, type Environment } from './loading/assemble.ts';
import { offloadBlocks, offloadModels } from './loading/offload.ts';
import { joinBackend } from './loading/oneBackend.ts';
import { type SaveOptions, saveComponents, saveOptionKinds } from './loading/savePretrained.ts';
import { LoraPipeline } from './lora/pipeline.ts';
import { checkLoadOptions, loadOptionKinds } from './options.ts';
import type { LoadOptions } from './types.ts';

const offloads = { model: offloadModels, sequential: offloadBlocks };

/** Options of `fromSingleFile`. */
export interface SingleFileLoadOptions
  extends Omit<LoadOptions, 'variant' | 'revision' | 'token' | 'cacheDir' | 'localFilesOnly'>,
    SingleFileOptions {}

const { variant, revision, token, cacheDir, localFilesOnly, ...loadingKinds } = loadOptionKinds;
const singleFileKinds = { ...loadingKinds, config: kinds.text, numFrames: kinds.count };

/** One still picture in, a short video out. */
export class StableVideoDiffusionPipeline extends LoraPipeline {
  /** Opens the checkpoint that it was loaded from, if it was. */
  private reopen?: Checkpoint['reopen'];

  /**
   * Loads a pipeline from a folder as diffusers' `save_pretrained` or `svd convert` writes it, or
   * by its name `org/name` from the hub: what is not in the cache of Python's huggingface_hub yet
   * is fetched into it.
   *
   * @throws CheckpointError if the model is of another class, is broken or cannot be downloaded, or
   * its weights do not fit its configs; MemoryError if there is too little memory; Error if the
   * backend cannot be used; the signal's reason if it aborts.
   */
  static async fromPretrained(
    model: string,
    options: LoadOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    checkPath('fromPretrained', model);
    checkLoadOptions('fromPretrained', options, loadOptionKinds);
    const { path, unet } = await locateWithUnet(model, options.unet, options);
    const checkpoint = await openCheckpoint(path, { variant: options.variant, unet });
    return StableVideoDiffusionPipeline.load(checkpoint, options);
  }

  /**
   * Loads a pipeline from an original file, such as `svd_xt.safetensors`, which holds only weights.
   * The configs are those of the published models, unless `config` says which.
   *
   * @throws As `fromPretrained` does, and if it is not known how many frames the model was trained
   * on.
   */
  static async fromSingleFile(
    path: string,
    options: SingleFileLoadOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    checkPath('fromSingleFile', path);
    checkLoadOptions<SingleFileLoadOptions>('fromSingleFile', options, singleFileKinds);
    const { config, numFrames, unet: name, ...loading } = options;
    const unet = name === undefined ? undefined : await locateUnet(name, options);
    const files = await openCheckpoint(path, { config, numFrames, unet });
    if (files.assumption) console.warn(files.assumption);
    return StableVideoDiffusionPipeline.load(files, loading);
  }

  private static async load(
    checkpoint: Checkpoint,
    options: LoadOptions,
  ): Promise<StableVideoDiffusionPipeline> {
    await using files = checkpoint;
    const { backend = 'auto', threads, tf32 } = options;
    const leave = await joinBackend(backend, (name) =>
      useBackend(name as BackendChoice, { threads, tf32 }),
    );
    try {
      const parts = await assemble(files, environmentOf(options), options);
      const pipe = new StableVideoDiffusionPipeline(parts);
      pipe.reopen = files.reopen;
      pipe.onFreed = leave;
      return pipe;
    } catch (error) {
      leave();
      throw error;
    }
  }

  /**
   * Loads a LoRA onto the UNet: a `.safetensors` file, or a folder with one, in the names of diffusers,
   * peft or kohya; or `org/name` or `org/name/file` of the hub. Its tensors for text encoders, and
   * others without a layer, are left aside with a warning. Stored weights do not change. Waits for earlier calls, but runs at once within a callback.
   * @returns Its name, for `setLoraScales` and `unloadLora`.
   * @throws CheckpointError if it is no LoRA, or one for another model; Error if an option is wrong
   * or its name is taken.
   */
  async loadLora(lora: string, options: LoadLoraOptions = {}): Promise<string> {
    checkPath('loadLora', lora);
    checkOptionValues('loadLora', options, loadLoraOptionKinds);
    return this.putLora(await findLora(lora, options), options);
  }

  /**
   * Writes a LoRA of the UNet in the layout of peft, with which diffusers and peft load it. Its
   * scale is not in the file. Waits for earlier calls, but runs at once within a callback.
   * @throws CheckpointError if the file cannot be written; Error if there is no LoRA of that name,
   * or several and no name.
   */
  async saveLora(path: string, options: SaveLoraOptions = {}): Promise<void> {
    await this.inTurn(() => writeLora(this.loraLayers, path, options, 'unet.'), {
      withinCallback: true,
    });
  }

  /**
   * Writes the pipeline as diffusers' `save_pretrained` does, so that diffusers loads it. A folder
   * that is there already keeps its other files, such as weights of other variants, and holds the
   * old model or the new one whole, whatever ends the process. Fused LoRA are in its weights; a
   * warning names others, which are not. Waits for earlier calls, but runs
   * at once within a callback.
   *
   * @throws CheckpointError if the folder cannot be written; Error if an option is unknown or the
   * pipeline has been disposed of; the signal's reason if that aborts.
   */
  async savePretrained(folder: string, options: SaveOptions = {}): Promise<void> {
    checkPath('savePretrained', folder);
    checkOptionValues('savePretrained', options, saveOptionKinds);
    this.warnOfLora(folder);
    await this.inTurn(() => saveComponents(this.components, folder, options, this.reopen), {
      signal: options.signal,
      withinCallback: true,
    });
  }
}

/** Node, on the current backend. */
function environmentOf({ memory }: LoadOptions): Environment {
  const device = deviceName() as Device;
  return {
    limits: () => memoryLimits(device, memory),
    offloads,
    // A session takes its inputs from the processor's memory: on a card, every run would move the
    // weights there.
    recordGraph: device === 'tensorflow-cpu' ? recordGraph : undefined,
    wasmAdvice:
      "Use the tensorflow backend (`svd setup tensorflow`), `offload: 'sequential'` " +
      '(`--offload sequential`), or a smaller model.',
  };
}
