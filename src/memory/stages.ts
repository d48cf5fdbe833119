/** Finds how much memory each stage of a sampling call takes, by running only its shapes. */
import * as tf from '@tensorflow/tfjs-core';
import { declareLora, type LoraRanks, loraBytes } from '../adapters/ranks.ts';
import { roundedTo, staysHalf } from '../checkpoints/weights/reader.ts';
import {
  type AnyBlock,
  type Chunking,
  limitScores,
  type Parameter,
  type Steps,
  TensorScope,
} from '../layers/index.ts';
import { declareModels, type Models, type NetworkConfigs } from '../models/declareModels.ts';
import type { ModelName } from '../models/names.ts';
import { declareHalf } from '../ops/halfWeights/held.ts';
import type { HalfDtype } from '../ops/tensorflow/computeIn.ts';
import { type Allocations, dryRunInSteps, type LimitedDevice } from './shapes/dryRun.ts';

/** The configurations of the models, what they compute in, and how their weights are held. */
export interface ModelConfigs extends NetworkConfigs {
  /** Models whose weights stay in half precision in memory. Default: none. */
  held?: Partial<Record<ModelName, 'half'>>;
  /**
   * Whether weights are held in the half precision that they are computed in, where that pays.
   * Default false.
   */
  rounds?: boolean;
}

/** The size of a call. */
export interface VideoSize {
  /** In pixels. */
  height: number;
  /** In pixels. */
  width: number;
  /** Frames of each video. */
  numFrames: number;
  /** Pictures in the batch. */
  pictures: number;
  /** Videos of all pictures together. */
  videos: number;
  /** Whether guidance is on, so that the UNet is evaluated twice per step. */
  guided: boolean;
  /** Whether the latents are decoded. */
  decoded: boolean;
  /** The branch of DeepCache, if it is used. */
  deepCacheBranch?: number;
  /** The sum of the ranks of all LoRA on each layer of the UNet, by its path, if there are any. */
  loraRanks?: LoraRanks;
}

/**
 * The settings that change how much memory a call takes, but not its result. Only
 * `decodeChunkSize` changes frames a little, at the seams of chunks.
 */
export interface MemorySettings {
  /** Whether both halves of guidance go through the UNet as one batch. */
  guidanceTogether: boolean;
  /** Bytes that the scores of attention may take at a time. */
  attentionBytes: number;
  /** Slices that the feed-forward layers of the UNet work on; undefined for all at once. */
  forwardChunking?: Chunking;
  /** Frames decoded together. */
  decodeChunkSize: number;
}

/** A weight by its key, and its bytes in memory. */
type WeightBytes = { key: string; bytes: number };

/** The memory that one stage takes besides weights. */
export interface StageMemory extends Allocations {
  stage: 'encoding' | 'sampling' | 'decoding';
  /** The model at work. */
  model: ModelName;
  /** Bytes of JavaScript arrays. */
  hostBytes: number;
}

/**
 * Models without weights, from which the memory of each stage is found. The first time, a stage
 * takes about a tenth of a second. Models are declared when they are needed, until they are
 * disposed of.
 */
export class StageModels implements Disposable {
  private readonly configs: ModelConfigs;
  private declared?: Models;
  private readonly known = new Map<string, StageMemory>();
  private readonly weights = new Map<ModelName, WeightBytes[]>();

  constructor(configs: ModelConfigs) {
    this.configs = configs;
  }

  private get models() {
    this.declared ??= declare(this.configs);
    return this.declared;
  }

  /** Frees the models, which the next use declares again. Results found so far stay. */
  [Symbol.dispose](): void {
    for (const model of Object.values(this.declared ?? {})) model.dispose();
    this.declared = undefined;
  }

  /** Every stage of a call, in order. */
  *stages(device: LimitedDevice, size: VideoSize, settings: MemorySettings): Steps<StageMemory[]> {
    const stages = [
      yield* this.encodingImage(device, size),
      yield* this.encodingVaeImage(device, size, settings),
      yield* this.sampling(device, size, settings),
    ];
    return size.decoded ? [...stages, yield* this.decoding(device, size, settings)] : stages;
  }

  /** The weights of a model, or of the block of it at `path`. */
  weightsOf(name: ModelName, path?: string): WeightBytes[] {
    const all = this.weights.get(name) ?? this.measureWeights(name);
    this.weights.set(name, all);
    return path === undefined ? all : all.filter(({ key }) => key.startsWith(`${path}.`));
  }

  private measureWeights(name: ModelName): WeightBytes[] {
    return this.models[name].parameters().map((weight) => {
      const valueBytes = heldAs(weight, this.configs, name) ? 2 : 4;
      return {
        key: weight.key,
        bytes: valueBytes * tf.util.sizeFromShape(weight.variable.shape as number[]),
      };
    });
  }

  /** The number of parameters of each model. */
  parameterCounts(): Record<ModelName, number> {
    const { unet, vae, imageEncoder } = this.models;
    return {
      unet: unet.countParams(),
      vae: vae.countParams(),
      imageEncoder: imageEncoder.countParams(),
    };
  }

  /** The bytes of the LoRA on the UNet, which stay in memory. */
  loraBytes({ loraRanks }: VideoSize): number {
    return loraRanks ? loraBytes(this.models.unet, loraRanks) : 0;
  }

  /** The bytes of features of pictures or frames at full size, which the VAE has in one tensor. */
  featureBytes({ height, width }: VideoSize, pictures: number): number {
    return 4 * pictures * height * width * (this.configs.vae.blockOutChannels?.[0] ?? 64);
  }

  /** The bytes of the UNet's first features of a number of copies of all frames. */
  unetFeatureBytes({ height, width, videos, numFrames }: VideoSize, copies: number): number {
    const { unet, vae } = this.configs;
    const scale = 2 ** ((vae.blockOutChannels?.length ?? 1) - 1);
    const pixels = Math.floor(height / scale) * Math.floor(width / scale);
    return 4 * copies * videos * numFrames * pixels * (unet.blockOutChannels?.[0] ?? 320);
  }

  private encodingImage(device: LimitedDevice, { pictures }: VideoSize): Steps<StageMemory> {
    return this.once(device, ['encoding', pictures], function* ({ imageEncoder }) {
      const { imageSize, numChannels } = imageEncoder.config;
      const allocations = yield* dryRunInSteps(device, (input) =>
        imageEncoder.steps([input(pictures, imageSize, imageSize, numChannels)]),
      );
      return { stage: 'encoding', model: 'imageEncoder', hostBytes: 0, ...allocations };
    });
  }

  private encodingVaeImage(
    device: LimitedDevice,
    size: VideoSize,
    { attentionBytes }: MemorySettings,
  ): Steps<StageMemory> {
    const { pictures, height, width } = size;
    const key = ['encoding picture', pictures, height, width, attentionBytes];
    return this.once(device, key, function* ({ vae }) {
      limitScores(vae, attentionBytes);
      const [h, w] = latentSize(size, vae).map((n) => n * vae.scaleFactor);
      const picture = [pictures, h, w, vae.config.inChannels];
      return {
        stage: 'encoding',
        model: 'vae',
        hostBytes: 2 * 4 * tf.util.sizeFromShape(picture), // the picture and the noise on it
        ...(yield* dryRunInSteps(device, (input) => vae.encodeSteps(input(...picture)))),
      };
    });
  }

  private sampling(
    device: LimitedDevice,
    size: VideoSize,
    { guidanceTogether, attentionBytes, forwardChunking }: MemorySettings,
  ): Steps<StageMemory> {
    const { height, width, numFrames, videos, guided, deepCacheBranch: branch } = size;
    const { loraRanks } = size;
    const copies = guided && guidanceTogether ? 2 : 1;
    const key = ['sampling', height, width, numFrames, videos, guided, copies];
    const others = [forwardChunking, loraRanks].map((each) => JSON.stringify(each));
    const all = [...key, branch, attentionBytes, ...others];
    return this.once(device, all, function* ({ unet, imageEncoder, vae }) {
      limitScores(unet, attentionBytes);
      if (forwardChunking) unet.enableForwardChunking(forwardChunking.size, forwardChunking.dim);
      else unet.disableForwardChunking();
      using _lora = declareLora(unet, loraRanks);
      const { inChannels, outChannels } = unet.config;
      const [frames, [h, w]] = [videos * numFrames, latentSize(size, vae)];
      const allocation = yield* dryRunInSteps(device, (input) => {
        // Kept through the evaluations: latents, the picture for both halves, and the velocity of
        // the first half.
        for (let i = 0; i < (guided ? 4 : 3); i++) input(frames, h, w, outChannels);
        const context = input(copies * videos, 1, imageEncoder.config.projectionDim);
        const latents = input(copies * frames, h, w, inChannels);
        const inputs = [latents, input(1), context, input(copies * videos, 3)];
        // What DeepCache keeps of the other half.
        if (branch !== undefined && guided && copies === 1)
          input(...unet.deepCacheState(latents.shape, branch));
        return evaluations(unet, inputs, numFrames, branch);
      });
      return { stage: 'sampling', model: 'unet', hostBytes: 0, ...allocation };
    });
  }

  private decoding(
    device: LimitedDevice,
    size: VideoSize,
    { attentionBytes, decodeChunkSize }: MemorySettings,
  ): Steps<StageMemory> {
    const { height, width, numFrames, videos } = size;
    const count = Math.min(decodeChunkSize, numFrames);
    const key = ['decoding', height, width, numFrames, videos, count, attentionBytes];
    return this.once(device, key, function* ({ vae }) {
      limitScores(vae, attentionBytes);
      const { latentChannels, outChannels } = vae.config;
      const [h, w] = latentSize(size, vae);
      const frame = h * w * vae.scaleFactor ** 2 * outChannels;
      const allocation = yield* dryRunInSteps(device, function* (input) {
        input(videos * numFrames, h, w, latentChannels);
        const frames = yield* vae.decodeSteps(input(count, h, w, latentChannels), count);
        return [frames, ...pixelsOf(frames)];
      });
      // All frames as float32 numbers, the chunk just read from the backend, and 8-bit pictures.
      const hostBytes = frame * (4 * videos * numFrames + 4 * count + videos * numFrames);
      return { stage: 'decoding', model: 'vae', hostBytes, ...allocation };
    });
  }

  /** Finds a result once for each device and key. */
  private *once(
    { device, tensorBytes }: LimitedDevice,
    key: unknown[],
    find: (models: Models) => Steps<StageMemory>,
  ): Steps<StageMemory> {
    const name = [device, tensorBytes, ...key].join();
    const found = this.known.get(name) ?? (yield* find(this.models));
    this.known.set(name, found);
    return found;
  }
}

/**
 * An evaluation of the UNet in full and, with a branch of DeepCache, a shallow one after it.
 */
function* evaluations(
  unet: Models['unet'],
  inputs: tf.Tensor[],
  numFrames: number,
  branch?: number,
): Steps<tf.Tensor[]> {
  using scope = new TensorScope();
  const full = scope.keep(yield* unet.cachedSteps(inputs, { numFrames }, branch));
  if (branch === undefined) return scope.release(full);
  const [velocity, state] = full;
  scope.free(velocity);
  return yield* unet.cachedSteps([...inputs, state], { numFrames }, branch);
}

const latentSize = ({ height, width }: VideoSize, vae: Models['vae']): number[] =>
  [height, width].map((n) => Math.floor(n / vae.scaleFactor));

/** The tensors that frames become on their way to values from 0 to 1. */
function pixelsOf(frames: tf.Tensor): tf.Tensor[] {
  const half = tf.div(frames, 2);
  const centred = tf.add(half, 0.5);
  return [half, centred, tf.clipByValue(centred, 0, 1)];
}

/** The half precision that a weight of a model is held in; undefined for float32. */
function heldAs(
  { variable, computeDtype }: Parameter,
  { held = {}, rounds = false }: ModelConfigs,
  name: ModelName,
): HalfDtype | undefined {
  const shape = variable.shape as number[];
  const rounded = rounds ? roundedTo(shape, computeDtype) : undefined;
  return rounded ?? (held[name] === 'half' && staysHalf(shape) ? 'float16' : undefined);
}

/** Declares the models, with half-precision weights as they are held. */
function declare(configs: ModelConfigs): Models {
  const models = declareModels(configs);
  for (const [name, model] of Object.entries(models)) {
    for (const weight of (model as AnyBlock).parameters()) {
      const half = heldAs(weight, configs, name as ModelName);
      if (half) declareHalf(weight.variable.read(), half);
    }
  }
  return models;
}

/** Runs steps to their end at once. */
export function drain<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
