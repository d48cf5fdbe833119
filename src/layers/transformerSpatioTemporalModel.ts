/** A transformer over space and time. */
import * as tf from '@tensorflow/tfjs-core';
import { count, optional } from '../text/kinds.ts';
import { AlphaBlender } from './alphaBlender.ts';
import { BasicTransformerBlock, TemporalBasicTransformerBlock } from './basicTransformerBlock.ts';
import { Block, type CallArgs, type FramesArgs, framesOf, type Inputs } from './block.ts';
import { type Checks, indivisible, layerCountOrNone, notProduct } from './checks.ts';
import { TimestepEmbedding, Timesteps } from './embeddings.ts';
import { Linear } from './linear.ts';
import { GroupNormalization } from './normalization.ts';
import { registerLayer } from './registry.ts';

/** Arguments of `TransformerSpatioTemporalModel`. */
export interface TransformerSpatioTemporalModelArgs extends FramesArgs {
  /** Default 16. */
  numAttentionHeads?: number;
  /** Default 88. */
  attentionHeadDim?: number;
  /** Channels of input and output: `numAttentionHeads` * `attentionHeadDim`. Default 320. */
  inChannels?: number;
  /** Pairs of transformer blocks. Default 1. */
  numLayers?: number;
  /** Width of the context; left out: the layer takes none and has only self-attention. */
  crossAttentionDim?: number;
}

/**
 * A transformer over space and time: pairs of a spatial and a temporal block, blended.
 *
 * Inputs `[x [B*F, H, W, inChannels], context [B*F or B, L, crossAttentionDim], imageOnlyIndicator
 * [B, F]]` (context only with `crossAttentionDim`; the indicator may be left out), kwargs `{
 * numFrames }` -> the shape of x. Temporal blocks use the context of each video's first frame.
 *
 * Equals `TransformerSpatioTemporalModel` of diffusers'
 * `models/transformers/transformer_temporal.py`.
 *
 * @example
 * ```ts
 * const transformer = new TransformerSpatioTemporalModel({
 *   inChannels: 64,
 *   numAttentionHeads: 4,
 *   attentionHeadDim: 16,
 *   crossAttentionDim: 1024,
 * });
 * const [frames, context] = [tf.randomNormal([2 * 7, 8, 12, 64]), tf.randomNormal([2, 1, 1024])];
 * const y = transformer.apply([frames, context], { numFrames: 7 }); // [14, 8, 12, 64]
 * ```
 */
export class TransformerSpatioTemporalModel extends Block<TransformerSpatioTemporalModelArgs> {
  static className = 'TransformerSpatioTemporalModel';
  static override checks: Checks = {
    numAttentionHeads: count,
    attentionHeadDim: count,
    inChannels: count,
    numLayers: layerCountOrNone,
    crossAttentionDim: optional(count),
  };
  private readonly norm: GroupNormalization;
  private readonly projIn: Linear;
  private readonly transformerBlocks: BasicTransformerBlock[];
  private readonly temporalTransformerBlocks: TemporalBasicTransformerBlock[];
  private readonly timePosEmbed: TimestepEmbedding;
  private readonly timeProj: Timesteps;
  private readonly timeMixer: AlphaBlender;
  private readonly projOut: Linear;

  constructor(args: TransformerSpatioTemporalModelArgs = {}) {
    super(args);
    const { numAttentionHeads, attentionHeadDim, crossAttentionDim, inChannels, numLayers } =
      this.config;
    const dim = numAttentionHeads * attentionHeadDim;
    const blockArgs = { dim, numAttentionHeads, attentionHeadDim, crossAttentionDim };
    const layers = Array.from({ length: numLayers }, (_, i) => i);
    this.norm = this.child(
      new GroupNormalization({ name: 'norm', numChannels: inChannels, eps: 1e-6 }),
    );
    this.projIn = this.child(
      new Linear({ name: 'proj_in', inFeatures: inChannels, outFeatures: dim }),
    );
    this.transformerBlocks = layers.map((i) =>
      this.child(new BasicTransformerBlock({ name: `transformer_blocks.${i}`, ...blockArgs })),
    );
    this.temporalTransformerBlocks = layers.map((i) =>
      this.child(
        new TemporalBasicTransformerBlock({
          name: `temporal_transformer_blocks.${i}`,
          ...blockArgs,
        }),
      ),
    );
    this.timePosEmbed = this.child(
      new TimestepEmbedding({
        name: 'time_pos_embed',
        inChannels,
        timeEmbedDim: 4 * inChannels,
        outDim: inChannels,
      }),
    );
    this.timeProj = this.child(new Timesteps({ name: 'time_proj', numChannels: inChannels }));
    this.timeMixer = this.child(new AlphaBlender({ name: 'time_mixer', alpha: 0.5 }));
    this.projOut = this.child(
      new Linear({ name: 'proj_out', inFeatures: dim, outFeatures: inChannels }),
    );
  }

  override get config() {
    return {
      numAttentionHeads: 16,
      attentionHeadDim: 88,
      inChannels: 320,
      numLayers: 1,
      ...this.args,
    };
  }

  override misfits() {
    const { inChannels, numAttentionHeads, attentionHeadDim } = this.config;
    return [
      notProduct({ inChannels }, { numAttentionHeads, attentionHeadDim }),
      indivisible({ inChannels }),
    ];
  }

  override get inputAxes(): Inputs {
    const { inChannels, crossAttentionDim } = this.config;
    const context: Inputs = crossAttentionDim ? { context: ['b', 'L', crossAttentionDim] } : {};
    return { x: ['B*F', 'H', 'W', inChannels], ...context, 'imageOnlyIndicator?': ['B', 'F'] };
  }

  protected forward([x, ...rest]: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    const numFrames = framesOf(kwargs, x);
    const [n, height, width] = x.shape;
    const batch = n / numFrames;
    const contexts = rest.splice(0, this.config.crossAttentionDim ? 1 : 0);
    const firstFrames = contexts.map((context) => ofFirstFrames(context, batch, numFrames));
    const positions = this.timePosEmbed.call(this.timeProj.call(tf.range(0, numFrames))); // [F, C]

    // [B*F, N, C]
    let h = tf.tidy(() => this.projIn.call(tf.reshape(this.norm.call(x), [n, height * width, -1])));
    for (const [i, block] of this.transformerBlocks.entries()) {
      h = tf.tidy(() => {
        const spatial = block.call([h, ...contexts]);
        const shifted = tf.reshape(
          tf.add(
            tf.reshape(spatial, [batch, numFrames, height * width, -1]),
            tf.expandDims(positions, 1),
          ),
          spatial.shape,
        );
        const temporal = this.temporalTransformerBlocks[i].call([shifted, ...firstFrames], {
          numFrames,
        });
        return this.timeMixer.call([spatial, temporal, ...rest]);
      });
    }
    return tf.add(tf.reshape(this.projOut.call(h), x.shape), x);
  }
}
registerLayer(TransformerSpatioTemporalModel);

/** The context of each video's first frame, `[B, L, X]`, of those of all videos or all frames. */
function ofFirstFrames(context: tf.Tensor, batch: number, numFrames: number): tf.Tensor {
  const [contexts, l, x] = context.shape;
  if (contexts === batch) return context;
  const frames = batch * numFrames;
  if (contexts !== frames) {
    throw new Error(
      `The number of contexts has to be that of videos, ${batch}, or that of frames, ${frames}, ` +
        `but is ${contexts}.`,
    );
  }
  return tf.tidy(() => {
    const videos = tf.reshape(context, [batch, numFrames, l! * x!]);
    return tf.reshape(tf.slice(videos, [0, 0, 0], [-1, 1, -1]), [batch, l!, x!]);
  });
}
