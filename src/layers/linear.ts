/** The linear layer. */
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { type LinearMap, linear, widened } from '../ops/index.ts';
import { count, flag } from '../text/kinds.ts';
import { type Inputs, type LayerArgs, uniformFor, weightOf, weightSlice } from './block.ts';
import type { Checks } from './checks.ts';
import { registerLayer } from './registry.ts';
import { WeightedLayer } from './weightedLayer.ts';

/** Arguments of `Linear`. */
export interface LinearArgs extends LayerArgs {
  /** Length of the last axis of the input. */
  inFeatures: number;
  /** Length of the last axis of the output. */
  outFeatures: number;
  /** Default true. */
  bias?: boolean;
}

/**
 * PyTorch's `Linear` on `[..., inFeatures]` -> `[..., outFeatures]`.
 *
 * Equals `torch.nn.Linear`.
 *
 * @example
 * ```ts
 * const linear = new Linear({ inFeatures: 320, outFeatures: 1280 });
 * const y = linear.apply(tf.randomNormal([2, 96, 320])); // [2, 96, 1280]
 * ```
 */
export class Linear extends WeightedLayer<LinearArgs> {
  static className = 'Linear';
  static override checks: Checks = { inFeatures: count, outFeatures: count, bias: flag };

  override get config() {
    return { bias: true, ...this.args };
  }

  protected override buildSelf(): void {
    const { inFeatures, outFeatures, bias } = this.config;
    this.weight = this.parameter(
      'weight',
      [inFeatures, outFeatures],
      'linear',
      uniformFor(inFeatures),
    );
    if (bias) this.bias = this.parameter('bias', [outFeatures], 'same', uniformFor(inFeatures));
  }

  override get inputAxes(): Inputs {
    return { x: ['...', this.args.inFeatures] };
  }

  protected forward([x]: tf.Tensor[]): tf.Tensor {
    return linear(x, this.effectiveWeight(), this.bias && weightOf(this.bias));
  }

  /** This map times `factor`. It multiplies the weights, which are fewer than the results. */
  scaled(x: tf.Tensor, factor: number): tf.Tensor {
    return tf.tidy(() => {
      const bias = this.bias && (tf.mul(weightOf(this.bias), factor) as tf.Tensor1D);
      return linear(x, tf.mul(widened(this.effectiveWeight()), factor) as tf.Tensor2D, bias);
    });
  }

  /** The map to `width` of its outputs, from number `first` on. Needs a bias. */
  outputs(first: number, width: number): LinearMap {
    const range = { begin: [0, first], size: [this.args.inFeatures, width] };
    return {
      weight: this.effectiveWeight(range),
      bias: weightSlice(this.bias as tfl.LayerVariable, [first], [width]),
    };
  }

  /**
   * The map from `width` of its inputs, from number `first` on. The results of all ranges add up to
   * the output: the first one has the bias.
   */
  inputs(first: number, width: number): Omit<LinearMap, 'bias'> & Partial<LinearMap> {
    const range = { begin: [first, 0], size: [width, this.args.outFeatures] };
    const weight = this.effectiveWeight<tf.Tensor2D>(range);
    return { weight, ...(this.bias && first === 0 && { bias: weightOf<tf.Tensor1D>(this.bias) }) };
  }

  override computeOutputShape(inputShape: tfl.Shape): tfl.Shape {
    return [...inputShape.slice(0, -1), this.args.outFeatures];
  }
}
registerLayer(Linear);
