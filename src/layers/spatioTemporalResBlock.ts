/** A spatial and a temporal residual block, blended. */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { number, optional } from '../text/kinds.ts';
import { AlphaBlender, type AlphaBlenderArgs } from './alphaBlender.ts';
import { Block, type CallArgs, type FramesArgs, type Inputs } from './block.ts';
import { type Checks, epsilon, indivisible } from './checks.ts';
import { registerLayer } from './registry.ts';
import { ResidualBlock, type ResidualBlockArgs } from './residualBlock.ts';
import { ResnetBlock2D } from './resnetBlock2D.ts';
import { TemporalResnetBlock } from './temporalResnetBlock.ts';
import type { TensorScope } from './tensorScope.ts';

/** Arguments of `SpatioTemporalResBlock`. */
export interface SpatioTemporalResBlockArgs extends ResidualBlockArgs, FramesArgs {
  /** Epsilon of the spatial block. Default 1e-6. */
  eps?: number;
  /** Epsilon of the temporal block. Default: `eps`. */
  temporalEps?: number;
  /** Initial `mix_factor`. Default 0.5. */
  mergeFactor?: number;
  /** Default `learned_with_images`. */
  mergeStrategy?: AlphaBlenderArgs['mergeStrategy'];
  /** Default false. */
  switchSpatialToTemporalMix?: boolean;
}

/**
 * A residual block over space, then one over time, blended by a learned weight.
 *
 * Inputs `[x [B*F, H, W, inChannels], temb [B*F, tembChannels], imageOnlyIndicator [B, F]]` (temb
 * only with `tembChannels`; the indicator may be left out), kwargs `{ numFrames }` -> `[B*F, H, W,
 * outChannels]`.
 *
 * Equals `SpatioTemporalResBlock` of diffusers' `models/resnet.py`.
 *
 * @example
 * ```ts
 * const block = new SpatioTemporalResBlock({ inChannels: 32, tembChannels: 128 });
 * const [frames, temb] = [tf.randomNormal([2 * 7, 8, 12, 32]), tf.randomNormal([2 * 7, 128])];
 * const y = block.apply([frames, temb], { numFrames: 7 }); // [14, 8, 12, 32]
 * ```
 */
export class SpatioTemporalResBlock extends Block<SpatioTemporalResBlockArgs> {
  static className = 'SpatioTemporalResBlock';
  static override checks: Checks = {
    ...ResidualBlock.checks,
    temporalEps: epsilon,
    mergeFactor: number(),
    mergeStrategy: optional(AlphaBlender.checks.mergeStrategy),
    switchSpatialToTemporalMix: optional(AlphaBlender.checks.switchSpatialToTemporalMix),
  };
  private readonly spatialResBlock: ResnetBlock2D;
  private readonly temporalResBlock: TemporalResnetBlock;
  private readonly timeMixer: AlphaBlender;

  constructor(args: SpatioTemporalResBlockArgs) {
    super(args);
    const { inChannels, outChannels, tembChannels, eps, temporalEps } = this.config;
    const { mergeFactor: alpha, mergeStrategy, switchSpatialToTemporalMix } = this.config;
    this.spatialResBlock = this.child(
      new ResnetBlock2D({ name: 'spatial_res_block', inChannels, outChannels, tembChannels, eps }),
    );
    this.temporalResBlock = this.child(
      new TemporalResnetBlock({
        name: 'temporal_res_block',
        inChannels: outChannels,
        outChannels,
        tembChannels,
        eps: temporalEps,
      }),
    );
    this.timeMixer = this.child(
      new AlphaBlender({ name: 'time_mixer', alpha, mergeStrategy, switchSpatialToTemporalMix }),
    );
  }

  override get config() {
    const { inChannels, eps = 1e-6 } = this.args;
    return { outChannels: inChannels, eps, temporalEps: eps, mergeFactor: 0.5, ...this.args };
  }

  override misfits() {
    const { inChannels, outChannels } = this.config;
    return [indivisible({ inChannels }), indivisible({ outChannels })];
  }

  override get inputAxes(): Inputs {
    const { inChannels, tembChannels } = this.args;
    const temb: Inputs = tembChannels ? { temb: ['B*F', tembChannels] } : {};
    return { x: ['B*F', 'H', 'W', inChannels], ...temb, 'imageOnlyIndicator?': ['B', 'F'] };
  }

  protected forward([x, ...rest]: tf.Tensor[], kwargs: CallArgs): tf.Tensor {
    const temb = rest.splice(0, this.args.tembChannels ? 1 : 0);
    const spatial = this.spatialResBlock.call([x, ...temb]); // [B*F, H, W, O]
    return this.blend([spatial, ...temb], kwargs, rest[0]);
  }

  private blend(inputs: tf.Tensor[], { numFrames }: CallArgs, indicator?: tf.Tensor): tf.Tensor {
    // The temporal branch is `spatial + change`, hence the blend `spatial + (1 - a) * change`: two
    // passes over memory instead of four.
    const change = this.temporalResBlock.change(inputs, { numFrames });
    return this.timeMixer.addChange(inputs[0], change, indicator);
  }

  /**
   * As `call` on x without a time embedding, within `scope`, which frees x before the second half.
   */
  callIn(scope: TensorScope, x: tf.Tensor, kwargs: CallArgs): tf.Tensor {
    const spatial = scope.map(x, (h) => this.spatialResBlock.call(h));
    return scope.map(spatial, (h) => this.emit(this.blend([h], kwargs)));
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return this.spatialResBlock.computeOutputShape(inputShape);
  }
}
registerLayer(SpatioTemporalResBlock);
