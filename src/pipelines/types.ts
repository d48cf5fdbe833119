/**
 * The options and results of the sampling call and of loading. Names, units and defaults are those
 * of diffusers' `StableVideoDiffusionPipeline`.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { WeightDtype } from '../checkpoints/index.ts';
import type { ComputeDtype } from '../layers/index.ts';
import type { FloatArray, RgbImage } from '../media/image.ts';
import type { OffloadMode } from '../memory/offloadModes.ts';
import type { MemoryPlan } from '../memory/plan.ts';
import type { Generator } from '../random/generator.ts';
import type { ScheduleName } from '../schedulers/index.ts';
import type { Components } from './components.ts';
import type { SamplingState } from './resume/state.ts';

export type { FloatArray, SamplingState };

/**
 * `image`: 8-bit RGB pictures. `array`: float32 in [0, 1]. `tensor`: the same as a tensor.
 * `latent`: latents, not decoded.
 */
export type OutputType = 'image' | 'array' | 'tensor' | 'latent';

/**
 * The progress of a long call: `step` of `steps` units of `stage` are done. Units of downloading,
 * comparing with hashes and loading are bytes.
 */
export interface Progress {
  /** The current part of the work. */
  stage: 'downloading' | 'comparing' | 'loading' | 'encoding' | 'sampling' | 'decoding';
  /** Units of it that are done. */
  step: number;
  /** Units of it in all. */
  steps: number;
}

/**
 * The tensors that `callbackOnStepEnd` asked for, by name. Latents are `[B, F, h, w, 4]`, also
 * clean ones. The pipeline disposes of them.
 */
export type CallbackTensors = Record<string, tf.Tensor>;

/** The pipeline, as its callbacks see it. */
export interface CallingPipeline
  extends Pick<Components, 'vae' | 'imageEncoder' | 'unet' | 'scheduler'> {
  /** All its parts. */
  readonly components: Components;
  /** Decodes latents `[videos*F, h, w, C]` to frames `[videos, F, H, W, 3]` in [0, 1]. */
  decodeLatents(
    latents: tf.Tensor4D,
    numFrames: number,
    decodeChunkSize: number,
  ): Promise<FloatArray>;
}

/**
 * Called after each sampling step. May return `{ latents }` to replace the latents; the pipeline
 * then owns the returned tensor. It can decode by `pipe.decodeLatents`, but not wait for another
 * call of `generate`, which begins after this one. Such a call is refused; in browsers only before
 * the callback's first `await`, so that it waits for ever after that.
 */
export type StepCallback = (
  pipe: CallingPipeline,
  step: number,
  timestep: number,
  tensors: CallbackTensors,
) => CallbackTensors | undefined | Promise<CallbackTensors | undefined>;

/** Options of DeepCache. */
export interface DeepCacheOptions {
  /**
   * One of so many steps runs the whole UNet; the others compute only its outer layers, around what
   * that one has kept. 1: every step runs in full.
   */
  interval: number;
  /**
   * How deep the other steps go, numbered as in the folder `DeepCache/svd` of the published code;
   * the `cache_branch_id` of its `DeepCacheSDHelper` is one more. Default 1: all of the top level,
   * where it has two layers.
   */
  branch?: number;
}

/** Options of `generate`. */
export interface GenerateOptions {
  /** Height of the video in pixels, divisible by 8. Default 576. */
  height?: number;
  /** Width of the video in pixels, divisible by 8. Default 1024. */
  width?: number;
  /** Number of frames. Default: what the UNet was trained on. */
  numFrames?: number;
  /** Sampling steps, 1 to 100,000. Default 25. Ignored if `sigmas` is given. */
  numInferenceSteps?: number;
  /** A schedule of your own: descending noise levels with the terminal value (normally 0) last. */
  sigmas?: number[];
  /**
   * Other noise levels than those of the sampler, for as many steps: `ays` is Align Your Steps,
   * which needs about half as many. Default: those of the sampler.
   */
  schedule?: ScheduleName;
  /** Guidance scale of the first frame. Default 1. */
  minGuidanceScale?: number;
  /**
   * Guidance scale of the last frame. Default 3. At 1 or below (and `minGuidanceScale` too),
   * guidance is off.
   */
  maxGuidanceScale?: number;
  /**
   * Whether both halves of guidance go through the UNet as one batch, as in diffusers. This is
   * faster; one after the other takes less memory. Default: as one batch, where that fits.
   */
  guidanceTogether?: boolean;
  /**
   * The lowest and highest noise level (sigma) with guidance, themselves included. At others, only
   * the conditional half is computed: half the work, another result. Default: all of them.
   */
  guidanceInterval?: readonly [number, number];
  /** Saves most of the UNet's work in some of the steps; changes the result. Default: none. */
  deepCache?: DeepCacheOptions;
  /** Frames per second that the motion is made for. Default 7. */
  fps?: number;
  /** Amount of motion, 0 to 255 in training. Default 127. */
  motionBucketId?: number;
  /** Noise added to the input picture, as a standard deviation. Default 0.02. */
  noiseAugStrength?: number;
  /** Frames decoded together. Default: all. Fewer take less memory and may flicker at the seams. */
  decodeChunkSize?: number;
  /** Videos per picture, 1 to 1000. Default 1. */
  numVideosPerPrompt?: number;
  /**
   * Source of randomness: one for the batch, or one per video. Default: a new one with a random
   * seed.
   */
  generator?: Generator | Generator[];
  /**
   * Start noise of unit variance, `[B, F, h, w, 4]`, instead of drawn noise. Not disposed by the
   * call.
   */
  latents?: tf.Tensor;
  /** Form of the result. Default `image`. */
  outputType?: OutputType;
  /** Called after each sampling step; may replace the latents. */
  callbackOnStepEnd?: StepCallback;
  /**
   * Names of the tensors that `callbackOnStepEnd` is called with: `latents`, `imageEmbeddings`,
   * `imageLatents`, `addedTimeIds`, and `predOriginalSample`, the clean latents that the sampler
   * expects. Default `['latents']`.
   */
  callbackOnStepEndTensorInputs?: string[];
  /** Whether to return `{ frames }` (default), or with `false` the frames themselves. */
  returnDict?: boolean;
  /**
   * Stops the call within one block, and at once while it waits for earlier calls; the promise
   * rejects with the signal's reason.
   */
  signal?: AbortSignal;
  /**
   * Called after each finished part: blocks while encoding, steps while sampling, frames while
   * decoding.
   */
  onProgress?: (progress: Progress) => void;
  /**
   * Called with the path of each finished block, such as `unet.down_blocks.0.resnets.0`, and with
   * `preprocess`, `offload`, `scheduler` or `postprocess` after the work between models. The time
   * between two calls is that of the block or work named by the second.
   */
  onBlock?: (path: string) => void;
  /**
   * Whether short evaluations may run from a recording, which is faster and reports their blocks
   * together at the end. Default: where there is no `onBlock`.
   */
  recording?: boolean;
  /**
   * Called with the tensors of each stage in diffusers' axis order: `image_embeddings` `[B, 1, C]`,
   * `image_noise` `[B, 3, H, W]`, `image_latents` `[B, 4, h, w]`, `added_time_ids` `[B, 3]`,
   * `initial_latents` and `latents_step_0`, ... `[B, F, 4, h, w]`, `frames` `[B, F, H, W, 3]`. The
   * data is a copy.
   */
  onStage?: (name: string, value: FloatArray) => void | Promise<void>;
  /**
   * Called after each sampling step (with `deepCache`, only before one in full), and after
   * `callbackOnStepEnd`, with all that the rest of the call depends on. `resumeFrom` takes it; in
   * Node, `saveSamplingState` writes it into a file.
   */
  onState?: (state: SamplingState) => void | Promise<void>;
  /**
   * A state of an earlier call, such as one that was stopped: this call does the steps that are
   * left, and returns what that one would have returned. The picture, the model and the settings
   * have to be the same. Generators are set to where they were; without `generator`, they are made
   * from the state. `onStage` is not called for what was done before, and the picture is not
   * encoded again if every step is done.
   */
  resumeFrom?: SamplingState;
}

/**
 * Frames by output type: a list of pictures per video; `[B, F, H, W, 3]` values; or, for `latent`,
 * `[B, F, h, w, 4]`.
 */
export interface Frames {
  /** A list of pictures for each video. */
  image: RgbImage[][];
  /** Values `[B, F, H, W, 3]` in [0, 1]. */
  array: FloatArray;
  /** A tensor `[B, F, H, W, 3]` in [0, 1], the caller's to dispose. */
  tensor: tf.Tensor;
  /** Latents `[B, F, h, w, 4]`, the caller's to dispose. */
  latent: tf.Tensor;
}

/** The result of `generate`. */
export interface Videos<T extends OutputType> {
  /** The videos, in the form of `outputType`. */
  frames: Frames[T];
}

/**
 * Pictures to animate: one, a list (one batch), or a tensor `[N, H, W, 3]` with values in [0, 1].
 */
export type ImageInput = RgbImage | RgbImage[] | tf.Tensor;

/** Options of `fromPretrained`. */
export interface LoadOptions {
  /** Weight file variant, such as `fp16`: reads `*.fp16.safetensors`. */
  variant?: string;
  /**
   * Another UNet to use instead of the model's own, whose weights are not read and need not be
   * there. A `.safetensors` file, or a folder with one, in diffusers' or the original names of
   * weights, also of a whole checkpoint; or `org/name` or `org/name/file` of the hub. Its config
   * is the `config.json` beside it, otherwise that of the model's own UNet.
   */
  unet?: string;
  /** Branch, tag or commit of a model of the hub. Default `main`. */
  revision?: string;
  /** Access token for the hub. Default: `HF_TOKEN`, or what `hf auth login` has stored. */
  token?: string;
  /**
   * Folder of the cache for models of the hub. Default: `HF_HUB_CACHE`, or
   * `~/.cache/huggingface/hub`.
   */
  cacheDir?: string;
  /**
   * Whether to use a model of the hub as it is in the cache, without a request. Default:
   * `HF_HUB_OFFLINE`.
   */
  localFilesOnly?: boolean;
  /**
   * Backend to switch to before loading. All pipelines of a process have to be on one. Default
   * `auto`: that of pipelines that are loaded already, else the fastest that works. `cuda` is
   * tensorflow on an NVIDIA card, or an error.
   */
  backend?: 'auto' | 'cuda' | 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';
  /** Threads of the wasm backend. */
  threads?: number;
  /**
   * The type that products and convolutions of the UNet and of the VAE's decoder compute in; all
   * else is float32. Default `float32`; `float16` and `bfloat16` need the tensorflow backend. On a
   * processor they save time only where it has instructions for them; a warning says if not. The
   * encoders, which run once a video, stay float32, that of the VAE if its configuration has
   * `force_upcast`.
   */
  dtype?: ComputeDtype;
  /**
   * Whether an NVIDIA card may round the inputs of float32 products to TensorFloat-32: faster and
   * less exact. Default false.
   */
  tf32?: boolean;
  /**
   * `none` (default): all weights stay in memory. `model`: those of a model are read before its
   * part of the work and freed after it, so that the memory of the largest one is enough, at the
   * price of reading them for every call. `sequential`: those of a residual block or transformer
   * are read while the one before computes and freed after it, at the price of reading them for
   * every evaluation of the UNet. Results are the same. With `plannedFor`, the default is the
   * fastest mode that fits into memory.
   */
  offload?: OffloadMode;
  /**
   * A call that is going to be made: if it cannot fit into memory, loading refuses at once. The
   * names are those of `generate`.
   */
  plannedFor?: PlannedCall;
  /**
   * Memory that the process may take in all, in bytes. Default: the memory that it has and that is
   * free.
   */
  memory?: number;
  /**
   * Called with the plan of the call of `plannedFor`: how it runs, and the memory that it takes.
   */
  onPlan?: (plan: MemoryPlan) => void;
  /**
   * How weights are held in memory. `auto` (default): those of an F16 or BF16 checkpoint stay in
   * half precision on the tensorflow and webgpu backends and are widened at each use: the same
   * results in half the memory. Where `dtype` saves time on the processor, those of layers that compute in it
   * are rounded to it once, as they are read. `float32`: widened once, which saves about 1 % of the time.
   */
  weightDtype?: WeightDtype;
  /** Called with the bytes that are loaded, about a hundred times. */
  onProgress?: (progress: Progress) => void;
  /** Stops the loading; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** The options that decide how much memory a call takes. Defaults are those of `generate`. */
export interface PlannedCall
  extends Pick<
    GenerateOptions,
    | 'height'
    | 'width'
    | 'numFrames'
    | 'numVideosPerPrompt'
    | 'minGuidanceScale'
    | 'maxGuidanceScale'
    | 'guidanceTogether'
    | 'deepCache'
    | 'decodeChunkSize'
    | 'outputType'
  > {
  /** Pictures in the batch. Default 1. */
  pictures?: number;
  /**
   * The sum of the ranks of the LoRA that will be on each layer of the UNet, by its path. Default:
   * none.
   */
  loraRanks?: Readonly<Record<string, number>>;
  /** Frames that the feed-forward layers will work on at a time. Default: chosen. */
  forwardChunkSize?: number;
}
