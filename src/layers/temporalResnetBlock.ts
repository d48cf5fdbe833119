/** Residual block over time, mirroring `TemporalResnetBlock` of diffusers' `models/resnet.py`. */
import * as tf from '@tensorflow/tfjs';
import { sequential, silu } from '../ops/index.ts';
import { Block, type CallArgs, type FramesArgs, firstShape, type Inputs } from './block.ts';
import { TemporalConv } from './conv2d.ts';
import { Linear } from './linear.ts';
import { GroupNormalization } from './normalization.ts';

/** Arguments of `TemporalResnetBlock`. */
export interface TemporalResnetBlockArgs extends FramesArgs {
  /** Channels of the input. */
  inChannels: number;
  /** Default: `inChannels`. */
  outChannels?: number;
  /** Width of the time embedding; left out: the block takes none. */
  tembChannels?: number;
  /** Added to the variance in both normalisations. Default 1e-6. */
  eps?: number;
}

/**
 * A residual block whose convolutions run only over frames and whose normalisations run over all
 * frames jointly.
 *
 * Inputs `[x [B*F, H, W, inChannels], temb [B*F, tembChannels]]` (temb only with `tembChannels`),
 * kwargs `{ numFrames }`
 * -> `[B*F, H, W, outChannels]`.
 *
 * Equals `TemporalResnetBlock` of diffusers' `models/resnet.py`.
 *
 * @example
 * ```ts
 * const block = new TemporalResnetBlock({ inChannels: 32 });
 * const y = block.apply(tf.randomNormal([2 * 7, 8, 12, 32]), { numFrames: 7 }); // [14, 8, 12, 32]
 * ```
 */
export class TemporalResnetBlock extends Block<TemporalResnetBlockArgs> {
  static className = 'TemporalResnetBlock';
  private readonly norm1: GroupNormalization;
  private readonly conv1: TemporalConv;
  private readonly timeEmbProj?: Linear;
  private readonly norm2: GroupNormalization;
  private readonly conv2: TemporalConv;
  private readonly convShortcut?: TemporalConv;

  constructor(args: TemporalResnetBlockArgs) {
    super(args);
    const { inChannels, outChannels, tembChannels, eps } = this.config;
    this.norm1 = this.child(
      new GroupNormalization({ name: 'norm1', numChannels: inChannels, eps }),
    );
    this.conv1 = this.child(new TemporalConv({ name: 'conv1', inChannels, outChannels }));
    if (tembChannels) {
      this.timeEmbProj = this.child(
        new Linear({ name: 'time_emb_proj', inFeatures: tembChannels, outFeatures: outChannels }),
      );
    }
    this.norm2 = this.child(
      new GroupNormalization({ name: 'norm2', numChannels: outChannels, eps }),
    );
    this.conv2 = this.child(
      new TemporalConv({ name: 'conv2', inChannels: outChannels, outChannels }),
    );
    if (inChannels !== outChannels) {
      this.convShortcut = this.child(
        new TemporalConv({ name: 'conv_shortcut', inChannels, outChannels, kernelSize: 1 }),
      );
    }
  }

  override get config() {
    return { outChannels: this.args.inChannels, eps: 1e-6, ...this.args };
  }

  override get inputAxes(): Inputs {
    const { inChannels, tembChannels } = this.args;
    return {
      x: ['B*F', 'H', 'W', inChannels],
      ...(tembChannels && { temb: ['B*F', tembChannels] }),
    };
  }

  protected forward([x, temb]: tf.Tensor[], { numFrames }: CallArgs): tf.Tensor {
    const change = this.change([x, temb], { numFrames });
    return tf.add(this.convShortcut ? this.convShortcut.call(x, { numFrames }) : x, change);
  }

  /** The change that the block adds to its (projected) input: `[B*F, H, W, outChannels]`. */
  change([x, temb]: tf.Tensor[], { numFrames }: CallArgs): tf.Tensor {
    return tf.tidy(() => {
      const shift = this.timeEmbProj ? [this.timeEmbProj.call(silu(temb))] : []; // [B*F, O]
      return sequential(
        x,
        (h) => this.norm1.call(h, { numFrames }),
        silu,
        (h) => this.conv1.call([h, ...shift], { numFrames }), // [B*F, H, W, O]
        (h) => this.norm2.call(h, { numFrames }),
        silu,
        (h) => this.conv2.call(h, { numFrames }),
      );
    });
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    return [...firstShape(inputShape).slice(0, 3), this.config.outChannels];
  }
}
tf.serialization.registerClass(TemporalResnetBlock);
