/** A transformer over space and time. */
import * as tf from '@tensorflow/tfjs';
import { AlphaBlender } from './alphaBlender.ts';
import { BasicTransformerBlock, TemporalBasicTransformerBlock } from './basicTransformerBlock.ts';
import { Block, type CallArgs, type FramesArgs, framesOf, type Inputs } from './block.ts';
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
  /** Channels of input and output. Default 320. */
  inChannels?: number;
  /** Pairs of transformer blocks. Default 1. */
  numLayers?: number;
  /** Width of the context. Default: that of the blocks. */
  crossAttentionDim?: number;
}

/**
 * A transformer over space and time: pairs of a spatial and a temporal block, blended.
 *
 * Inputs `[x [B*F, H, W, inChannels], context [B*F or B, L, crossAttentionDim], imageOnlyIndicator
 * [B, F]]` (the indicator may be left out), kwargs `{ numFrames }` -> the shape of x. Temporal
 * blocks use the context of each video's first frame.
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
    const { numAttentionHeads = 16, attentionHeadDim = 88 } = this.args;
    return {
      numAttentionHeads,
      attentionHeadDim,
      inChannels: 320,
      numLayers: 1,
      crossAttentionDim: numAttentionHeads * attentionHeadDim,
      ...this.args,
    };
  }

  override get inputAxes(): Inputs {
    const { inChannels, crossAttentionDim } = this.config;
    return {
      x: ['B*F', 'H', 'W', inChannels],
      context: ['b', 'L', crossAttentionDim],
      'imageOnlyIndicator?': ['B', 'F'],
    };
  }

  protected forward([x, context, ...indicator]: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    const numFrames = framesOf(kwargs, x);
    const [n, height, width] = x.shape;
    const batch = n / numFrames;
    if (context.shape[0] !== batch && context.shape[0] !== n) {
      throw new Error(
        `The number of contexts has to be that of videos, ${batch}, or that of frames, ${n}, ` +
          `but is ${context.shape[0]}.`,
      );
    }
    const firstFrames =
      // [B, L, X]
      context.shape[0] === batch ? context : everyNth(context as tf.Tensor3D, numFrames);
    const positions = this.timePosEmbed.call(this.timeProj.call(tf.range(0, numFrames))); // [F, C]

    // [B*F, N, C]
    let h = tf.tidy(() => this.projIn.call(tf.reshape(this.norm.call(x), [n, height * width, -1])));
    for (const [i, block] of this.transformerBlocks.entries()) {
      h = tf.tidy(() => {
        const spatial = block.call([h, context]);
        const shifted = tf.reshape(
          tf.add(
            tf.reshape(spatial, [batch, numFrames, height * width, -1]),
            tf.expandDims(positions, 1),
          ),
          spatial.shape,
        );
        const temporal = this.temporalTransformerBlocks[i].call([shifted, firstFrames], {
          numFrames,
        });
        return this.timeMixer.call([spatial, temporal, ...indicator]);
      });
    }
    return tf.add(tf.reshape(this.projOut.call(h), x.shape), x);
  }
}
registerLayer(TransformerSpatioTemporalModel);

/** Items 0, n, 2n, ... of `[N, L, C]`. */
function everyNth(x: tf.Tensor3D, n: number): tf.Tensor3D {
  const [count, l, c] = x.shape;
  return tf.tidy(() =>
    tf.reshape(tf.slice(tf.reshape(x, [count / n, n, l * c]), [0, 0, 0], [-1, 1, -1]), [
      count / n,
      l,
      c,
    ]),
  );
}
