/** The normalisations of the SVD networks. */
import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { groupNorm, layerNorm, reshapeTo } from '../ops/index.ts';
import { count } from '../text/kinds.ts';
import {
  Block,
  type CallArgs,
  type FramesArgs,
  framesOf,
  type Inputs,
  type LayerArgs,
  weightOf,
} from './block.ts';
import { type Checks, epsilon, indivisible, NORM_GROUPS } from './checks.ts';
import { registerLayer } from './registry.ts';

/** A normalisation with a factor and a shift per channel. */
abstract class Normalization<Args extends LayerArgs & { numChannels: number }> extends Block<Args> {
  /** Factors `[C]`. */
  protected weight!: tfl.LayerVariable;
  /** Shifts `[C]`. */
  protected bias!: tfl.LayerVariable;

  protected override buildSelf(): void {
    this.weight = this.parameter(
      'weight',
      [this.args.numChannels],
      'same',
      tfl.initializers.ones(),
    );
    this.bias = this.parameter('bias', [this.args.numChannels], 'same', tfl.initializers.zeros());
  }
}

/** Arguments of `GroupNormalization`. */
export interface GroupNormalizationArgs extends FramesArgs {
  /** Channels, divisible by `numGroups`. */
  numChannels: number;
  /** Default 32. */
  numGroups?: number;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
}

/**
 * PyTorch's `GroupNorm`: `[N, ..., C]` -> the same shape, with statistics per item and group of
 * channels. Told `numFrames`, statistics of `[B*F, H, W, C]` run over all frames of a video
 * jointly, as those of `[B, F, H, W, C]` do.
 *
 * Equals `torch.nn.GroupNorm`.
 *
 * @example
 * ```ts
 * const norm = new GroupNormalization({ numChannels: 64, numGroups: 16 });
 * const frames = tf.randomNormal([2 * 7, 8, 12, 64]);
 * const each = norm.apply(frames); // [14, 8, 12, 64]
 * const jointly = norm.apply(frames, { numFrames: 7 }); // [14, 8, 12, 64]
 * ```
 */
export class GroupNormalization extends Normalization<GroupNormalizationArgs> {
  static className = 'GroupNormalization';
  static override checks: Checks = { numChannels: count, numGroups: count, eps: epsilon };

  override get config() {
    return { numGroups: NORM_GROUPS, eps: 1e-5, ...this.args };
  }

  override misfits() {
    const { numChannels, numGroups } = this.config;
    return [indivisible({ numChannels }, { numGroups })];
  }

  override get inputAxes(): Inputs {
    return { x: ['N', '...', this.args.numChannels] };
  }

  protected forward([x]: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    const { numGroups, eps } = this.config;
    const frames = kwargs.numFrames === undefined ? 1 : framesOf(kwargs, x);
    const videos = reshapeTo(x, [x.shape[0] / frames, -1, x.shape[x.rank - 1]]); // [B, F*H*W, C]
    return reshapeTo(
      groupNorm(videos, weightOf(this.weight), weightOf(this.bias), numGroups, eps),
      x.shape,
    );
  }
}
registerLayer(GroupNormalization);

/** Arguments of `LayerNorm`. */
export interface LayerNormArgs extends LayerArgs {
  /** Length of the last axis. */
  numChannels: number;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
}

/**
 * PyTorch's `LayerNorm` over the last axis: `[..., C]` -> the same shape.
 *
 * Equals `torch.nn.LayerNorm`.
 *
 * @example
 * ```ts
 * const norm = new LayerNorm({ numChannels: 320 });
 * const y = norm.apply(tf.randomNormal([2, 96, 320])); // [2, 96, 320]
 * ```
 */
export class LayerNorm extends Normalization<LayerNormArgs> {
  static className = 'LayerNorm';
  static override checks: Checks = { numChannels: count, eps: epsilon };

  override get config() {
    return { eps: 1e-5, ...this.args };
  }

  override get inputAxes(): Inputs {
    return { x: ['...', this.args.numChannels] };
  }

  protected forward([x]: tf.Tensor[]): tf.Tensor {
    return layerNorm(x, weightOf(this.weight), weightOf(this.bias), this.config.eps);
  }
}
registerLayer(LayerNorm);
