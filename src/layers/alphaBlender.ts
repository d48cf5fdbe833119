/** The blend of a spatial and a temporal branch. */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { flag, number } from '../text/kinds.ts';
import { Block, type Inputs, type LayerArgs, weightOf } from './block.ts';
import type { Checks } from './checks.ts';
import { registerLayer } from './registry.ts';

const strategies = ['learned', 'fixed', 'learned_with_images'] as const;

/** Arguments of `AlphaBlender`. */
export interface AlphaBlenderArgs extends LayerArgs {
  /**
   * Initial value of `mix_factor`: the weight of the spatial branch itself (`fixed`) or before the
   * sigmoid.
   */
  alpha: number;
  /** Default `learned_with_images`. */
  mergeStrategy?: (typeof strategies)[number];
  /** Gives the spatial branch's weight to the temporal one. Default false; true in the VAE. */
  switchSpatialToTemporalMix?: boolean;
}

/**
 * `a * spatial + (1 - a) * temporal` with a = sigmoid(mix_factor), or mix_factor itself if `fixed`.
 *
 * Inputs `[spatial [B*F, ..., C], temporal [B*F, ..., C], imageOnlyIndicator [B, F]]`, or branches
 * `[B, F, ..., C]`, -> the shape of both branches. With `learned_with_images`, a is 1 for frames
 * whose indicator is 1; an indicator left out stands for zeros.
 *
 * Equals `AlphaBlender` of diffusers' `models/resnet.py`.
 *
 * @example
 * ```ts
 * const blend = new AlphaBlender({ alpha: 0.5, mergeStrategy: 'learned' });
 * const [spatial, temporal] = [tf.zeros([14, 8, 12, 32]), tf.ones([14, 8, 12, 32])];
 * const y = blend.apply([spatial, temporal]); // [14, 8, 12, 32]
 * ```
 */
export class AlphaBlender extends Block<AlphaBlenderArgs> {
  static className = 'AlphaBlender';
  static override checks: Checks = {
    alpha: number(),
    mergeStrategy: { oneOf: strategies },
    switchSpatialToTemporalMix: flag,
  };
  private mixFactor!: tfl.LayerVariable;

  override get config() {
    const mergeStrategy: (typeof strategies)[number] = 'learned_with_images';
    return { mergeStrategy, switchSpatialToTemporalMix: false, ...this.args };
  }

  protected override buildSelf(): void {
    const initial = tfl.initializers.constant({ value: this.args.alpha });
    this.mixFactor = this.parameter(
      'mix_factor',
      [1],
      'same',
      initial,
      this.config.mergeStrategy !== 'fixed',
    );
  }

  /** The weight of the spatial branch, in a shape that broadcasts to a tensor of `rank` axes. */
  private alpha(indicator: tf.Tensor | undefined, rank: number): tf.Tensor {
    const { mergeStrategy, switchSpatialToTemporalMix } = this.config;
    let alpha: tf.Tensor = weightOf(this.mixFactor);
    if (mergeStrategy !== 'fixed') alpha = tf.sigmoid(alpha);
    if (mergeStrategy === 'learned_with_images' && indicator) {
      const perFrame = tf.reshape(indicator, [-1, ...Array(rank - 1).fill(1)]); // [B*F, 1, ...]
      alpha = tf.where(
        tf.notEqual(perFrame, 0),
        tf.onesLike(perFrame),
        tf.mul(tf.onesLike(perFrame), alpha),
      );
    }
    return switchSpatialToTemporalMix ? tf.sub(1, alpha) : alpha;
  }

  override get inputAxes(): Inputs {
    return {
      spatial: ['B*F', '...', 'C'],
      temporal: ['B*F', '...', 'C'],
      'imageOnlyIndicator?': ['B', 'F'],
    };
  }

  protected forward([spatial, temporal, indicator]: tf.Tensor[]): tf.Tensor {
    const alpha = this.alpha(indicator, spatial.rank);
    return tf.add(tf.mul(spatial, alpha), tf.mul(temporal, tf.sub(1, alpha)));
  }

  /** The blend of `spatial` and a temporal branch `spatial + change`. */
  addChange(spatial: tf.Tensor, change: tf.Tensor, indicator?: tf.Tensor): tf.Tensor {
    return tf.tidy(() =>
      tf.add(spatial, tf.mul(change, tf.sub(1, this.alpha(indicator, spatial.rank)))),
    );
  }
}
registerLayer(AlphaBlender);
