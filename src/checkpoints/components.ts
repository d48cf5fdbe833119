/**
 * The models that the components of a checkpoint are, built without weights: they know the name,
 * the shape and the axes of each.
 */
import { type AnyBlock, withoutWeights } from '../layers/block.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../models/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { camelCaseConfig } from './configs.ts';
import type { WeightedComponent } from './diffusers/names.ts';
import { CheckpointError } from './errors.ts';

const classes = {
  unet: UNetSpatioTemporalConditionModel,
  vae: AutoencoderKLTemporalDecoder,
  image_encoder: CLIPVisionModelWithProjection,
};

/**
 * The model of a component, not built, under the component's name. @throws CheckpointError if its
 * config is of no such model.
 */
export function componentModel(files: Checkpoint, component: WeightedComponent): AnyBlock {
  try {
    return new classes[component]({ ...camelCaseConfig(files.config(component)), name: component });
  } catch (error) {
    throw new CheckpointError(
      `The config of ${component} in ${files.path} is of no Stable Video Diffusion model. ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

/** The same, built without values of its weights. To be disposed. */
export function declaredModel(files: Checkpoint, component: WeightedComponent): AnyBlock {
  const model = componentModel(files, component);
  withoutWeights(() => model.build());
  return model;
}
