/** The residual block over space. */
import type * as tf from '@tensorflow/tfjs-core';
import { inPictures } from '../ops/index.ts';
import { count } from '../text/kinds.ts';
import type { Checks } from './checks.ts';
import { Conv2d, type Conv2dArgs } from './conv2d.ts';
import { registerLayer } from './registry.ts';
import { ResidualBlock, type ResidualBlockArgs } from './residualBlock.ts';

/** Arguments of `ResnetBlock2D`. */
export interface ResnetBlock2DArgs extends ResidualBlockArgs {
  /** Groups of both normalisations. Default 32. */
  groups?: number;
}

/**
 * `shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + proj(silu(temb)))))`.
 *
 * Inputs `[x [N, H, W, inChannels], temb [N, tembChannels]]` (temb only with `tembChannels`) ->
 * `[N, H, W, outChannels]`.
 *
 * Equals `ResnetBlock2D` of diffusers' `models/resnet.py`, as Stable Video Diffusion uses it.
 *
 * @example
 * ```ts
 * const block = new ResnetBlock2D({ inChannels: 32, outChannels: 64, tembChannels: 128 });
 * // [2, 8, 12, 64]
 * const y = block.apply([tf.randomNormal([2, 8, 12, 32]), tf.randomNormal([2, 128])]);
 * // [2, 8, 12, 32]
 * const without = new ResnetBlock2D({ inChannels: 32 }).apply(tf.randomNormal([2, 8, 12, 32]));
 * ```
 */
export class ResnetBlock2D extends ResidualBlock<ResnetBlock2DArgs> {
  static className = 'ResnetBlock2D';
  /** The rule for each argument. */
  static override checks: Checks = { ...ResidualBlock.checks, groups: count };
  protected readonly items = 'N';

  /** The constructor arguments with defaults filled in. */
  override get config() {
    return { groups: 32, ...super.config };
  }

  protected convolution(args: Conv2dArgs & { kernelSize: number }): Conv2d {
    return new Conv2d({ ...args, padding: (args.kernelSize - 1) / 2 });
  }

  protected forward(inputs: tf.Tensor[]): tf.Tensor {
    const { inChannels, outChannels } = this.config;
    // Few pictures at a time where they are large: their normalised copies would dominate peak
    // memory while decoding.
    const values = 4 * Math.max(inChannels, outChannels);
    return inPictures(inputs, values, (pictures) => this.transform(pictures, {}));
  }
}
registerLayer(ResnetBlock2D);
