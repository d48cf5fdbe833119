/** Pipelines whose weights come from names, for tests. */
import { camelCaseConfig } from '../../src/checkpoints/index.ts';
import { CLIP_MEAN, CLIP_STD } from '../../src/media/preprocess.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';
import { SamplingPipeline } from '../../src/pipelines/stableVideoDiffusion.ts';
import { schedulerFromConfig } from '../../src/schedulers/index.ts';
import { fillByName } from './nameHash.ts';

type Json = Record<string, unknown>;

/** Builds a pipeline from diffusers' JSON configs. */
export async function pipelineByName(components: Record<string, Json>): Promise<SamplingPipeline> {
  const vae = new AutoencoderKLTemporalDecoder(camelCaseConfig(components.vae));
  const imageEncoder = new CLIPVisionModelWithProjection(camelCaseConfig(components.image_encoder));
  const unet = new UNetSpatioTemporalConditionModel(camelCaseConfig(components.unet));
  for (const model of [vae, imageEncoder, unet]) await fillByName(model);
  return new SamplingPipeline({
    vae,
    imageEncoder,
    unet,
    scheduler: schedulerFromConfig({
      _class_name: 'EulerDiscreteScheduler',
      ...components.scheduler,
    }),
    featureExtractor: { imageMean: CLIP_MEAN, imageStd: CLIP_STD },
  });
}
