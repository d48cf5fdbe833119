/** The two halves of the VAE. */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { type Checks, indivisible, layerCount } from '../../layers/checks.ts';
import {
  type CallArgs,
  Conv2d,
  type FramesArgs,
  GroupNormalization,
  type Inputs,
  type LayerArgs,
  type Steps,
  StepwiseBlock,
  TemporalConv,
  TensorScope,
} from '../../layers/index.ts';
import { registerLayer } from '../../layers/registry.ts';
import { silu } from '../../ops/index.ts';
import { count, listOf } from '../../text/kinds.ts';
import {
  DownEncoderBlock2D,
  MidBlockTemporalDecoder,
  UNetMidBlock2D,
  UpBlockTemporalDecoder,
} from './blocks.ts';
import { advance, type Chain } from './chain.ts';

/** Arguments of both halves of the VAE. */
export interface CoderArgs extends LayerArgs {
  /** Channels of the input. */
  inChannels: number;
  /** Channels of the output; the encoder has twice as many, means and logarithms of variances. */
  outChannels: number;
  /** Channels from the full resolution down. */
  blockOutChannels: number[];
  /** Residual blocks of each level; the decoder has one more. */
  layersPerBlock: number;
}

/** The base class of both halves: convolution, blocks, normalisation, SiLU, convolution. */
abstract class Coder extends StepwiseBlock<CoderArgs> {
  static override checks: Checks = {
    inChannels: count,
    outChannels: count,
    blockOutChannels: listOf(count),
    layersPerBlock: layerCount,
  };
  private readonly convIn: Conv2d;
  private readonly blocks: Chain<LayerArgs>[];
  private readonly convNormOut: GroupNormalization;
  private readonly convOut: Conv2d;

  constructor(args: CoderArgs) {
    super(args);
    const { channels } = this;
    const [first, last] = [channels[0], channels[channels.length - 1]];
    const conv = (name: string, from: number, to: number) =>
      this.child(new Conv2d({ name, inChannels: from, outChannels: to, padding: 1 }));
    this.convIn = conv('conv_in', args.inChannels, first);
    this.blocks = this.makeBlocks(channels).map((block) => this.child(block));
    this.convNormOut = this.child(
      new GroupNormalization({ name: 'conv_norm_out', numChannels: last, eps: 1e-6 }),
    );
    this.convOut = conv('conv_out', last, this.codeChannels);
  }

  override misfits() {
    return this.args.blockOutChannels.map((channels, i) =>
      indivisible({ [`blockOutChannels[${i}]`]: channels }),
    );
  }

  /** Channels of the levels in order of execution. */
  protected get channels(): number[] {
    return this.args.blockOutChannels;
  }

  /** Channels of the last convolution's result. */
  protected get codeChannels(): number {
    return this.args.outChannels;
  }

  /** The blocks between `convIn` and `convNormOut`. */
  protected abstract makeBlocks(channels: number[]): Chain<LayerArgs>[];

  *steps([x]: tf.Tensor[], kwargs: CallArgs): Steps<tf.Tensor> {
    using scope = new TensorScope();
    let h = yield* scope.run(this.convIn, [x]); // [N, H, W, C]
    for (const block of this.blocks) h = yield* advance(scope, block, h, kwargs);
    h = yield* advance(scope, this.convNormOut, h);
    h = scope.map(h, silu);
    return scope.release(yield* advance(scope, this.convOut, h)); // [N, H', W', O]
  }

  override computeOutputShape(inputShape: tfl.Shape): tfl.Shape {
    const coded = this.blocks.reduce((shape, block) => block.computeOutputShape(shape), inputShape);
    return this.convOut.computeOutputShape(coded);
  }
}

/**
 * Pictures to moments: `[N, H, W, inChannels]` -> `[N, h, w, 2 * outChannels]`, h = H / 2^(levels -
 * 1).
 *
 * Equals `Encoder` of diffusers' `models/autoencoders/vae.py` with `double_z`.
 *
 * @example
 * ```ts
 * const encoder = new Encoder({
 *   inChannels: 3,
 *   outChannels: 4,
 *   blockOutChannels: [32, 32],
 *   layersPerBlock: 1,
 * });
 * const moments = encoder.apply(tf.randomNormal([2, 16, 24, 3])); // [2, 8, 12, 8]
 * ```
 */
export class Encoder extends Coder {
  static className = 'Encoder';

  protected override get codeChannels(): number {
    return 2 * this.args.outChannels;
  }

  protected makeBlocks(channels: number[]): Chain<LayerArgs>[] {
    const downBlocks = channels.map(
      (outChannels, i) =>
        new DownEncoderBlock2D({
          name: `down_blocks.${i}`,
          inChannels: channels[Math.max(0, i - 1)],
          outChannels,
          numLayers: this.args.layersPerBlock,
          addDownsample: i < channels.length - 1,
        }),
    );
    const inChannels = channels[channels.length - 1];
    return [...downBlocks, new UNetMidBlock2D({ name: 'mid_block', inChannels })];
  }

  override get inputAxes(): Inputs {
    return { x: ['N', 'H', 'W', this.args.inChannels] };
  }
}
registerLayer(Encoder);

/** Arguments of `TemporalDecoder`. */
export interface TemporalDecoderArgs extends CoderArgs, FramesArgs {}

/**
 * Latents to frames: `[B*F, h, w, inChannels]`, kwargs `{ numFrames }` -> `[B*F, H, W,
 * outChannels]`.
 *
 * Equals `TemporalDecoder` of diffusers' `models/autoencoders/autoencoder_kl_temporal_decoder.py`.
 *
 * @example
 * ```ts
 * const decoder = new TemporalDecoder({
 *   inChannels: 4,
 *   outChannels: 3,
 *   blockOutChannels: [32, 32],
 *   layersPerBlock: 1,
 * });
 * const frames = decoder.apply(tf.randomNormal([3, 8, 12, 4]), { numFrames: 3 }); // [3, 16, 24, 3]
 * ```
 */
export class TemporalDecoder extends Coder {
  static className = 'TemporalDecoder';
  private readonly timeConvOut: TemporalConv;

  constructor(args: TemporalDecoderArgs) {
    super(args);
    const { outChannels } = args;
    this.timeConvOut = this.child(
      new TemporalConv({ name: 'time_conv_out', inChannels: outChannels, outChannels }),
    );
  }

  protected override get channels(): number[] {
    return [...this.args.blockOutChannels].reverse();
  }

  protected makeBlocks(channels: number[]): Chain<LayerArgs>[] {
    const numLayers = this.args.layersPerBlock;
    const [first] = channels;
    const upBlocks = channels.map(
      (outChannels, i) =>
        new UpBlockTemporalDecoder({
          name: `up_blocks.${i}`,
          inChannels: channels[Math.max(0, i - 1)],
          outChannels,
          numLayers: numLayers + 1,
          addUpsample: i < channels.length - 1,
        }),
    );
    return [
      new MidBlockTemporalDecoder({
        name: 'mid_block',
        inChannels: first,
        outChannels: first,
        numLayers,
      }),
      ...upBlocks,
    ];
  }

  override get inputAxes(): Inputs {
    return { x: ['B*F', 'H', 'W', this.args.inChannels] };
  }

  /** The forward pass, whose last step is the convolution over time. */
  override *steps(inputs: tf.Tensor[], kwargs: CallArgs): Steps<tf.Tensor> {
    using scope = new TensorScope();
    const h = scope.keep(yield* super.steps(inputs, kwargs));
    return scope.release(yield* advance(scope, this.timeConvOut, h, kwargs)); // [B*F, H, W, O]
  }
}
registerLayer(TemporalDecoder);
