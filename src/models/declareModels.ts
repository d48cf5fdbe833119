/** The three networks of a pipeline, declared together. */
import { withoutWeights } from '../layers/block.ts';
import type { ComputeDtype } from '../ops/index.ts';
import {
  AutoencoderKLTemporalDecoder,
  type AutoencoderKLTemporalDecoderConfig,
} from './autoencoderKLTemporalDecoder.ts';
import {
  type CLIPVisionConfig,
  CLIPVisionModelWithProjection,
} from './clipVisionModelWithProjection.ts';
import {
  type UNetSpatioTemporalConditionConfig,
  UNetSpatioTemporalConditionModel,
} from './unetSpatioTemporalConditionModel.ts';

/** The configurations of the networks, with camelCase keys, and what they compute in. */
export interface NetworkConfigs {
  /** `unet/config.json`. */
  unet: UNetSpatioTemporalConditionConfig;
  /** `vae/config.json`. */
  vae: AutoencoderKLTemporalDecoderConfig;
  /** `image_encoder/config.json`. */
  imageEncoder: CLIPVisionConfig;
  /** The type that the UNet and the VAE compute in. Default float32. */
  dtype?: ComputeDtype;
}

/** The networks by the names of their fields. */
export interface Models {
  imageEncoder: CLIPVisionModelWithProjection;
  unet: UNetSpatioTemporalConditionModel;
  vae: AutoencoderKLTemporalDecoder;
}

/** Builds the networks without values of their weights. The caller disposes of them. */
export function declareModels({
  unet,
  vae,
  imageEncoder,
  dtype = 'float32',
}: NetworkConfigs): Models {
  const models = {
    imageEncoder: new CLIPVisionModelWithProjection(imageEncoder),
    unet: new UNetSpatioTemporalConditionModel(unet),
    vae: new AutoencoderKLTemporalDecoder(vae),
  };
  for (const model of [models.unet, models.vae]) model.computeDtype = dtype;
  withoutWeights(() => {
    for (const model of Object.values(models)) model.build();
  });
  return models;
}
