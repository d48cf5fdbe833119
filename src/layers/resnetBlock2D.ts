/** Residual block over space, mirroring `ResnetBlock2D` of diffusers' `models/resnet.py`. */
import * as tf from '@tensorflow/tfjs';
import { inPictures, sequential, silu } from '../ops/index.ts';
import { Block, firstShape, type Inputs, type LayerArgs } from './block.ts';
import { Conv2d } from './conv2d.ts';
import { Linear } from './linear.ts';
import { GroupNormalization } from './normalization.ts';

/** Arguments of `ResnetBlock2D`. */
export interface ResnetBlock2DArgs extends LayerArgs {
  /** Channels of the input. */
  inChannels: number;
  /** Default: `inChannels`. */
  outChannels?: number;
  /** Width of the time embedding; left out: the block takes none. */
  tembChannels?: number;
  /** Groups of both normalisations. Default 32. */
  groups?: number;
  /** Added to the variance in both normalisations. Default 1e-6. */
  eps?: number;
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
export class ResnetBlock2D extends Block<ResnetBlock2DArgs> {
  static className = 'ResnetBlock2D';
  private readonly norm1: GroupNormalization;
  private readonly conv1: Conv2d;
  private readonly timeEmbProj?: Linear;
  private readonly norm2: GroupNormalization;
  private readonly conv2: Conv2d;
  private readonly convShortcut?: Conv2d;

  constructor(args: ResnetBlock2DArgs) {
    super(args);
    const { inChannels, outChannels, tembChannels, groups: numGroups, eps } = this.config;
    this.norm1 = this.child(
      new GroupNormalization({ name: 'norm1', numChannels: inChannels, numGroups, eps }),
    );
    this.conv1 = this.child(new Conv2d({ name: 'conv1', inChannels, outChannels, padding: 1 }));
    if (tembChannels) {
      this.timeEmbProj = this.child(
        new Linear({ name: 'time_emb_proj', inFeatures: tembChannels, outFeatures: outChannels }),
      );
    }
    this.norm2 = this.child(
      new GroupNormalization({ name: 'norm2', numChannels: outChannels, numGroups, eps }),
    );
    this.conv2 = this.child(
      new Conv2d({ name: 'conv2', inChannels: outChannels, outChannels, padding: 1 }),
    );
    if (inChannels !== outChannels) {
      this.convShortcut = this.child(
        new Conv2d({ name: 'conv_shortcut', inChannels, outChannels, kernelSize: 1 }),
      );
    }
  }

  override get config() {
    return { outChannels: this.args.inChannels, groups: 32, eps: 1e-6, ...this.args };
  }

  override get inputAxes(): Inputs {
    const { inChannels, tembChannels } = this.args;
    return { x: ['N', 'H', 'W', inChannels], ...(tembChannels && { temb: ['N', tembChannels] }) };
  }

  protected forward(inputs: tf.Tensor[]): tf.Tensor {
    const { inChannels, outChannels } = this.config;
    // Few pictures at a time where they are large: their normalised copies would be the most that
    // decoding has in memory.
    const values = 4 * Math.max(inChannels, outChannels);
    return inPictures(inputs, values, (pictures) => this.transform(pictures));
  }

  private transform([x, temb]: tf.Tensor[]): tf.Tensor {
    const shift = this.timeEmbProj ? [this.timeEmbProj.call(silu(temb))] : []; // [N, O]
    const change = sequential(
      x,
      (h) => this.norm1.call(h),
      silu,
      (h) => this.conv1.call([h, ...shift]), // [N, H, W, O]
      (h) => this.norm2.call(h),
      silu,
      (h) => this.conv2.call(h),
    );
    return tf.add(this.convShortcut ? this.convShortcut.call(x) : x, change);
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    return [...firstShape(inputShape).slice(0, 3), this.config.outChannels];
  }
}
tf.serialization.registerClass(ResnetBlock2D);
