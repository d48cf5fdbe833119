/** The blocks of the VAE. */
import { type Checks, indivisible, layerCount } from '../../layers/checks.ts';
import {
  Attention,
  type Block,
  Downsample2D,
  type FramesArgs,
  type Inputs,
  type LayerArgs,
  ResnetBlock2D,
  SpatioTemporalResBlock,
  Upsample2D,
} from '../../layers/index.ts';
import { registerLayer } from '../../layers/registry.ts';
import { count, flag } from '../../text/kinds.ts';
import { Chain } from './chain.ts';

/** Arguments that the blocks of the VAE have in common. */
export interface VaeBlockArgs extends LayerArgs {
  /** Channels of the input. */
  inChannels: number;
  /** Channels of the output. */
  outChannels: number;
  /** Default 1. */
  numLayers?: number;
}

const vaeBlockChecks: Checks = { inChannels: count, outChannels: count, numLayers: layerCount };

const channelMisfits = ({ inChannels, outChannels }: VaeBlockArgs) => [
  indivisible({ inChannels }),
  indivisible({ outChannels }),
];

const attentionOf = (channels: number) =>
  new Attention({
    name: 'attentions.0',
    queryDim: channels,
    heads: 1,
    dimHead: channels,
    bias: true,
    normNumGroups: 32,
    eps: 1e-6,
    residualConnection: true,
  });

/** Arguments of `DownEncoderBlock2D`. */
export interface DownEncoderBlock2DArgs extends VaeBlockArgs {
  /** Default true. */
  addDownsample?: boolean;
}

/**
 * Residual blocks over space and a downsampler that pads right and bottom only: `[N, H, W,
 * inChannels]` -> `[N, H/2, W/2, outChannels]`.
 *
 * Equals `DownEncoderBlock2D` of diffusers' `models/unets/unet_2d_blocks.py`, as the VAE uses it.
 *
 * @example
 * ```ts
 * const block = new DownEncoderBlock2D({ inChannels: 32, outChannels: 64 });
 * const y = block.apply(tf.randomNormal([2, 16, 24, 32])); // [2, 8, 12, 64]
 * ```
 */
export class DownEncoderBlock2D extends Chain<DownEncoderBlock2DArgs> {
  static className = 'DownEncoderBlock2D';
  static override checks: Checks = { ...vaeBlockChecks, addDownsample: flag };
  protected readonly chain: Block<LayerArgs>[];

  override get config() {
    return { numLayers: 1, addDownsample: true, ...this.args };
  }

  override misfits() {
    return channelMisfits(this.config);
  }

  override get inputAxes(): Inputs {
    return { x: ['N', 'H', 'W', this.args.inChannels] };
  }

  constructor(args: DownEncoderBlock2DArgs) {
    super(args);
    const { inChannels, outChannels, numLayers, addDownsample } = this.config;
    this.chain = Array.from({ length: numLayers }, (_, i) =>
      this.child(
        new ResnetBlock2D({
          name: `resnets.${i}`,
          inChannels: i === 0 ? inChannels : outChannels,
          outChannels,
        }),
      ),
    );
    if (addDownsample) {
      this.chain.push(
        this.child(new Downsample2D({ name: 'downsamplers.0', channels: outChannels, padding: 0 })),
      );
    }
  }
}
registerLayer(DownEncoderBlock2D);

/** Arguments of `UNetMidBlock2D`. */
export interface UNetMidBlock2DArgs extends LayerArgs {
  /** Channels of input and output, which are also those of its one attention head. */
  inChannels: number;
}

/**
 * The encoder's middle: residual block, attention over space, residual block. `[N, H, W,
 * inChannels]` -> the same shape.
 *
 * Equals `UNetMidBlock2D` of diffusers' `models/unets/unet_2d_blocks.py`, as the VAE uses it.
 *
 * @example
 * ```ts
 * const block = new UNetMidBlock2D({ inChannels: 32 });
 * const y = block.apply(tf.randomNormal([2, 8, 12, 32])); // [2, 8, 12, 32]
 * ```
 */
export class UNetMidBlock2D extends Chain<UNetMidBlock2DArgs> {
  static className = 'UNetMidBlock2D';
  static override checks: Checks = { inChannels: count };
  protected readonly chain: Block<LayerArgs>[];

  override misfits() {
    const { inChannels } = this.args;
    return [indivisible({ inChannels })];
  }

  override get inputAxes(): Inputs {
    return { x: ['N', 'H', 'W', this.args.inChannels] };
  }

  constructor(args: UNetMidBlock2DArgs) {
    super(args);
    const { inChannels } = args;
    const attention = this.child(attentionOf(inChannels));
    const resnets = [0, 1].map((i) =>
      this.child(new ResnetBlock2D({ name: `resnets.${i}`, inChannels })),
    );
    this.chain = [resnets[0], attention, resnets[1]];
  }
}
registerLayer(UNetMidBlock2D);

/**
 * The residual blocks of a part of the decoder, the first of which changes the channels: a learned
 * blend whose weight belongs to the temporal branch, which has its own epsilon.
 */
const decoderResnets = ({
  inChannels,
  outChannels,
  numLayers,
}: VaeBlockArgs & { numLayers: number }) =>
  Array.from(
    { length: numLayers },
    (_, i) =>
      new SpatioTemporalResBlock({
        name: `resnets.${i}`,
        inChannels: i === 0 ? inChannels : outChannels,
        outChannels,
        eps: 1e-6,
        temporalEps: 1e-5,
        mergeFactor: 0,
        mergeStrategy: 'learned',
        switchSpatialToTemporalMix: true,
      }),
  );

/** Arguments of `MidBlockTemporalDecoder`. */
export interface MidBlockTemporalDecoderArgs extends VaeBlockArgs, FramesArgs {}

/**
 * The decoder's middle. As in diffusers, one attention follows the first residual block if there is
 * a second one; with one layer it is there and never runs, and residual blocks from the third on
 * never run. `[B*F, H, W, inChannels]`, kwargs `{ numFrames }`
 * -> `[B*F, H, W, outChannels]`.
 *
 * Equals `MidBlockTemporalDecoder` of diffusers' `models/unets/unet_3d_blocks.py`.
 *
 * @example
 * ```ts
 * const block = new MidBlockTemporalDecoder({ inChannels: 32, outChannels: 32, numLayers: 2 });
 * const y = block.apply(tf.randomNormal([2 * 7, 8, 12, 32]), { numFrames: 7 }); // [14, 8, 12, 32]
 * ```
 */
export class MidBlockTemporalDecoder extends Chain<MidBlockTemporalDecoderArgs> {
  static className = 'MidBlockTemporalDecoder';
  static override checks: Checks = vaeBlockChecks;
  protected readonly chain: Block<LayerArgs>[];

  override get config() {
    return { numLayers: 1, ...this.args };
  }

  override misfits() {
    const { inChannels, outChannels, numLayers } = this.config;
    // The attention has the channels of the input and follows the first residual block.
    const attends = numLayers > 1 && inChannels !== outChannels;
    return [
      ...channelMisfits(this.config),
      attends
        ? '`inChannels` and `outChannels` have to be equal if `numLayers` is more than 1 but are ' +
          `${inChannels} and ${outChannels}.`
        : undefined,
    ];
  }

  override get inputAxes(): Inputs {
    return { x: ['B*F', 'H', 'W', this.args.inChannels] };
  }

  constructor(args: MidBlockTemporalDecoderArgs) {
    super(args);
    const attention = this.child(attentionOf(args.inChannels));
    const resnets = decoderResnets(this.config).map((resnet) => this.child(resnet));
    this.chain = resnets.length > 1 ? [resnets[0], attention, resnets[1]] : [resnets[0]];
  }
}
registerLayer(MidBlockTemporalDecoder);

/** Arguments of `UpBlockTemporalDecoder`. */
export interface UpBlockTemporalDecoderArgs extends VaeBlockArgs, FramesArgs {
  /** Default true. */
  addUpsample?: boolean;
}

/**
 * Residual blocks over space and time, and an upsampler: `[B*F, H, W, inChannels]`, kwargs `{
 * numFrames }`
 * -> `[B*F, 2H, 2W, outChannels]`.
 *
 * Equals `UpBlockTemporalDecoder` of diffusers' `models/unets/unet_3d_blocks.py`.
 *
 * @example
 * ```ts
 * const block = new UpBlockTemporalDecoder({ inChannels: 64, outChannels: 32 });
 * const y = block.apply(tf.randomNormal([2 * 3, 4, 6, 64]), { numFrames: 3 }); // [6, 8, 12, 32]
 * ```
 */
export class UpBlockTemporalDecoder extends Chain<UpBlockTemporalDecoderArgs> {
  static className = 'UpBlockTemporalDecoder';
  static override checks: Checks = { ...vaeBlockChecks, addUpsample: flag };
  protected readonly chain: Block<LayerArgs>[];

  override get config() {
    return { numLayers: 1, addUpsample: true, ...this.args };
  }

  override misfits() {
    return channelMisfits(this.config);
  }

  override get inputAxes(): Inputs {
    return { x: ['B*F', 'H', 'W', this.args.inChannels] };
  }

  constructor(args: UpBlockTemporalDecoderArgs) {
    super(args);
    const { outChannels, addUpsample } = this.config;
    this.chain = decoderResnets(this.config).map((resnet) => this.child(resnet));
    if (addUpsample)
      this.chain.push(this.child(new Upsample2D({ name: 'upsamplers.0', channels: outChannels })));
  }
}
registerLayer(UpBlockTemporalDecoder);
