/** The pipeline that replays the call of a reference. */
import type * as tf from '@tensorflow/tfjs-core';
import type { FloatArray } from '../media/image.ts';
import { SamplingPipeline } from '../pipelines/stableVideoDiffusion.ts';
import { stageTensor } from './blockOutputs.ts';
import type { Reference } from './reference.ts';

/**
 * Decodes in the chunks that diffusers has, and goes on with the reference's results where it is
 * told to.
 */
export class ReplayedPipeline extends SamplingPipeline {
  private readonly reference: Reference;
  private readonly isFed: (stage: string) => boolean;

  /**
   * @param isFed Whether the reference's result of an encoder takes the place of its own. Called
   * once the stage is computed.
   */
  constructor(
    components: SamplingPipeline['components'],
    reference: Reference,
    isFed: (stage: string) => boolean,
  ) {
    super(components);
    this.reference = reference;
    this.isFed = isFed;
  }

  private async fed(own: tf.Tensor, stage: string): Promise<tf.Tensor> {
    if (!this.isFed(stage)) return own;
    own.dispose();
    return stageTensor(this.reference, stage);
  }

  protected override async encodeImage(
    ...call: Parameters<SamplingPipeline['encodeImage']>
  ): Promise<tf.Tensor> {
    return this.fed(await super.encodeImage(...call), 'image_embeddings');
  }

  protected override async encodeVaeImage(
    ...call: Parameters<SamplingPipeline['encodeVaeImage']>
  ): Promise<tf.Tensor> {
    return this.fed(await super.encodeVaeImage(...call), 'image_latents');
  }

  /** diffusers cuts the frames of all videos in a row, so a chunk may have frames of two. */
  protected override async decode(
    ...[latents, { numFrames }, options]: Parameters<SamplingPipeline['decode']>
  ): Promise<FloatArray> {
    const [total] = latents.shape;
    const { decodeChunkSize } = this.reference.call;
    const sizes = { numFrames: total, decodeChunkSize };
    const { data, shape } = await super.decode(latents, sizes, options);
    return { data, shape: [total / numFrames, numFrames, ...shape.slice(2)] };
  }

  /** Warnings of the call are for those who chose it. */
  protected override warn(): void {}
}
