/**
 * The UNet of Stable Video Diffusion, mirroring diffusers'
 * `models/unets/unet_spatio_temporal_condition.py`.
 */
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {
  type CallArgs,
  type Chunking,
  Conv2d,
  CrossAttnUpBlockSpatioTemporal,
  type DownBlockSpatioTemporal,
  framesOf,
  GroupNormalization,
  type Inputs,
  type LayerArgs,
  type Steps,
  StepwiseBlock,
  TensorScope,
  TimestepEmbedding,
  Timesteps,
  TransformerBlock,
  UNetMidBlockSpatioTemporal,
  type UpBlockSpatioTemporal,
} from '../layers/index.ts';
import { registerLayer } from '../layers/registry.ts';
import { layersIn } from '../layers/sublayers.ts';
import { silu } from '../ops/index.ts';
import { checkValue, optional, whole } from '../text/kinds.ts';
import { countBranches, skipsOfBranch, splitUpPath, stateShape } from './deepCache.ts';
import { type PerBlock, perBlock } from './perBlock.ts';
import { downBlock, upBlock } from './unetBlocks.ts';
import { unetChecks, unetMisfits } from './unetConfig.ts';

/** The keys of `unet/config.json` in camelCase; defaults are diffusers' class defaults. */
export interface UNetSpatioTemporalConditionConfig extends LayerArgs {
  /** Side of the latents in training; the pipeline's fallback for sizes. */
  sampleSize?: number | null;
  /** Noisy latents and picture latents together. Default 8. */
  inChannels?: number;
  /** Default 4. */
  outChannels?: number;
  /** Default three `CrossAttnDownBlockSpatioTemporal` and a `DownBlockSpatioTemporal`. */
  downBlockTypes?: string[];
  /** Default an `UpBlockSpatioTemporal` and three `CrossAttnUpBlockSpatioTemporal`. */
  upBlockTypes?: string[];
  /** Default [320, 640, 1280, 1280]. */
  blockOutChannels?: number[];
  /** Width of the sinusoids of each added time id. Default 256. */
  additionTimeEmbedDim?: number;
  /** Width of all of them together. Default 768. */
  projectionClassEmbeddingsInputDim?: number;
  /** Default 2. */
  layersPerBlock?: PerBlock<number>;
  /** Default 1024. */
  crossAttentionDim?: PerBlock<number>;
  /** Default 1. */
  transformerLayersPerBlock?: PerBlock<number | number[]>;
  /** Default [5, 10, 20, 20]. */
  numAttentionHeads?: PerBlock<number>;
  /** Frames in training. Default 25. */
  numFrames?: number;
}

/**
 * Predicts the velocity of noisy latents.
 *
 * Inputs `[sample [B*F, h, w, inChannels], timestep [B], context [B, L, crossAttentionDim],
 * addedTimeIds [B, 3]]`, kwargs `{ numFrames }` (default: `numFrames` of the constructor) ->
 * `[B*F, h, w, outChannels]`. `timestep` may hold one value for the whole batch. The batch is
 * ordered by video, frames in a row.
 */
export class UNetSpatioTemporalConditionModel extends StepwiseBlock<UNetSpatioTemporalConditionConfig> {
  static className = 'UNetSpatioTemporalConditionModel';
  static override ignoresOthers = true;
  static override checks = unetChecks;
  private readonly convIn: Conv2d;
  private readonly timeProj: Timesteps;
  private readonly timeEmbedding: TimestepEmbedding;
  private readonly addTimeProj: Timesteps;
  private readonly addEmbedding: TimestepEmbedding;
  private readonly downBlocks: DownBlockSpatioTemporal[];
  private readonly midBlock: UNetMidBlockSpatioTemporal;
  private readonly upBlocks: UpBlockSpatioTemporal[];
  private readonly convNormOut: GroupNormalization;
  private readonly convOut: Conv2d;
  private chunking?: Chunking;

  constructor(config: UNetSpatioTemporalConditionConfig = {}) {
    super(config);
    const {
      inChannels,
      outChannels,
      blockOutChannels,
      downBlockTypes,
      upBlockTypes,
      additionTimeEmbedDim,
    } = this.config;
    const levels = downBlockTypes.length;
    const heads = perBlock(this.config.numAttentionHeads, levels);
    const contextDims = perBlock(this.config.crossAttentionDim, levels);
    const layers = perBlock(this.config.layersPerBlock, levels);
    const transformerLayers = perBlock<number | number[]>(
      this.config.transformerLayersPerBlock,
      levels,
    );
    const tembChannels = 4 * blockOutChannels[0];
    /** The arguments of the attention blocks of level i. */
    const attention = (i: number) => ({
      transformerLayersPerBlock: transformerLayers[i],
      numAttentionHeads: heads[i],
      crossAttentionDim: contextDims[i],
    });

    this.convIn = this.child(
      new Conv2d({ name: 'conv_in', inChannels, outChannels: blockOutChannels[0], padding: 1 }),
    );
    this.timeProj = this.child(
      new Timesteps({ name: 'time_proj', numChannels: blockOutChannels[0] }),
    );
    this.timeEmbedding = this.child(
      new TimestepEmbedding({
        name: 'time_embedding',
        inChannels: blockOutChannels[0],
        timeEmbedDim: tembChannels,
      }),
    );
    this.addTimeProj = this.child(
      new Timesteps({ name: 'add_time_proj', numChannels: additionTimeEmbedDim }),
    );
    this.addEmbedding = this.child(
      new TimestepEmbedding({
        name: 'add_embedding',
        inChannels: this.config.projectionClassEmbeddingsInputDim,
        timeEmbedDim: tembChannels,
      }),
    );
    this.downBlocks = downBlockTypes.map((type, i) =>
      this.child(
        downBlock(type, {
          name: `down_blocks.${i}`,
          inChannels: blockOutChannels[Math.max(0, i - 1)],
          outChannels: blockOutChannels[i],
          tembChannels,
          numLayers: layers[i],
          addDownsample: i < levels - 1,
          ...attention(i),
        }),
      ),
    );
    this.midBlock = this.child(
      new UNetMidBlockSpatioTemporal({
        name: 'mid_block',
        inChannels: blockOutChannels[levels - 1],
        tembChannels,
        ...attention(levels - 1),
      }),
    );
    this.upBlocks = upBlockTypes.map((type, i) => {
      const level = levels - 1 - i;
      return this.child(
        upBlock(type, {
          name: `up_blocks.${i}`,
          inChannels: blockOutChannels[Math.max(0, level - 1)],
          prevOutputChannel: blockOutChannels[Math.min(levels - 1, level + 1)],
          outChannels: blockOutChannels[level],
          tembChannels,
          numLayers: layers[level] + 1,
          addUpsample: i < levels - 1,
          ...attention(level),
        }),
      );
    });
    this.convNormOut = this.child(
      new GroupNormalization({
        name: 'conv_norm_out',
        numChannels: blockOutChannels[0],
        eps: 1e-5,
      }),
    );
    this.convOut = this.child(
      new Conv2d({ name: 'conv_out', inChannels: blockOutChannels[0], outChannels, padding: 1 }),
    );
  }

  override get config() {
    const crossDown = 'CrossAttnDownBlockSpatioTemporal';
    const crossUp = 'CrossAttnUpBlockSpatioTemporal';
    return {
      sampleSize: null,
      inChannels: 8,
      outChannels: 4,
      downBlockTypes: [crossDown, crossDown, crossDown, 'DownBlockSpatioTemporal'],
      upBlockTypes: ['UpBlockSpatioTemporal', crossUp, crossUp, crossUp],
      blockOutChannels: [320, 640, 1280, 1280],
      additionTimeEmbedDim: 256,
      projectionClassEmbeddingsInputDim: 768,
      layersPerBlock: 2,
      crossAttentionDim: 1024,
      transformerLayersPerBlock: 1,
      numAttentionHeads: [5, 10, 20, 20],
      numFrames: 25,
      ...this.args,
    };
  }

  override misfits() {
    return unetMisfits(this.config);
  }

  /**
   * Evaluates feed-forwards in slices, which takes less memory. The result is the same.
   *
   * @param chunkSize Entries per slice; it has to divide the dimension. Default 1.
   * @param dim 0: slices of frames, 1: slices of tokens. Temporal blocks always take slices of
   * frames. Default 0.
   * @throws Error if one is another value.
   */
  enableForwardChunking(chunkSize = 1, dim = 0): void {
    checkValue('chunkSize', chunkSize, optional(whole(0)));
    if (dim !== 0 && dim !== 1)
      throw new Error(`Make sure to set \`dim\` to either 0 or 1, not ${dim}`);
    this.chunking = { size: chunkSize || 1, dim };
    this.setChunks(this.chunking.size, dim);
  }

  /** Stops chunking: each feed-forward layer runs in one pass again. */
  disableForwardChunking(): void {
    this.chunking = undefined;
    this.setChunks(undefined, 0);
  }

  private setChunks(size: number | undefined, dim: 0 | 1): void {
    for (const block of layersIn(this, TransformerBlock)) block.setChunkFeedForward(size, dim);
  }

  /** The slices that feed-forwards are evaluated in, if they are. */
  get forwardChunking(): Chunking | undefined {
    return this.chunking;
  }

  /** The embedding of timestep and added ids for every frame: `[B*F, 4 * blockOutChannels[0]]`. */
  private *embed(timestep: tf.Tensor, ids: tf.Tensor, numFrames: number): Steps<tf.Tensor> {
    using scope = new TensorScope();
    const batch = ids.shape[0];
    const time = yield* scope.run(this.timeEmbedding, () => [this.timeProj.call(timestep)]);
    const sinusoids = () => [tf.reshape(this.addTimeProj.call(tf.reshape(ids, [-1])), [batch, -1])];
    const added = yield* scope.run(this.addEmbedding, sinusoids); // [B, T]
    const embedding = scope.tidy(() => {
      const both = tf.expandDims(tf.add(time, added), 1); // [B, 1, T]
      return tf.reshape(tf.tile(both, [1, numFrames, 1]), [batch * numFrames, -1]);
    });
    return scope.release(embedding);
  }

  override get inputAxes(): Inputs {
    const {
      inChannels,
      crossAttentionDim,
      projectionClassEmbeddingsInputDim,
      additionTimeEmbedDim,
    } = this.config;
    return {
      sample: ['B*F', 'H', 'W', inChannels],
      timestep: ['n'],
      context: ['b', 'L', typeof crossAttentionDim === 'number' ? crossAttentionDim : 'c'],
      addedTimeIds: ['B', projectionClassEmbeddingsInputDim / additionTimeEmbedDim],
    };
  }

  *steps(inputs: tf.Tensor[], kwargs: CallArgs): Steps<tf.Tensor> {
    const [output] = yield* this.cachedSteps(inputs, kwargs);
    return output;
  }

  /** How many branches DeepCache has to choose from. */
  get deepCacheBranches(): number {
    return countBranches(this.upBlocks);
  }

  /** The shape of the state that a branch of DeepCache keeps of latents `[B*F, h, w, C]`. */
  deepCacheState(latents: readonly number[], branch: number): number[] {
    return stateShape(this.upBlocks, latents, branch);
  }

  /**
   * As `steps`, with DeepCache: an evaluation in full also returns the state to keep,
   * `[B*F, h', w', C]`. A shallow one takes it as one more input, and computes only the outer layers
   * around it.
   * @param branch How many layers those are. Default: the evaluation is in full, and keeps nothing.
   * @throws Error if the UNet lacks the branch.
   */
  *cachedSteps(
    [sample, timestep, context, ids, kept]: tf.Tensor[],
    kwargs: CallArgs,
    branch?: number,
  ): Steps<tf.Tensor[]> {
    const numFrames = framesOf(kwargs, sample);
    const { before, behind } = splitUpPath(this.upBlocks, branch);
    const shallow = kept !== undefined && branch !== undefined;
    const mostSkips = shallow ? skipsOfBranch(branch) : Number.POSITIVE_INFINITY;
    using scope = new TensorScope();
    const temb = scope.keep(yield* this.embed(timestep, ids, numFrames)); // [B*F, T]

    let h = yield* scope.run(this.convIn, [sample]); // [B*F, H, W, C]
    const skips = [h];
    for (const block of this.downBlocks) {
      if (skips.length === mostSkips) break;
      const layers: CallArgs['layers'] = [0, mostSkips - skips.length];
      const outputs = yield* scope.run(block, [h, temb, context], { numFrames, layers });
      skips.push(...outputs);
      h = outputs[outputs.length - 1]; // [B*F, H/2, W/2, C]
    }

    h = shallow ? kept : yield* scope.run(this.midBlock, [h, temb, context], { numFrames });

    // Where sizes do not halve evenly, each upsampler aims at the size of the next skip.
    const factor = 2 ** (this.upBlocks.length - 1);
    const even = sample.shape.slice(1, 3).every((length) => length % factor === 0);
    const toKeep: tf.Tensor[] = [];
    for (const part of shallow ? behind : [...before, ...behind]) {
      const state = h;
      if (branch !== undefined && !shallow && part === behind[0])
        toKeep.push(scope.tidy(() => tf.clone(state)));
      const { block, layers } = part;
      const own = skips.splice(-part.skips);
      const next = even ? undefined : skips.at(-1)?.shape;
      const upsampleSize: CallArgs['upsampleSize'] = next && [next[1], next[2]];
      const contexts = block instanceof CrossAttnUpBlockSpatioTemporal ? [context] : [];
      const inputs = [h, temb, ...contexts, ...own];
      const upsampled = yield* scope.run(block, inputs, { numFrames, upsampleSize, layers });
      h = scope.replace([h, ...own], upsampled); // [B*F, 2H, 2W, C]
    }

    h = scope.replace(h, yield* scope.run(this.convNormOut, [h]));
    h = scope.map(h, silu);
    const output = yield* scope.run(this.convOut, [h]); // [B*F, H, W, outChannels]
    return scope.release([output, ...toKeep]);
  }

  override computeOutputShape(inputShapes: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return [...(inputShapes[0] as tfl.Shape).slice(0, -1), this.config.outChannels];
  }
}
registerLayer(UNetSpatioTemporalConditionModel);
