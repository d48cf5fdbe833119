/** The UNet's middle. */
import type * as tf from '@tensorflow/tfjs-core';
import type { CallArgs, Inputs } from './block.ts';
import { type Checks, indivisible, layerCountOrNone } from './checks.ts';
import { registerLayer } from './registry.ts';
import { SpatioTemporalResBlock } from './spatioTemporalResBlock.ts';
import { type Steps, StepwiseBlock } from './steps.ts';
import { TensorScope } from './tensorScope.ts';
import type { TransformerSpatioTemporalModel } from './transformerSpatioTemporalModel.ts';
import {
  makeTransformers,
  type TransformersArgs,
  transformerChecks,
  transformerDefaults,
  transformerMisfits,
  type UNetBlockArgs,
  unetBlockChecks,
} from './unetBlocks.ts';

/** Arguments of `UNetMidBlockSpatioTemporal`. */
export interface UNetMidBlockSpatioTemporalArgs extends UNetBlockArgs, TransformersArgs {
  /** Channels of input and output. */
  inChannels: number;
  /** Transformers, each between two residual blocks. Default 1. */
  numLayers?: number;
  /** Epsilon of the residual blocks. Default 1e-5. */
  resnetEps?: number;
}

/**
 * Residual block, then transformer and residual block `numLayers` times.
 *
 * Inputs `[x [B*F, H, W, inChannels], temb [B*F, tembChannels], context [B*F or B, L,
 * crossAttentionDim]]`, kwargs `{ numFrames }`
 * -> the shape of x.
 *
 * Equals `UNetMidBlockSpatioTemporal` of diffusers' `models/unets/unet_3d_blocks.py`.
 *
 * @example
 * ```ts
 * const block = new UNetMidBlockSpatioTemporal({
 *   inChannels: 64,
 *   tembChannels: 128,
 *   numAttentionHeads: 4,
 *   crossAttentionDim: 1024,
 * });
 * const inputs = [
 *   tf.randomNormal([2 * 7, 4, 6, 64]),
 *   tf.randomNormal([2 * 7, 128]),
 *   tf.randomNormal([2, 1, 1024]),
 * ];
 * const y = block.apply(inputs, { numFrames: 7 }); // [14, 4, 6, 64]
 * ```
 */
export class UNetMidBlockSpatioTemporal extends StepwiseBlock<UNetMidBlockSpatioTemporalArgs> {
  static className = 'UNetMidBlockSpatioTemporal';
  static override checks: Checks = {
    inChannels: unetBlockChecks.inChannels,
    tembChannels: unetBlockChecks.tembChannels,
    numLayers: layerCountOrNone,
    resnetEps: unetBlockChecks.resnetEps,
    ...transformerChecks,
  };
  private readonly attentions: TransformerSpatioTemporalModel[];
  private readonly resnets: SpatioTemporalResBlock[];

  constructor(args: UNetMidBlockSpatioTemporalArgs) {
    super(args);
    const { inChannels, tembChannels, numLayers, resnetEps: eps } = this.config;
    this.attentions = makeTransformers(inChannels, this.config).map((t) => this.child(t));
    this.resnets = Array.from({ length: numLayers + 1 }, (_, i) =>
      this.child(
        new SpatioTemporalResBlock({ name: `resnets.${i}`, inChannels, tembChannels, eps }),
      ),
    );
  }

  override get config() {
    return { numLayers: 1, resnetEps: 1e-5, ...transformerDefaults, ...this.args };
  }

  override misfits() {
    const { inChannels } = this.config;
    return [indivisible({ inChannels }), ...transformerMisfits({ inChannels }, this.config)];
  }

  override get inputAxes(): Inputs {
    const { inChannels, tembChannels, crossAttentionDim } = this.config;
    return {
      x: ['B*F', 'H', 'W', inChannels],
      temb: ['B*F', tembChannels],
      context: ['b', 'L', crossAttentionDim],
    };
  }

  *steps([x, temb, context]: tf.Tensor[], { numFrames }: CallArgs): Steps<tf.Tensor> {
    using scope = new TensorScope();
    let h = yield* scope.run(this.resnets[0], [x, temb], { numFrames }); // [B*F, H, W, C]
    for (const [i, attention] of this.attentions.entries()) {
      h = scope.replace(h, yield* scope.run(attention, [h, context], { numFrames }));
      h = scope.replace(h, yield* scope.run(this.resnets[i + 1], [h, temb], { numFrames }));
    }
    return scope.release(h);
  }
}
registerLayer(UNetMidBlockSpatioTemporal);
