/** The residual block over time. */
import * as tf from '@tensorflow/tfjs-core';
import type { CallArgs, FramesArgs } from './block.ts';
import { TemporalConv, type TemporalConvArgs } from './conv2d.ts';
import { registerLayer } from './registry.ts';
import { ResidualBlock, type ResidualBlockArgs } from './residualBlock.ts';

/** Arguments of `TemporalResnetBlock`. */
export interface TemporalResnetBlockArgs extends ResidualBlockArgs, FramesArgs {}

/**
 * A residual block whose convolutions run only over frames and whose normalisations run over all
 * frames jointly.
 *
 * Inputs `[x [B*F, H, W, inChannels], temb [B*F, tembChannels]]` (temb only with `tembChannels`),
 * kwargs `{ numFrames }` -> `[B*F, H, W, outChannels]`.
 *
 * Equals `TemporalResnetBlock` of diffusers' `models/resnet.py`.
 *
 * @example
 * ```ts
 * const block = new TemporalResnetBlock({ inChannels: 32 });
 * const y = block.apply(tf.randomNormal([2 * 7, 8, 12, 32]), { numFrames: 7 }); // [14, 8, 12, 32]
 * ```
 */
export class TemporalResnetBlock extends ResidualBlock<TemporalResnetBlockArgs> {
  static className = 'TemporalResnetBlock';
  protected readonly items = 'B*F';

  protected convolution(args: TemporalConvArgs): TemporalConv {
    return new TemporalConv(args);
  }

  override change(inputs: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    return tf.tidy(() => super.change(inputs, kwargs));
  }

  protected forward(inputs: tf.Tensor[], { numFrames }: CallArgs): tf.Tensor {
    return this.transform(inputs, { numFrames });
  }
}
registerLayer(TemporalResnetBlock);
