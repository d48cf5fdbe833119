/**
 * The VAE of Stable Video Diffusion, mirroring diffusers'
 * `models/autoencoders/autoencoder_kl_temporal_decoder.py`.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { type Checks, indivisible } from '../layers/checks.ts';
import {
  type CallArgs,
  type ComputeDtype,
  Conv2d,
  firstShape,
  type Inputs,
  type LayerArgs,
  runSteps,
  type StepOptions,
  type Steps,
  StepwiseBlock,
  TensorScope,
} from '../layers/index.ts';
import { registerLayer } from '../layers/registry.ts';
import { flag, number, oneOf, optional, whole } from '../text/kinds.ts';
import { channels, differentLengths, layers, listPerLevel } from './perBlock.ts';
import { Encoder, TemporalDecoder } from './vae/coders.ts';
import { DiagonalGaussianDistribution } from './vae/diagonalGaussianDistribution.ts';

/** The keys of `vae/config.json` in camelCase; defaults are diffusers' class defaults. */
export interface AutoencoderKLTemporalDecoderConfig extends LayerArgs {
  /** Default 3. */
  inChannels?: number;
  /** Default 3. */
  outChannels?: number;
  /** Default one `DownEncoderBlock2D`. */
  downBlockTypes?: string[];
  /** Default [64]. */
  blockOutChannels?: number[];
  /** Default 1. */
  layersPerBlock?: number;
  /** Default 4. */
  latentChannels?: number;
  /** Default 32. */
  sampleSize?: number;
  /**
   * Latents are multiplied by this before they meet the UNet, and divided by it before decoding.
   * Default 0.18215.
   */
  scalingFactor?: number;
  /** Kept for checkpoints: everything here runs in float32. Default true. */
  forceUpcast?: boolean;
}

/**
 * Encodes pictures one by one, decodes videos: temporal layers mix the frames of one `decode` call.
 *
 * As a layer, inputs `[sample [B*F, H, W, inChannels], noise [B*F, h, w, latentChannels]]`, kwargs
 * `{ numFrames }` (default 1): encodes, takes the mode (or, if noise is given, a sample), decodes
 * -> `[B*F, H, W, outChannels]`. No scaling factor is applied.
 */
export class AutoencoderKLTemporalDecoder extends StepwiseBlock<AutoencoderKLTemporalDecoderConfig> {
  static className = 'AutoencoderKLTemporalDecoder';
  static override ignoresOthers = true;
  static override checks: Checks = {
    inChannels: channels,
    outChannels: channels,
    downBlockTypes: listPerLevel(oneOf('DownEncoderBlock2D')),
    blockOutChannels: listPerLevel(channels),
    layersPerBlock: layers,
    latentChannels: channels,
    sampleSize: optional(whole(1, 2 ** 16)),
    scalingFactor: number({ above: 0, max: 1e6 }),
    forceUpcast: flag,
  };
  private readonly encoder: Encoder;
  private readonly decoder: TemporalDecoder;
  private readonly quantConv: Conv2d;

  constructor(config: AutoencoderKLTemporalDecoderConfig = {}) {
    super(config);
    const {
      inChannels,
      outChannels,
      blockOutChannels,
      layersPerBlock,
      latentChannels,
      forceUpcast,
    } = this.config;
    const common = { blockOutChannels, layersPerBlock };
    const encoding: LayerArgs = forceUpcast ? { computeDtype: 'float32' } : {};
    this.encoder = this.child(
      new Encoder({
        name: 'encoder',
        inChannels,
        outChannels: latentChannels,
        ...common,
        ...encoding,
      }),
    );
    this.decoder = this.child(
      new TemporalDecoder({ name: 'decoder', inChannels: latentChannels, outChannels, ...common }),
    );
    this.quantConv = this.child(
      new Conv2d({
        name: 'quant_conv',
        inChannels: 2 * latentChannels,
        outChannels: 2 * latentChannels,
        kernelSize: 1,
        ...encoding,
      }),
    );
  }

  override get config() {
    return {
      inChannels: 3,
      outChannels: 3,
      downBlockTypes: ['DownEncoderBlock2D'],
      blockOutChannels: [64],
      layersPerBlock: 1,
      latentChannels: 4,
      sampleSize: 32,
      scalingFactor: 0.18215,
      forceUpcast: true,
      ...this.args,
    };
  }

  override misfits() {
    const { blockOutChannels, downBlockTypes } = this.config;
    return [
      differentLengths({ blockOutChannels }, { downBlockTypes }),
      ...blockOutChannels.map((channels, i) =>
        indivisible({ [`blockOutChannels[${i}]`]: channels }),
      ),
    ];
  }

  /** Pixels per latent, in each direction. */
  get scaleFactor(): number {
    return 2 ** (this.config.blockOutChannels.length - 1);
  }

  override get computeDtype(): ComputeDtype {
    return super.computeDtype;
  }
  /**
   * With `forceUpcast` in its configuration, it encodes in float32 whatever the rest computes in.
   */
  override set computeDtype(dtype: ComputeDtype) {
    super.computeDtype = dtype;
    if (this.config.forceUpcast)
      for (const part of [this.encoder, this.quantConv]) part.computeDtype = 'float32';
  }

  /** The computation of `encode`: pictures to the moments of their posterior. */
  *encodeSteps(x: tf.Tensor): Steps<tf.Tensor4D> {
    using scope = new TensorScope();
    const h = yield* scope.run(this.encoder, [x]); // [N, h, w, 2 * latentChannels]
    return scope.release(yield* scope.run(this.quantConv, [h])) as tf.Tensor4D;
  }

  /** The computation of `decode`. */
  *decodeSteps(z: tf.Tensor, numFrames: number): Steps<tf.Tensor> {
    using scope = new TensorScope();
    return scope.release(yield* scope.run(this.decoder, [z], { numFrames }));
  }

  /**
   * Pictures `[N, H, W, inChannels]` in [-1, 1] to their posterior. H and W have to be multiples of
   * `scaleFactor`.
   * @throws Error if x or an option does not fit.
   */
  async encode(x: tf.Tensor4D, options: StepOptions = {}): Promise<DiagonalGaussianDistribution> {
    this.build();
    this.encoder.checkTensors([x]);
    return new DiagonalGaussianDistribution(await runSteps(this.encodeSteps(x), options));
  }

  /**
   * Latents `[B*F, h, w, latentChannels]` to frames `[B*F, H, W, outChannels]`, roughly in [-1, 1].
   *
   * @param numFrames Frames per video; it has to divide the batch.
   * @throws Error if an argument does not fit.
   */
  async decode(z: tf.Tensor4D, numFrames: number, options: StepOptions = {}): Promise<tf.Tensor4D> {
    this.build();
    this.decoder.checkTensors([z]);
    return (await runSteps(this.decodeSteps(z, numFrames), options)) as tf.Tensor4D;
  }

  override get inputAxes(): Inputs {
    return {
      sample: ['B*F', 'H', 'W', this.config.inChannels],
      'noise?': ['B*F', 'h', 'w', this.config.latentChannels],
    };
  }

  *steps([sample, noise]: tf.Tensor[], { numFrames = 1 }: CallArgs): Steps<tf.Tensor> {
    using scope = new TensorScope();
    const moments = yield* this.encodeSteps(sample);
    const z = scope.tidy(() => {
      const posterior = new DiagonalGaussianDistribution(moments);
      return noise ? posterior.sample(noise as tf.Tensor4D) : posterior.mode();
    }); // [B*F, h, w, latentChannels]
    return yield* this.decodeSteps(z, numFrames);
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    const latents = this.encoder.computeOutputShape(firstShape(inputShape));
    return this.decoder.computeOutputShape(latents);
  }
}
registerLayer(AutoencoderKLTemporalDecoder);
