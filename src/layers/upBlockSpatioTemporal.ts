/** The UNet's up blocks. */
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { count, flag } from '../text/kinds.ts';
import type { CallArgs, Inputs } from './block.ts';
import { type Checks, indivisible } from './checks.ts';
import { registerLayer } from './registry.ts';
import { Upsample2D } from './sampling2D.ts';
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

/** Arguments of `UpBlockSpatioTemporal`. */
export interface UpBlockSpatioTemporalArgs extends UNetBlockArgs {
  /** Channels of the last skip connection. */
  inChannels: number;
  /** Channels of the hidden state that comes in. */
  prevOutputChannel: number;
  /** Channels of the output. */
  outChannels: number;
  /** Epsilon of the residual blocks. Default 1e-6. */
  resnetEps?: number;
  /** Default true. */
  addUpsample?: boolean;
}

/**
 * Residual blocks over space and time, each on the hidden state joined with a skip connection, then
 * an upsampler.
 *
 * Inputs `[x [B*F, H, W, prevOutputChannel], temb [B*F, tembChannels], ...skips]` with one skip per
 * layer, the last one used first; kwargs `{ numFrames, upsampleSize: [height, width] }` (default:
 * twice the size) -> `[B*F, 2H, 2W, outChannels]`.
 *
 * Equals `UpBlockSpatioTemporal` of diffusers' `models/unets/unet_3d_blocks.py`.
 *
 * @example
 * ```ts
 * const block = new UpBlockSpatioTemporal({
 *   inChannels: 32,
 *   prevOutputChannel: 64,
 *   outChannels: 64,
 *   tembChannels: 128,
 * });
 * const [hidden, temb, skip] = [
 *   tf.randomNormal([2 * 7, 4, 6, 64]),
 *   tf.randomNormal([2 * 7, 128]),
 *   tf.randomNormal([2 * 7, 4, 6, 32]),
 * ];
 * const y = block.apply([hidden, temb, skip], { numFrames: 7 }); // [14, 8, 12, 64]
 * ```
 */
export class UpBlockSpatioTemporal<
  Args extends UpBlockSpatioTemporalArgs = UpBlockSpatioTemporalArgs,
> extends StepwiseBlock<Args> {
  static className = 'UpBlockSpatioTemporal';
  static override checks: Checks = {
    ...unetBlockChecks,
    prevOutputChannel: count,
    addUpsample: flag,
  };
  /** The residual blocks. */
  protected readonly resnets: SpatioTemporalResBlock[];
  /** The transformer behind each residual block, where there is one. */
  protected attentions: TransformerSpatioTemporalModel[] = [];
  private readonly upsampler?: Upsample2D;

  constructor(args: Args) {
    super(args);
    const { inChannels, prevOutputChannel, outChannels, tembChannels, numLayers } = this.config;
    const { resnetEps: eps, addUpsample } = this.config;
    this.resnets = Array.from({ length: numLayers }, (_, i) => {
      const main = i === 0 ? prevOutputChannel : outChannels;
      const skip = i === numLayers - 1 ? inChannels : outChannels;
      return this.child(
        new SpatioTemporalResBlock({
          name: `resnets.${i}`,
          inChannels: main + skip,
          outChannels,
          tembChannels,
          eps,
        }),
      );
    });
    if (addUpsample)
      this.upsampler = this.child(new Upsample2D({ name: 'upsamplers.0', channels: outChannels }));
  }

  override get config(): Record<'numLayers' | 'resnetEps', number> &
    Record<'addUpsample', boolean> &
    Args {
    return { numLayers: 1, resnetEps: 1e-6, addUpsample: true, ...this.args };
  }

  override misfits(): (string | undefined)[] {
    const { inChannels, prevOutputChannel, outChannels, numLayers } = this.config;
    const last: Record<string, number> = numLayers === 1 ? { prevOutputChannel } : { outChannels };
    return [
      indivisible({ outChannels }),
      numLayers > 1 ? indivisible({ prevOutputChannel, outChannels }) : undefined,
      indivisible({ ...last, inChannels }),
    ];
  }

  /** The inputs in front of the skips. */
  protected get contextAxes(): Inputs {
    return {};
  }

  override get inputAxes(): Inputs {
    const { inChannels, prevOutputChannel, outChannels, tembChannels, numLayers } = this.config;
    const skip = (i: number): Inputs => ({
      [`skips[${i}]`]: ['B*F', 'H', 'W', i === 0 ? inChannels : outChannels],
    });
    return {
      x: ['B*F', 'H', 'W', prevOutputChannel],
      temb: ['B*F', tembChannels],
      ...this.contextAxes,
      ...Object.assign({}, ...Array.from({ length: numLayers }, (_, i) => skip(i))),
    };
  }

  override get callArgNames(): readonly string[] {
    return ['numFrames', 'upsampleSize'];
  }

  *steps(
    [x, temb, ...rest]: tf.Tensor[],
    { numFrames, upsampleSize, layers: [from, end] = ALL_LAYERS }: CallArgs,
  ): Steps<tf.Tensor> {
    const [context, skips] = [rest[0], rest.slice(Object.keys(this.contextAxes).length)];
    const { resnets, upsampler } = this;
    using scope = new TensorScope();
    let h = x;
    for (const [i, resnet] of resnets.entries()) {
      if (i < from || i >= end) continue;
      const joined = () => [tf.concat([h, skips.at(from - 1 - i) as tf.Tensor], -1), temb];
      h = scope.replace(h, yield* scope.run(resnet, joined, { numFrames })); // [B*F, H, W, C]
      const attention = this.attentions[i];
      if (attention) h = scope.replace(h, yield* scope.run(attention, [h, context], { numFrames }));
    }
    if (upsampler && end > resnets.length) {
      const upsampled = yield* scope.run(upsampler, [h], { outputSize: upsampleSize });
      h = scope.replace(h, upsampled); // [B*F, 2H, 2W, C]
    }
    return scope.release(h);
  }

  override computeOutputShape(inputShapes: tfl.Shape | tfl.Shape[]): tfl.Shape {
    const { outChannels } = this.args;
    const layer = withLast(inputShapes[0] as tfl.Shape, outChannels);
    if (!this.upsampler) return layer;
    const twice = this.upsampler.computeOutputShape(layer);
    const size = this.applying?.upsampleSize;
    return size ? withLast(twice, ...size, outChannels) : twice;
  }
}
registerLayer(UpBlockSpatioTemporal);

/** Arguments of `CrossAttnUpBlockSpatioTemporal`. */
export interface CrossAttnUpBlockSpatioTemporalArgs
  extends UpBlockSpatioTemporalArgs,
    TransformersArgs {}

/**
 * As `UpBlockSpatioTemporal`, with a transformer after each residual block. Inputs `[x, temb,
 * context [B*F or B, L, crossAttentionDim], ...skips]`, kwargs `{ numFrames, upsampleSize }` ->
 * `[B*F, 2H, 2W, outChannels]`.
 *
 * Equals `CrossAttnUpBlockSpatioTemporal` of diffusers' `models/unets/unet_3d_blocks.py`.
 *
 * @example
 * ```ts
 * const block = new CrossAttnUpBlockSpatioTemporal({
 *   inChannels: 32,
 *   prevOutputChannel: 64,
 *   outChannels: 64,
 *   tembChannels: 128,
 *   numAttentionHeads: 4,
 *   crossAttentionDim: 1024,
 * });
 * const [hidden, temb, skip] = [
 *   tf.randomNormal([2 * 7, 4, 6, 64]),
 *   tf.randomNormal([2 * 7, 128]),
 *   tf.randomNormal([2 * 7, 4, 6, 32]),
 * ];
 * // [14, 8, 12, 64]
 * const y = block.apply([hidden, temb, tf.randomNormal([2, 1, 1024]), skip], { numFrames: 7 });
 * ```
 */
export class CrossAttnUpBlockSpatioTemporal extends UpBlockSpatioTemporal<CrossAttnUpBlockSpatioTemporalArgs> {
  static override className = 'CrossAttnUpBlockSpatioTemporal';
  static override checks: Checks = { ...UpBlockSpatioTemporal.checks, ...transformerChecks };

  constructor(args: CrossAttnUpBlockSpatioTemporalArgs) {
    super(args);
    this.attentions = makeTransformers(args.outChannels, this.config).map((t) => this.child(t));
  }

  override get config() {
    return { ...transformerDefaults, ...super.config };
  }

  override misfits() {
    const { outChannels } = this.config;
    return [...super.misfits(), ...transformerMisfits({ outChannels }, this.config)];
  }

  protected override get contextAxes(): Inputs {
    return { context: ['b', 'L', this.config.crossAttentionDim] };
  }
}
registerLayer(CrossAttnUpBlockSpatioTemporal);
