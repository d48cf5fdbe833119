/** Embeddings of scalars. */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { silu, timestepEmbedding } from '../ops/index.ts';
import { count, flag, number, optional } from '../text/kinds.ts';
import { Block, type Inputs, type LayerArgs } from './block.ts';
import type { Checks } from './checks.ts';
import { Linear } from './linear.ts';
import { registerLayer } from './registry.ts';

/** Arguments of `Timesteps`. */
export interface TimestepsArgs extends LayerArgs {
  /** Width of the embedding. */
  numChannels: number;
  /** Cosines before sines. Default true. */
  flipSinToCos?: boolean;
  /** Default 0. */
  downscaleFreqShift?: number;
  /** Factor on the angles. Default 1. */
  scale?: number;
}

/**
 * Sinusoids of scalars `[N]`, or `[N, 1]` as `tf.model` feeds them, -> `[N, numChannels]`.
 *
 * Equals `Timesteps` of diffusers' `models/embeddings.py`.
 *
 * @example
 * ```ts
 * const sinusoids = new Timesteps({ numChannels: 320 });
 * const y = sinusoids.apply(tf.tensor1d([0.5, 1.6])); // [2, 320]
 * ```
 */
export class Timesteps extends Block<TimestepsArgs> {
  static className = 'Timesteps';
  static override checks: Checks = {
    numChannels: count,
    flipSinToCos: optional(flag),
    downscaleFreqShift: optional(number()),
    scale: optional(number()),
  };

  override misfits() {
    const { numChannels, downscaleFreqShift } = this.args;
    // The frequencies have half of the channels less the shift for a divisor.
    return [
      Math.floor(numChannels / 2) === downscaleFreqShift
        ? '`downscaleFreqShift` may not be half of `numChannels` but they are ' +
          `${downscaleFreqShift} and ${numChannels}.`
        : undefined,
    ];
  }

  override get inputAxes(): Inputs {
    return { t: ['n', '...'] };
  }

  protected forward([t]: tf.Tensor[]): tf.Tensor {
    if (t.size !== t.shape[0])
      throw new Error(`Timesteps takes scalars of shape [N] or [N, 1] but is given [${t.shape}].`);
    return timestepEmbedding(t as tf.Tensor1D, this.args.numChannels, this.args);
  }

  override computeOutputShape([n]: number[]): tfl.Shape {
    return [n, this.args.numChannels];
  }
}
registerLayer(Timesteps);

/** Arguments of `TimestepEmbedding`. */
export interface TimestepEmbeddingArgs extends LayerArgs {
  /** Width of the input. */
  inChannels: number;
  /** Width between the two linear layers. */
  timeEmbedDim: number;
  /** Default: `timeEmbedDim`. */
  outDim?: number;
}

/**
 * Linear, SiLU, linear: `[N, inChannels]` -> `[N, outDim]`.
 *
 * Equals `TimestepEmbedding` of diffusers' `models/embeddings.py` with SiLU.
 *
 * @example
 * ```ts
 * const embedding = new TimestepEmbedding({ inChannels: 320, timeEmbedDim: 1280 });
 * // [2, 1280]
 * const y = embedding.apply(new Timesteps({ numChannels: 320 }).apply(tf.tensor1d([0.5, 1.6])));
 * ```
 */
export class TimestepEmbedding extends Block<TimestepEmbeddingArgs> {
  static className = 'TimestepEmbedding';
  static override checks: Checks = { inChannels: count, timeEmbedDim: count, outDim: count };
  private readonly linear1: Linear;
  private readonly linear2: Linear;

  constructor(args: TimestepEmbeddingArgs) {
    super(args);
    const { inChannels, timeEmbedDim, outDim } = this.config;
    this.linear1 = this.child(
      new Linear({ name: 'linear_1', inFeatures: inChannels, outFeatures: timeEmbedDim }),
    );
    this.linear2 = this.child(
      new Linear({ name: 'linear_2', inFeatures: timeEmbedDim, outFeatures: outDim }),
    );
  }

  override get config() {
    return { outDim: this.args.timeEmbedDim, ...this.args };
  }

  override get inputAxes(): Inputs {
    return { x: ['...', this.args.inChannels] };
  }

  protected forward([x]: tf.Tensor[]): tf.Tensor {
    return this.linear2.call(silu(this.linear1.call(x)));
  }

  override computeOutputShape(inputShape: tfl.Shape): tfl.Shape {
    return this.linear2.computeOutputShape(inputShape);
  }
}
registerLayer(TimestepEmbedding);
