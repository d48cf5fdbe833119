/**
 * The UNet's middle, mirroring `UNetMidBlockSpatioTemporal` of diffusers'
 * `models/unets/unet_3d_blocks.py`.
 */
import * as tf from '@tensorflow/tfjs';
import type { FramesArgs, Inputs, Kwargs } from './block.ts';
import { makeTransformers } from './downBlockSpatioTemporal.ts';
import { SpatioTemporalResBlock } from './spatioTemporalResBlock.ts';
import { type Steps, StepwiseBlock } from './steps.ts';
import { Held } from './tensorScope.ts';
import type { TransformerSpatioTemporalModel } from './transformerSpatioTemporalModel.ts';

/** Arguments of `UNetMidBlockSpatioTemporal`. */
export interface UNetMidBlockSpatioTemporalArgs extends FramesArgs {
  /** Channels of input and output. */
  inChannels: number;
  /** Width of the time embedding. */
  tembChannels: number;
  /** Transformers, each between two residual blocks. Default 1. */
  numLayers?: number;
  /** Layers of each transformer: one number, or one per transformer. Default 1. */
  transformerLayersPerBlock?: number | number[];
  /** Default 1. */
  numAttentionHeads?: number;
  /** Default 1280. */
  crossAttentionDim?: number;
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
 * const block = new UNetMidBlockSpatioTemporal({ inChannels: 64, tembChannels: 128, numAttentionHeads: 4, crossAttentionDim: 1024 });
 * const inputs = [tf.randomNormal([2 * 7, 4, 6, 64]), tf.randomNormal([2 * 7, 128]), tf.randomNormal([2, 1, 1024])];
 * const y = block.apply(inputs, { numFrames: 7 }); // [14, 4, 6, 64]
 * ```
 */
export class UNetMidBlockSpatioTemporal extends StepwiseBlock<UNetMidBlockSpatioTemporalArgs> {
  static className = 'UNetMidBlockSpatioTemporal';
  private readonly attentions: TransformerSpatioTemporalModel[];
  private readonly resnets: SpatioTemporalResBlock[];

  constructor(args: UNetMidBlockSpatioTemporalArgs) {
    super(args);
    const { inChannels, tembChannels, numLayers = 1 } = args;
    this.attentions = makeTransformers(numLayers, { ...args, channels: inChannels }).map((t) =>
      this.child(t),
    );
    this.resnets = Array.from({ length: numLayers + 1 }, (_, i) =>
      this.child(
        new SpatioTemporalResBlock({ name: `resnets.${i}`, inChannels, tembChannels, eps: 1e-5 }),
      ),
    );
  }

  override get inputAxes(): Inputs {
    const { inChannels, tembChannels, crossAttentionDim = 1280 } = this.args;
    return {
      x: ['B*F', 'H', 'W', inChannels],
      temb: ['B*F', tembChannels],
      context: ['b', 'L', crossAttentionDim],
    };
  }

  *steps([x, temb, context]: tf.Tensor[], { numFrames }: Kwargs): Steps<tf.Tensor> {
    const held = new Held();
    try {
      yield this.resnets[0].name;
      let h = held.hold(() => this.resnets[0].call([x, temb], { numFrames }));
      for (const [i, attention] of this.attentions.entries()) {
        yield attention.name;
        const attended = held.hold(() => attention.call([h, context], { numFrames }));
        held.free(h);
        const resnet = this.resnets[i + 1];
        yield resnet.name;
        h = held.hold(() => resnet.call([attended, temb], { numFrames }));
        held.free(attended);
      }
      return held.give(h);
    } finally {
      held.freeAll();
    }
  }

  override computeOutputShape(inputShapes: tf.Shape | tf.Shape[]): tf.Shape {
    return inputShapes[0] as tf.Shape;
  }
}
tf.serialization.registerClass(UNetMidBlockSpatioTemporal);
