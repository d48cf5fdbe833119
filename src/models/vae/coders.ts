/**
 * The two halves of the VAE, mirroring `Encoder` of diffusers' `models/autoencoders/vae.py` and
 * `TemporalDecoder` of `autoencoder_kl_temporal_decoder.py`.
 */
import * as tf from '@tensorflow/tfjs';
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
import { silu } from '../../ops/index.ts';
import {
  DownEncoderBlock2D,
  MidBlockTemporalDecoder,
  UNetMidBlock2D,
  UpBlockTemporalDecoder,
} from './blocks.ts';
import { advance, type Chain } from './chain.ts';

/** Arguments of `Encoder`. */
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
  /** The convolution in front. */
  protected abstract readonly convIn: Conv2d;
  /** The blocks between. */
  protected abstract readonly blocks: Chain<LayerArgs>[];
  /** The normalisation behind the blocks. */
  protected abstract readonly convNormOut: GroupNormalization;
  /** The convolution at the end. */
  protected abstract readonly convOut: Conv2d;
  /** The decoder's convolution over time, behind all others. */
  protected readonly timeConvOut?: TemporalConv;

  *steps([x]: tf.Tensor[], kwargs: CallArgs): Steps<tf.Tensor> {
    using scope = new TensorScope();
    let h = yield* scope.run(this.convIn, [x]); // [N, H, W, C]
    for (const block of this.blocks) h = yield* advance(scope, block, h, kwargs);
    h = yield* advance(scope, this.convNormOut, h);
    h = scope.map(h, silu);
    h = yield* advance(scope, this.convOut, h); // [N, H', W', O]
    if (this.timeConvOut) h = yield* advance(scope, this.timeConvOut, h, kwargs);
    return scope.release(h);
  }

  override computeOutputShape(inputShape: tf.Shape): tf.Shape {
    const coded = this.blocks.reduce(
      (shape, block) => block.computeOutputShape(shape) as tf.Shape,
      inputShape,
    );
    return this.convOut.computeOutputShape(coded);
  }
}

const last = <T>(list: T[]): T => list[list.length - 1];

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
  protected readonly convIn: Conv2d;
  protected readonly blocks: Chain<LayerArgs>[];
  protected readonly convNormOut: GroupNormalization;
  protected readonly convOut: Conv2d;

  override get inputAxes(): Inputs {
    return { x: ['N', 'H', 'W', this.args.inChannels] };
  }

  constructor(args: CoderArgs) {
    super(args);
    const { inChannels, outChannels, blockOutChannels: channels, layersPerBlock } = args;
    const deepest = last(channels);
    this.convIn = this.child(
      new Conv2d({ name: 'conv_in', inChannels, outChannels: channels[0], padding: 1 }),
    );
    const downBlocks = channels.map((width, i) =>
      this.child(
        new DownEncoderBlock2D({
          name: `down_blocks.${i}`,
          inChannels: channels[Math.max(0, i - 1)],
          outChannels: width,
          numLayers: layersPerBlock,
          addDownsample: i < channels.length - 1,
        }),
      ),
    );
    const midBlock = this.child(new UNetMidBlock2D({ name: 'mid_block', inChannels: deepest }));
    this.blocks = [...downBlocks, midBlock];
    this.convNormOut = this.child(
      new GroupNormalization({ name: 'conv_norm_out', numChannels: deepest, eps: 1e-6 }),
    );
    this.convOut = this.child(
      new Conv2d({
        name: 'conv_out',
        inChannels: deepest,
        outChannels: 2 * outChannels,
        padding: 1,
      }),
    );
  }
}
tf.serialization.registerClass(Encoder);

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
  protected readonly convIn: Conv2d;
  protected readonly blocks: Chain<LayerArgs>[];
  protected readonly convNormOut: GroupNormalization;
  protected readonly convOut: Conv2d;
  protected override readonly timeConvOut: TemporalConv;

  override get inputAxes(): Inputs {
    return { x: ['B*F', 'H', 'W', this.args.inChannels] };
  }

  constructor(args: TemporalDecoderArgs) {
    super(args);
    const { inChannels, outChannels, blockOutChannels, layersPerBlock } = args;
    const channels = [...blockOutChannels].reverse();
    this.convIn = this.child(
      new Conv2d({ name: 'conv_in', inChannels, outChannels: channels[0], padding: 1 }),
    );
    const midBlock = this.child(
      new MidBlockTemporalDecoder({
        name: 'mid_block',
        inChannels: channels[0],
        outChannels: channels[0],
        numLayers: layersPerBlock,
      }),
    );
    const upBlocks = channels.map((width, i) =>
      this.child(
        new UpBlockTemporalDecoder({
          name: `up_blocks.${i}`,
          inChannels: channels[Math.max(0, i - 1)],
          outChannels: width,
          numLayers: layersPerBlock + 1,
          addUpsample: i < channels.length - 1,
        }),
      ),
    );
    this.blocks = [midBlock, ...upBlocks];
    this.convNormOut = this.child(
      new GroupNormalization({ name: 'conv_norm_out', numChannels: last(channels), eps: 1e-6 }),
    );
    this.convOut = this.child(
      new Conv2d({ name: 'conv_out', inChannels: last(channels), outChannels, padding: 1 }),
    );
    this.timeConvOut = this.child(
      new TemporalConv({ name: 'time_conv_out', inChannels: outChannels, outChannels }),
    );
  }
}
tf.serialization.registerClass(TemporalDecoder);
