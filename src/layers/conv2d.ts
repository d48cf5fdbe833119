/** The convolutions of the SVD networks: over space, and over time. */
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {
  type Bias,
  conv2d,
  type Padding,
  padEvenly,
  temporalConv,
  upsampleConv2d,
} from '../ops/index.ts';
import { count, flag } from '../text/kinds.ts';
import {
  type CallArgs,
  type FramesArgs,
  firstShape,
  framesOf,
  type Inputs,
  type LayerArgs,
  uniformFor,
  weightOf,
} from './block.ts';
import { type Checks, oddCount, paddingOfPicture } from './checks.ts';
import { registerLayer } from './registry.ts';
import { withLast } from './videos.ts';
import { WeightedLayer } from './weightedLayer.ts';

/** Arguments of `Conv2d`. */
export interface Conv2dArgs extends LayerArgs {
  /** Channels of the input. */
  inChannels: number;
  /** Channels of the output. */
  outChannels: number;
  /** Side of the square kernel. Default 3. */
  kernelSize?: number;
  /** Default 1. */
  stride?: number;
  /**
   * Zeros around the input: one number for all sides, or `[[top, bottom], [left, right]]`. Default
   * 0.
   */
  padding?: number | Padding;
  /** Default true. */
  bias?: boolean;
}

/**
 * PyTorch's `Conv2d`. Inputs `[x [N, H, W, inChannels], shift [N, outChannels]]`; a shift is added
 * to its image -> `[N, H', W', outChannels]`.
 *
 * Equals `torch.nn.Conv2d` with a square kernel.
 *
 * @example
 * ```ts
 * const conv = new Conv2d({ inChannels: 3, outChannels: 8, padding: 1, stride: 2 });
 * const y = conv.apply(tf.randomNormal([2, 16, 24, 3])); // [2, 8, 12, 8]
 * ```
 */
export class Conv2d extends WeightedLayer<Conv2dArgs> {
  static className = 'Conv2d';
  static override checks: Checks = {
    inChannels: count,
    outChannels: count,
    kernelSize: count,
    stride: count,
    padding: paddingOfPicture,
    bias: flag,
  };

  override get config() {
    return { kernelSize: 3, stride: 1, padding: 0, bias: true, ...this.args };
  }

  protected override buildSelf(): void {
    const { inChannels, outChannels, kernelSize, bias } = this.config;
    const fanIn = inChannels * kernelSize ** 2;
    this.weight = this.parameter(
      'weight',
      [kernelSize, kernelSize, inChannels, outChannels],
      'conv2d',
      uniformFor(fanIn),
    );
    if (bias) this.bias = this.parameter('bias', [outChannels], 'same', uniformFor(fanIn));
  }

  private get padding(): Padding {
    const { padding } = this.config;
    return typeof padding === 'number' ? padEvenly(padding) : padding;
  }

  override get inputAxes(): Inputs {
    return { x: ['N', 'H', 'W', this.args.inChannels], 'shift?': ['N', this.args.outChannels] };
  }

  protected forward([x, shift]: tf.Tensor[]): tf.Tensor4D {
    const bias = shifted(this.bias, shift);
    const { stride } = this.config;
    return conv2d(x as tf.Tensor4D, this.effectiveWeight(), bias, this.padding, stride);
  }

  /**
   * Upsampling of x `[N, H, W, inChannels]` by two, then this convolution, of 3x3 and padding 1 ->
   * `[N, 2H, 2W, outChannels]`.
   */
  afterUpsampling(x: tf.Tensor4D): tf.Tensor4D {
    return upsampleConv2d(x, this.effectiveWeight(), weightOf(this.bias as tfl.LayerVariable));
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    const { outChannels, kernelSize, stride } = this.config;
    const shape = firstShape(inputShape);
    const [h, w] = shape.slice(-3);
    const [rows, columns] = this.padding;
    const size = (length: number | null, [before, after]: [number, number]) =>
      length === null ? null : Math.floor((length + before + after - kernelSize) / stride) + 1;
    return withLast(shape, size(h, rows), size(w, columns), outChannels);
  }
}
registerLayer(Conv2d);

/**
 * The sum of bias `[O]` and shift `[N, O]`, so that one pass over the convolution's result adds
 * both. Either may be missing.
 */
function shifted(
  bias: tfl.LayerVariable | undefined,
  shift: tf.Tensor | undefined,
): Bias | undefined {
  if (!bias || !shift) return (bias ? weightOf(bias) : shift) as Bias | undefined;
  return tf.add(shift, weightOf(bias)) as Bias;
}

/** Arguments of `TemporalConv`. */
export interface TemporalConvArgs extends FramesArgs {
  /** Channels of the input. */
  inChannels: number;
  /** Channels of the output. */
  outChannels: number;
  /** Frames that the kernel spans, odd. Default 3. */
  kernelSize?: number;
}

/**
 * PyTorch's `Conv3d` with a `(kernelSize, 1, 1)` kernel and zero padding to the same length. Inputs
 * `[x [B*F, H, W, inChannels], shift [B*F, outChannels]]`; a shift is added to its frame -> `[B*F,
 * H, W, outChannels]`. Call it with `{ numFrames }`.
 *
 * Equals `torch.nn.Conv3d` with a `(kernelSize, 1, 1)` kernel.
 *
 * @example
 * ```ts
 * const conv = new TemporalConv({ inChannels: 16, outChannels: 32 });
 * const frames = tf.randomNormal([2 * 7, 8, 12, 16]); // two videos of seven frames
 * const y = conv.apply(frames, { numFrames: 7 }); // [14, 8, 12, 32]
 * ```
 */
export class TemporalConv extends WeightedLayer<TemporalConvArgs> {
  static className = 'TemporalConv';
  static override checks: Checks = { inChannels: count, outChannels: count, kernelSize: oddCount };

  override get config() {
    return { kernelSize: 3, ...this.args };
  }

  protected override buildSelf(): void {
    const { inChannels, outChannels, kernelSize } = this.config;
    const fanIn = inChannels * kernelSize;
    this.weight = this.parameter(
      'weight',
      [kernelSize, 1, inChannels, outChannels],
      'temporalConv',
      uniformFor(fanIn),
    );
    this.bias = this.parameter('bias', [outChannels], 'same', uniformFor(fanIn));
  }

  override get inputAxes(): Inputs {
    return { x: ['B*F', 'H', 'W', this.args.inChannels], 'shift?': ['B*F', this.args.outChannels] };
  }

  protected forward([x, shift]: tf.Tensor[], kwargs: CallArgs): tf.Tensor4D {
    return temporalConv(
      x as tf.Tensor4D,
      this.effectiveWeight(),
      shifted(this.bias, shift) as Bias,
      framesOf(kwargs, x),
    );
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return withLast(firstShape(inputShape), this.args.outChannels);
  }
}
registerLayer(TemporalConv);
