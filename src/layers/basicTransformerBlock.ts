/** The transformer blocks over space and over time. */
import * as tf from '@tensorflow/tfjs-core';
import { count, optional } from '../text/kinds.ts';
import { Attention } from './attention.ts';
import {
  Block,
  type CallArgs,
  type FramesArgs,
  framesOf,
  type Inputs,
  type LayerArgs,
} from './block.ts';
import type { Checks } from './checks.ts';
import { type Chunking, chunkedFeedForward, FeedForward } from './feedForward.ts';
import { checkContexts } from './inputs.ts';
import { LayerNorm } from './normalization.ts';
import { registerLayer } from './registry.ts';

/** Arguments of `BasicTransformerBlock`. */
export interface BasicTransformerBlockArgs extends LayerArgs {
  /** Channels of input and output. */
  dim: number;
  /** Heads of both attentions. */
  numAttentionHeads: number;
  /** Channels per head. */
  attentionHeadDim: number;
  /** Width of the context; left out: the block takes none and has only self-attention. */
  crossAttentionDim?: number;
}

/**
 * The base class of both blocks: self-attention, attention to a context, feed-forward, each with a
 * normalisation in front.
 */
export abstract class TransformerBlock extends Block<BasicTransformerBlockArgs> {
  static override checks: Checks = {
    dim: count,
    numAttentionHeads: count,
    attentionHeadDim: count,
    crossAttentionDim: optional(count),
  };
  /** In front of self-attention. */
  protected readonly norm1: LayerNorm;
  /** Self-attention. */
  protected readonly attn1: Attention;
  private readonly norm2?: LayerNorm;
  /** Attention to the context, if the block has it. */
  protected readonly attn2?: Attention;
  /** In front of the feed-forward. */
  protected readonly norm3: LayerNorm;
  /** The feed-forward. */
  protected readonly ff: FeedForward;
  /** The slices of the feed-forward; undefined for all at once. */
  protected chunking?: Chunking;

  constructor(args: BasicTransformerBlockArgs) {
    super(args);
    const { dim, numAttentionHeads: heads, attentionHeadDim: dimHead, crossAttentionDim } = args;
    this.norm1 = this.child(new LayerNorm({ name: 'norm1', numChannels: dim }));
    this.attn1 = this.child(new Attention({ name: 'attn1', queryDim: dim, heads, dimHead }));
    if (crossAttentionDim) {
      this.norm2 = this.child(new LayerNorm({ name: 'norm2', numChannels: dim }));
      this.attn2 = this.child(
        new Attention({ name: 'attn2', queryDim: dim, crossAttentionDim, heads, dimHead }),
      );
    }
    this.norm3 = this.child(new LayerNorm({ name: 'norm3', numChannels: dim }));
    this.ff = this.child(new FeedForward({ name: 'ff', dim }));
  }

  /**
   * Evaluates the feed-forward in slices of `chunkSize` along `dim`; `undefined` for all at once.
   */
  abstract setChunkFeedForward(chunkSize: number | undefined, dim: 0 | 1): void;

  /** The context among the inputs, if the block attends to one. */
  protected get contextAxes(): Inputs {
    const { x: _, ...context } = this.attn2?.inputAxes ?? { x: [] };
    return context;
  }

  /**
   * x plus attention to the context, if the block has such: x `[N, M, C]`, context `[b, L, X]` with
   * b dividing N.
   */
  protected attendToContext(x: tf.Tensor, context: tf.Tensor | undefined): tf.Tensor {
    const { norm2, attn2 } = this;
    if (!norm2 || !attn2) return x;
    return tf.tidy(() => {
      if (context?.shape[1] !== 1)
        return tf.add(attn2.call([norm2.call(x), ...(context ? [context] : [])]), x);
      checkContexts(context, x.shape[0]);
      const b = context.shape[0];
      const shift = attn2.attendToOne(context); // [b, 1, C]
      return tf.reshape(tf.add(tf.reshape(x, [b, -1, this.args.dim]), shift), x.shape);
    });
  }
}

/**
 * A transformer block over space: self-attention, attention to the context, feed-forward.
 *
 * Inputs `[x [N, M, dim], context [b, L, crossAttentionDim]]`, b dividing N -> `[N, M, dim]`. The
 * context may be left out if it would be as wide as x, which then takes its place.
 *
 * Equals `BasicTransformerBlock` of diffusers' `models/attention.py`.
 *
 * @example
 * ```ts
 * const block = new BasicTransformerBlock({
 *   dim: 64,
 *   numAttentionHeads: 4,
 *   attentionHeadDim: 16,
 *   crossAttentionDim: 1024,
 * });
 * // [2, 96, 64]
 * const y = block.apply([tf.randomNormal([2, 96, 64]), tf.randomNormal([2, 1, 1024])]);
 * ```
 */
export class BasicTransformerBlock extends TransformerBlock {
  static className = 'BasicTransformerBlock';

  /**
   * Evaluates the feed-forward in slices of `chunkSize` of axis `dim`, 0 (frames) or 1 (tokens);
   * `undefined` for all at once.
   */
  setChunkFeedForward(chunkSize: number | undefined, dim: 0 | 1): void {
    this.chunking = chunkSize ? { size: chunkSize, dim } : undefined;
  }

  override get inputAxes(): Inputs {
    return { x: ['N', 'M', this.args.dim], ...this.contextAxes };
  }

  protected forward([x, context]: tf.Tensor[]): tf.Tensor {
    let h = tf.tidy(() => tf.add(this.attn1.call(this.norm1.call(x)), x));
    h = this.attendToContext(h, context);
    return tf.add(
      tf.tidy(() => chunkedFeedForward(this.ff, this.norm3.call(h), this.chunking)),
      h,
    );
  }
}
registerLayer(BasicTransformerBlock);

/** Arguments of `TemporalBasicTransformerBlock`. */
export interface TemporalBasicTransformerBlockArgs extends BasicTransformerBlockArgs, FramesArgs {}

/**
 * A transformer block over the frames at each pixel.
 *
 * Inputs `[x [B*F, N, dim], context [B or B*N, L, crossAttentionDim]]` (one context per video, or
 * per pixel as in diffusers), kwargs `{ numFrames }` -> `[B*F, N, dim]`. As
 * `BasicTransformerBlock`, it may do without the context.
 *
 * Everything but attention treats tokens one by one, so the frames stay in the first axis and only
 * queries, keys and values are transposed.
 *
 * Equals `TemporalBasicTransformerBlock` of diffusers' `models/attention.py`.
 *
 * @example
 * ```ts
 * const block = new TemporalBasicTransformerBlock({
 *   dim: 64,
 *   numAttentionHeads: 4,
 *   attentionHeadDim: 16,
 *   crossAttentionDim: 1024,
 * });
 * const frames = tf.randomNormal([2 * 7, 96, 64]); // two videos of seven frames of 8 x 12 tokens
 * const y = block.apply([frames, tf.randomNormal([2, 1, 1024])], { numFrames: 7 }); // [14, 96, 64]
 * ```
 */
export class TemporalBasicTransformerBlock extends TransformerBlock {
  static className = 'TemporalBasicTransformerBlock';
  private readonly normIn: LayerNorm;
  private readonly ffIn: FeedForward;

  constructor(args: TemporalBasicTransformerBlockArgs) {
    super(args);
    this.normIn = this.child(new LayerNorm({ name: 'norm_in', numChannels: args.dim }));
    this.ffIn = this.child(new FeedForward({ name: 'ff_in', dim: args.dim }));
  }

  /** The temporal block always slices along frames, whatever `dim` asks for. */
  setChunkFeedForward(chunkSize: number | undefined): void {
    this.chunking = chunkSize ? { size: chunkSize, dim: 1 } : undefined;
  }

  override get inputAxes(): Inputs {
    return { x: ['B*F', 'N', this.args.dim], ...this.contextAxes };
  }

  protected forward([x, context]: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    const numFrames = framesOf(kwargs, x);
    const feedForward = (layer: FeedForward, norm: LayerNorm, h: tf.Tensor) =>
      tf.tidy(() => {
        const video = tf.reshape(norm.call(h), [
          x.shape[0] / numFrames,
          numFrames,
          -1,
          this.args.dim,
        ]); // [B, F, N, C]
        return tf.add(tf.reshape(chunkedFeedForward(layer, video, this.chunking), x.shape), h);
      });
    let h = feedForward(this.ffIn, this.normIn, x);
    h = tf.tidy(() => tf.add(this.attn1.overFrames(this.norm1.call(h), numFrames), h));
    h = this.attendOverFrames(h, context, numFrames);
    return feedForward(this.ff, this.norm3, h);
  }

  /**
   * As `attendToContext`. One context per pixel, and none, need the pixels in the first axis.
   */
  private attendOverFrames(
    h: tf.Tensor,
    context: tf.Tensor | undefined,
    numFrames: number,
  ): tf.Tensor {
    const [batch, n] = [h.shape[0] / numFrames, h.shape[1] as number];
    if (!this.attn2 || context?.shape[0] === batch) return this.attendToContext(h, context);
    const video = (x: tf.Tensor, axes: number[]) =>
      tf.transpose(tf.reshape(x, [batch, ...axes, this.args.dim]), [0, 2, 1, 3]);
    return tf.tidy(() => {
      // [B*N, F, C]
      const pixels = tf.reshape(video(h, [numFrames, n]), [batch * n, numFrames, -1]);
      return tf.reshape(video(this.attendToContext(pixels, context), [n, numFrames]), h.shape);
    });
  }
}
registerLayer(TemporalBasicTransformerBlock);
