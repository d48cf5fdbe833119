/** Changes of resolution. */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { type Padding, resizeNearest } from '../ops/index.ts';
import { count } from '../text/kinds.ts';
import { Block, type CallArgs, type Inputs, type LayerArgs } from './block.ts';
import type { Checks } from './checks.ts';
import { Conv2d } from './conv2d.ts';
import { registerLayer } from './registry.ts';
import { withLast } from './videos.ts';

/** Arguments of `Downsample2D`. */
export interface Downsample2DArgs extends LayerArgs {
  /** Channels of the input. */
  channels: number;
  /** Default: `channels`. */
  outChannels?: number;
  /** 1 (default, the UNet): zeros on all sides. 0 (the VAE): zeros at right and bottom only. */
  padding?: 0 | 1;
}

const rightAndBottom: Padding = [
  [0, 1],
  [0, 1],
];

/**
 * 3x3 convolution of stride 2: `[N, H, W, channels]` -> `[N, ceil(H/2), ceil(W/2), outChannels]`
 * (floor with `padding` 0).
 *
 * Equals `Downsample2D` of diffusers' `models/downsampling.py` with its convolution.
 *
 * @example
 * ```ts
 * const downsample = new Downsample2D({ channels: 32 });
 * const y = downsample.apply(tf.randomNormal([2, 9, 12, 32])); // [2, 5, 6, 32]
 * ```
 */
export class Downsample2D extends Block<Downsample2DArgs> {
  static className = 'Downsample2D';
  static override checks: Checks = {
    channels: count,
    outChannels: count,
    padding: { oneOf: [0, 1] },
  };
  private readonly conv: Conv2d;

  constructor(args: Downsample2DArgs) {
    super(args);
    const { channels: inChannels, outChannels, padding } = this.config;
    this.conv = this.child(
      new Conv2d({
        name: 'conv',
        inChannels,
        outChannels,
        stride: 2,
        padding: padding || rightAndBottom,
      }),
    );
  }

  override get config() {
    return { outChannels: this.args.channels, padding: 1 as const, ...this.args };
  }

  override get inputAxes(): Inputs {
    return { x: ['N', 'H', 'W', this.args.channels] };
  }

  protected forward([x]: tf.Tensor[]): tf.Tensor {
    return this.conv.call(x);
  }

  override computeOutputShape(inputShape: tfl.Shape): tfl.Shape {
    return this.conv.computeOutputShape(inputShape);
  }
}
registerLayer(Downsample2D);

/** Arguments of `Upsample2D`. */
export interface Upsample2DArgs extends LayerArgs {
  /** Channels of the input. */
  channels: number;
  /** Default: `channels`. */
  outChannels?: number;
}

/**
 * Nearest-neighbour upsampling and a 3x3 convolution: `[N, H, W, channels]` -> `[N, 2H, 2W,
 * outChannels]`, or to the size given as `{ outputSize: [height, width] }`.
 *
 * Equals `Upsample2D` of diffusers' `models/upsampling.py` with its convolution.
 *
 * @example
 * ```ts
 * const upsample = new Upsample2D({ channels: 32, outChannels: 16 });
 * const y = upsample.apply(tf.randomNormal([2, 5, 6, 32])); // [2, 10, 12, 16]
 * // [2, 9, 12, 16]
 * const sized = upsample.apply(tf.randomNormal([2, 5, 6, 32]), { outputSize: [9, 12] });
 * ```
 */
export class Upsample2D extends Block<Upsample2DArgs> {
  static className = 'Upsample2D';
  static override checks: Checks = { channels: count, outChannels: count };
  private readonly conv: Conv2d;

  constructor(args: Upsample2DArgs) {
    super(args);
    const { channels: inChannels, outChannels } = this.config;
    this.conv = this.child(new Conv2d({ name: 'conv', inChannels, outChannels, padding: 1 }));
  }

  override get config() {
    return { outChannels: this.args.channels, ...this.args };
  }

  override get inputAxes(): Inputs {
    return { x: ['N', 'H', 'W', this.args.channels] };
  }

  override get callArgNames(): readonly string[] {
    return ['numFrames', 'outputSize'];
  }

  protected forward([x]: tf.Tensor[], { outputSize }: CallArgs): tf.Tensor {
    const image = x as tf.Tensor4D;
    return outputSize
      ? this.conv.call(resizeNearest(image, outputSize))
      : this.conv.afterUpsampling(image);
  }

  override computeOutputShape(inputShape: tfl.Shape): tfl.Shape {
    const twice = inputShape.slice(-3, -1).map((length) => (length === null ? null : 2 * length));
    return withLast(inputShape, ...(this.applying?.outputSize ?? twice), this.config.outChannels);
  }
}
registerLayer(Upsample2D);
