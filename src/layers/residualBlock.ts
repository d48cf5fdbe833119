/** The base class of the residual blocks over space and over time. */
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { sequential, silu } from '../ops/index.ts';
import { count, optional } from '../text/kinds.ts';
import { Block, type CallArgs, firstShape, type Inputs, type LayerArgs } from './block.ts';
import { type Checks, epsilon, indivisible } from './checks.ts';
import type { Conv2d, TemporalConv } from './conv2d.ts';
import { Linear } from './linear.ts';
import { GroupNormalization } from './normalization.ts';
import { withLast } from './videos.ts';

/** Arguments of every residual block. */
export interface ResidualBlockArgs extends LayerArgs {
  /** Channels of the input. */
  inChannels: number;
  /** Default: `inChannels`. */
  outChannels?: number;
  /** Width of the time embedding; left out: the block takes none. */
  tembChannels?: number;
  /** Added to the variance in both normalisations. Default 1e-6. */
  eps?: number;
}

type Convolution = Conv2d | TemporalConv;

/** `shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + proj(silu(temb)))))`. */
export abstract class ResidualBlock<
  Args extends ResidualBlockArgs & { groups?: number },
> extends Block<Args> {
  static override checks: Checks = {
    inChannels: count,
    outChannels: count,
    tembChannels: optional(count),
    eps: epsilon,
  };
  /** The first axis of the inputs. */
  protected abstract readonly items: 'N' | 'B*F';
  private readonly norm1: GroupNormalization;
  private readonly conv1: Convolution;
  private readonly timeEmbProj?: Linear;
  private readonly norm2: GroupNormalization;
  private readonly conv2: Convolution;
  private readonly convShortcut?: Convolution;

  constructor(args: Args) {
    super(args);
    const { inChannels, outChannels, tembChannels, groups: numGroups, eps } = this.config;
    const norm = (name: string, numChannels: number) =>
      this.child(new GroupNormalization({ name, numChannels, numGroups, eps }));
    const conv = (name: string, from: number, kernelSize: number): Convolution =>
      this.child(this.convolution({ name, inChannels: from, outChannels, kernelSize }));
    this.norm1 = norm('norm1', inChannels);
    this.conv1 = conv('conv1', inChannels, 3);
    if (tembChannels)
      this.timeEmbProj = this.child(
        new Linear({ name: 'time_emb_proj', inFeatures: tembChannels, outFeatures: outChannels }),
      );
    this.norm2 = norm('norm2', outChannels);
    this.conv2 = conv('conv2', outChannels, 3);
    if (inChannels !== outChannels) this.convShortcut = conv('conv_shortcut', inChannels, 1);
  }

  override get config(): Record<'outChannels' | 'eps', number> & Args {
    return { outChannels: this.args.inChannels, eps: 1e-6, ...this.args };
  }

  override misfits() {
    const { inChannels, outChannels, groups } = this.config;
    const by = groups === undefined ? undefined : { groups };
    return [indivisible({ inChannels }, by), indivisible({ outChannels }, by)];
  }

  /** A convolution that changes only the channels. */
  protected abstract convolution(
    args: LayerArgs & Record<'inChannels' | 'outChannels' | 'kernelSize', number>,
  ): Convolution;

  override get inputAxes(): Inputs {
    const { inChannels, tembChannels } = this.args;
    const x = [this.items, 'H', 'W', inChannels];
    return tembChannels ? { x, temb: [this.items, tembChannels] } : { x };
  }

  /** The change that the block adds to its (projected) input: `[N, H, W, outChannels]`. */
  change([x, temb]: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    const shift = this.timeEmbProj ? [this.timeEmbProj.call(silu(temb))] : []; // [N, O]
    return sequential(
      x,
      (h) => this.norm1.call(h, kwargs),
      silu,
      (h) => this.conv1.call([h, ...shift], kwargs), // [N, H, W, O]
      (h) => this.norm2.call(h, kwargs),
      silu,
      (h) => this.conv2.call(h, kwargs),
    );
  }

  /** The computation, in which every layer is called with `kwargs`. */
  protected transform(inputs: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    const change = this.change(inputs, kwargs);
    const [x] = inputs;
    return tf.add(this.convShortcut ? this.convShortcut.call(x, kwargs) : x, change);
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return withLast(firstShape(inputShape), this.config.outChannels);
  }
}
