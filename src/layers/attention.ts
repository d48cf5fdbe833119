/** Multi-head attention. */
import * as tf from '@tensorflow/tfjs-core';
import {
  attention,
  type Projections,
  queryScale,
  reshapeTo,
  selfAttention,
  temporalAttention,
} from '../ops/index.ts';
import { checkValue, count, flag, number, optional } from '../text/kinds.ts';
import { type AnyBlock, Block, type Inputs, type LayerArgs } from './block.ts';
import { type Checks, epsilon, indivisible } from './checks.ts';
import { checkContexts, checkIsBlock } from './inputs.ts';
import { Linear } from './linear.ts';
import { GroupNormalization } from './normalization.ts';
import { registerLayer } from './registry.ts';
import { layersIn } from './sublayers.ts';

/** Arguments of `Attention`. */
export interface AttentionArgs extends LayerArgs {
  /** Channels of x and of the output. */
  queryDim: number;
  /** Width of the context; left out: self-attention. */
  crossAttentionDim?: number;
  /** Default 8. */
  heads?: number;
  /** Channels per head. Default 64. */
  dimHead?: number;
  /** Bias of the query, key and value projections. Default false. */
  bias?: boolean;
  /** Groups of a normalisation in front; left out: none. */
  normNumGroups?: number;
  /** Epsilon of that normalisation. Default 1e-5. */
  eps?: number;
  /** Adds the input to the output. Default false. */
  residualConnection?: boolean;
}

/**
 * Multi-head attention, optionally to a context.
 *
 * Inputs `[x [N, M, queryDim] or [N, H, W, queryDim], context [b, L, crossAttentionDim]]`
 * (self-attention without context) -> the shape of x. With b below N, each context serves N/b
 * consecutive items of x. All tokens of an item attend to each other, so `[B, F, M, queryDim]` is
 * attention over frames and tokens jointly. In `[B, F, H, W, queryDim]`, each frame is an item.
 *
 * Equals `Attention` of diffusers' `models/attention_processor.py`, as Stable Video Diffusion uses
 * it.
 *
 * @example
 * ```ts
 * const attention = new Attention({
 *   queryDim: 64,
 *   crossAttentionDim: 1024,
 *   heads: 4,
 *   dimHead: 16,
 * });
 * const [tokens, context] = [tf.randomNormal([2, 96, 64]), tf.randomNormal([2, 5, 1024])];
 * const y = attention.apply([tokens, context]); // [2, 96, 64]
 * // [2, 96, 64]
 * const itself = new Attention({ queryDim: 64, heads: 4, dimHead: 16 }).apply(tokens);
 * ```
 */
export class Attention extends Block<AttentionArgs> {
  static className = 'Attention';
  static override checks: Checks = {
    queryDim: count,
    crossAttentionDim: optional(count),
    heads: count,
    dimHead: count,
    bias: flag,
    normNumGroups: optional(count),
    eps: epsilon,
    residualConnection: flag,
  };
  private readonly groupNorm?: GroupNormalization;
  private readonly toQ: Linear;
  private readonly toK: Linear;
  private readonly toV: Linear;
  private readonly toOut: Linear;
  private readonly innerDim: number;
  /**
   * Bytes that scores may take at a time; undefined: the default of `attendInSlices`. See
   * `limitScores`.
   */
  scoreBytes?: number;

  constructor(args: AttentionArgs) {
    super(args);
    const { queryDim, crossAttentionDim, heads, dimHead, bias, normNumGroups, eps } = this.config;
    const innerDim = heads * dimHead;
    this.innerDim = innerDim;
    if (normNumGroups) {
      this.groupNorm = this.child(
        new GroupNormalization({
          name: 'group_norm',
          numChannels: queryDim,
          numGroups: normNumGroups,
          eps,
        }),
      );
    }
    this.toQ = this.child(
      new Linear({ name: 'to_q', inFeatures: queryDim, outFeatures: innerDim, bias }),
    );
    this.toK = this.child(
      new Linear({ name: 'to_k', inFeatures: crossAttentionDim, outFeatures: innerDim, bias }),
    );
    this.toV = this.child(
      new Linear({ name: 'to_v', inFeatures: crossAttentionDim, outFeatures: innerDim, bias }),
    );
    this.toOut = this.child(
      new Linear({ name: 'to_out.0', inFeatures: innerDim, outFeatures: queryDim }),
    );
  }

  override get config() {
    return {
      heads: 8,
      dimHead: 64,
      bias: false,
      eps: 1e-5,
      residualConnection: false,
      ...this.args,
      /** Channels of the context. */
      crossAttentionDim: this.args.crossAttentionDim ?? this.args.queryDim,
    };
  }

  override misfits() {
    const { queryDim, normNumGroups } = this.config;
    return normNumGroups ? [indivisible({ queryDim }, { normNumGroups })] : [];
  }

  /** Computes queries, scaled for the scores, keys and values. */
  private projections(x: tf.Tensor, source: tf.Tensor): Projections {
    const scale = queryScale(this.config.dimHead);
    return {
      q: () => this.toQ.scaled(x, scale),
      k: () => this.toK.call(source),
      v: () => this.toV.call(source),
    };
  }

  override get inputAxes(): Inputs {
    const { queryDim, crossAttentionDim } = this.config;
    // Self-attention takes x for the context, if it is as wide.
    const context = queryDim === crossAttentionDim ? 'context?' : 'context';
    return { x: ['N', '...', queryDim], [context]: ['b', 'L', crossAttentionDim] };
  }

  protected forward([x, context]: tf.Tensor[]): tf.Tensor {
    const tokens = reshapeTo<tf.Tensor3D>(x, [x.shape[0], -1, x.shape[x.rank - 1]]); // [B, N, C]
    const normed = (this.groupNorm ? this.groupNorm.call(tokens) : tokens) as tf.Tensor3D;
    const attend = (queries: tf.Tensor, source: tf.Tensor) =>
      this.toOut.call(
        attention(this.projections(queries, source), this.config.heads, this.scoreBytes),
      );
    const attended = context
      ? attend(normed, repeatContexts(context as tf.Tensor3D, x.shape[0]))
      : selfAttention(normed, this.innerDim, (items) => attend(items, items));
    const y = reshapeTo(attended, x.shape);
    return this.config.residualConnection ? tf.add(y, x) : y;
  }

  /**
   * Attention to a context of one token. It is the same for every query, as the softmax of one
   * score is 1: context `[b, 1, crossAttentionDim]` -> `[b, 1, queryDim]`, the sum for every token.
   * Computes neither queries nor keys.
   */
  attendToOne(context: tf.Tensor): tf.Tensor {
    return tf.tidy(() => this.toOut.call(this.toV.call(context)));
  }

  /** Self-attention over the frames at each pixel: x `[B*F, N, queryDim]` -> the same shape. */
  overFrames(x: tf.Tensor, numFrames: number): tf.Tensor {
    return tf.tidy(() =>
      this.toOut.call(
        temporalAttention(this.projections(x, x), this.config.heads, numFrames, this.scoreBytes),
      ),
    );
  }
}
registerLayer(Attention);

/** Every `Attention` in `block`, itself included. */
export function attentionsIn(block: AnyBlock): Attention[] {
  checkIsBlock('attentionsIn', block);
  return layersIn(block, Attention);
}

/**
 * Lets the scores of every `Attention` in `block` take at most `bytes` at a time (softmax needs as
 * much again); `undefined` for the amount that suits the device. The result is the same; small
 * slices take longer.
 * @throws Error if `block` is no layer of this package, or `bytes` is not a number above 0.
 */
export function limitScores(block: AnyBlock, bytes: number | undefined): void {
  checkIsBlock('limitScores', block);
  checkValue('bytes', bytes, optional(number({ above: 0 })));
  for (const attention of attentionsIn(block)) attention.scoreBytes = bytes;
}

/** Repeats each item of `[b, L, C]` in a row, so that there are `batch` of them. */
export function repeatContexts(context: tf.Tensor3D, batch: number): tf.Tensor3D {
  const [b, l, c] = context.shape;
  if (b === batch) return context;
  checkContexts(context, batch);
  return tf.tidy(() =>
    tf.reshape(tf.tile(tf.reshape(context, [b, 1, l * c]), [1, batch / b, 1]), [batch, l, c]),
  );
}
