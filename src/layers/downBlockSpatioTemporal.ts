/** The UNet's down blocks. */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { flag } from '../text/kinds.ts';
import type { CallArgs, Inputs } from './block.ts';
import { type Checks, indivisible } from './checks.ts';
import { registerLayer } from './registry.ts';
import { Downsample2D } from './sampling2D.ts';
import { SpatioTemporalResBlock } from './spatioTemporalResBlock.ts';
import { type Steps, StepwiseBlock } from './steps.ts';
import { TensorScope } from './tensorScope.ts';
import type { TransformerSpatioTemporalModel } from './transformerSpatioTemporalModel.ts';
import {
  ALL_LAYERS,
  makeTransformers,
  type TransformersArgs,
  transformerChecks,
  transformerDefaults,
  transformerMisfits,
  type UNetBlockArgs,
  unetBlockChecks,
} from './unetBlocks.ts';
import { withLast } from './videos.ts';

/** Arguments of `DownBlockSpatioTemporal`. */
export interface DownBlockSpatioTemporalArgs extends UNetBlockArgs {
  /** Channels of the input. */
  inChannels: number;
  /** Channels of every output. */
  outChannels: number;
  /** Epsilon of the residual blocks. Default 1e-5, with transformers 1e-6. */
  resnetEps?: number;
  /** Default true. */
  addDownsample?: boolean;
}

/**
 * Residual blocks over space and time, then a downsampler.
 *
 * Inputs `[x [B*F, H, W, inChannels], temb [B*F, tembChannels]]`, kwargs `{ numFrames }` -> the
 * output of every layer and of the downsampler, `[B*F, H, W, outChannels]` each, in order; the last
 * one is the block's hidden state.
 *
 * Equals `DownBlockSpatioTemporal` of diffusers' `models/unets/unet_3d_blocks.py`.
 *
 * @example
 * ```ts
 * const block = new DownBlockSpatioTemporal({
 *   inChannels: 32,
 *   outChannels: 64,
 *   tembChannels: 128,
 * });
 * const [frames, temb] = [tf.randomNormal([2 * 7, 8, 12, 32]), tf.randomNormal([2 * 7, 128])];
 * // [14, 8, 12, 64] [14, 4, 6, 64]
 * const [skip, hidden] = block.apply([frames, temb], { numFrames: 7 });
 * ```
 */
export class DownBlockSpatioTemporal<
  Args extends DownBlockSpatioTemporalArgs = DownBlockSpatioTemporalArgs,
> extends StepwiseBlock<Args, tf.Tensor[]> {
  static className = 'DownBlockSpatioTemporal';
  static override checks: Checks = { ...unetBlockChecks, addDownsample: flag };
  private readonly resnets: SpatioTemporalResBlock[];
  /** The transformer behind each residual block, where there is one. */
  protected attentions: TransformerSpatioTemporalModel[] = [];
  private readonly downsampler?: Downsample2D;

  constructor(args: Args) {
    super(args);
    const { inChannels, outChannels, tembChannels, numLayers } = this.config;
    const { resnetEps: eps, addDownsample } = this.config;
    this.resnets = Array.from({ length: numLayers }, (_, i) =>
      this.child(
        new SpatioTemporalResBlock({
          name: `resnets.${i}`,
          inChannels: i === 0 ? inChannels : outChannels,
          outChannels,
          tembChannels,
          eps,
        }),
      ),
    );
    if (addDownsample)
      this.downsampler = this.child(
        new Downsample2D({ name: 'downsamplers.0', channels: outChannels }),
      );
  }

  override get config(): Record<'numLayers' | 'resnetEps', number> &
    Record<'addDownsample', boolean> &
    Args {
    return { numLayers: 1, resnetEps: 1e-5, addDownsample: true, ...this.args };
  }

  override misfits() {
    const { inChannels, outChannels } = this.config;
    return [indivisible({ inChannels }), indivisible({ outChannels })];
  }

  override get inputAxes(): Inputs {
    return { x: ['B*F', 'H', 'W', this.args.inChannels], temb: ['B*F', this.args.tembChannels] };
  }

  *steps(
    [x, temb, context]: tf.Tensor[],
    { layers: [, end] = ALL_LAYERS, ...kwargs }: CallArgs,
  ): Steps<tf.Tensor[]> {
    const { resnets, downsampler } = this;
    using scope = new TensorScope();
    const outputs: tf.Tensor[] = [];
    let h = x;
    for (const [i, resnet] of resnets.slice(0, end).entries()) {
      h = yield* scope.run(resnet, [h, temb], kwargs); // [B*F, H, W, C]
      const attention = this.attentions[i];
      if (attention) h = scope.replace(h, yield* scope.run(attention, [h, context], kwargs));
      outputs.push(h);
    }
    // [B*F, H/2, W/2, C]
    if (downsampler && end > resnets.length) outputs.push(yield* scope.run(downsampler, [h]));
    return scope.release(outputs);
  }

  override computeOutputShape(inputShapes: tfl.Shape | tfl.Shape[]): tfl.Shape[] {
    const layer = withLast(inputShapes[0] as tfl.Shape, this.args.outChannels);
    const shapes = this.resnets.map(() => layer);
    return this.downsampler ? [...shapes, this.downsampler.computeOutputShape(layer)] : shapes;
  }
}
registerLayer(DownBlockSpatioTemporal);

/** Arguments of `CrossAttnDownBlockSpatioTemporal`. */
export interface CrossAttnDownBlockSpatioTemporalArgs
  extends DownBlockSpatioTemporalArgs,
    TransformersArgs {}

/**
 * As `DownBlockSpatioTemporal`, with a transformer after each residual block. Inputs `[x, temb,
 * context [B*F or B, L, crossAttentionDim]]`, kwargs `{ numFrames }` -> the same outputs.
 *
 * Equals `CrossAttnDownBlockSpatioTemporal` of diffusers' `models/unets/unet_3d_blocks.py`.
 *
 * @example
 * ```ts
 * const block = new CrossAttnDownBlockSpatioTemporal({
 *   inChannels: 32,
 *   outChannels: 64,
 *   tembChannels: 128,
 *   numAttentionHeads: 4,
 *   crossAttentionDim: 1024,
 * });
 * const inputs = [
 *   tf.randomNormal([2 * 7, 8, 12, 32]),
 *   tf.randomNormal([2 * 7, 128]),
 *   tf.randomNormal([2, 1, 1024]),
 * ];
 * const [skip, hidden] = block.apply(inputs, { numFrames: 7 }); // [14, 8, 12, 64] [14, 4, 6, 64]
 * ```
 */
export class CrossAttnDownBlockSpatioTemporal extends DownBlockSpatioTemporal<CrossAttnDownBlockSpatioTemporalArgs> {
  static override className = 'CrossAttnDownBlockSpatioTemporal';
  static override checks: Checks = { ...DownBlockSpatioTemporal.checks, ...transformerChecks };

  constructor(args: CrossAttnDownBlockSpatioTemporalArgs) {
    super(args);
    this.attentions = makeTransformers(args.outChannels, this.config).map((t) => this.child(t));
  }

  override get config(): DownBlockSpatioTemporal<CrossAttnDownBlockSpatioTemporalArgs>['config'] &
    Required<TransformersArgs> {
    return { ...super.config, ...transformerDefaults, resnetEps: 1e-6, ...this.args };
  }

  override misfits() {
    const { outChannels } = this.config;
    return [...super.misfits(), ...transformerMisfits({ outChannels }, this.config)];
  }

  override get inputAxes(): Inputs {
    return { ...super.inputAxes, context: ['b', 'L', this.config.crossAttentionDim] };
  }
}
registerLayer(CrossAttnDownBlockSpatioTemporal);
