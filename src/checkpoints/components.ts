/** The models of a checkpoint's components. */
import { type AnyBlock, withoutWeights } from '../layers/block.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../models/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { modelConfig } from './configs/schemas.ts';
import type { WeightedComponent } from './diffusers/names.ts';
import { CheckpointError } from './errors.ts';
import type { OpenComponent } from './weights/export.ts';
import { checkModelWeights } from './weights/load.ts';

const classes = {
  unet: UNetSpatioTemporalConditionModel,
  vae: AutoencoderKLTemporalDecoder,
  image_encoder: CLIPVisionModelWithProjection,
};

/**
 * The model of a component, not built, under the component's name.
 * @throws CheckpointError if its config is not that of such a model.
 */
export function componentModel(
  checkpoint: Pick<Checkpoint, 'path' | 'config'>,
  component: WeightedComponent,
): AnyBlock {
  try {
    const config = modelConfig(component, checkpoint.config(component));
    return new classes[component]({ ...config, name: component });
  } catch (error) {
    throw new CheckpointError(
      `The config of ${component} in ${checkpoint.path} is not that of a Stable Video ` +
        `Diffusion model. ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/**
 * The same, built without values of its weights: it knows their names, shapes and axes. The caller
 * disposes it.
 */
export function declaredModel(
  checkpoint: Pick<Checkpoint, 'path' | 'config'>,
  component: WeightedComponent,
): AnyBlock {
  const model = componentModel(checkpoint, component);
  withoutWeights(() => model.build());
  return model;
}

/**
 * Opens the weights of a component. Warns of tensors that its model has no place for.
 * @throws CheckpointError if they are not the weights of its model.
 */
export async function openComponent(
  checkpoint: Checkpoint,
  component: WeightedComponent,
): Promise<OpenComponent> {
  const source = await checkpoint.weights(component);
  const model = declaredModel(checkpoint, component);
  try {
    const surplus = checkModelWeights(model, source, component);
    if (surplus !== undefined) console.warn(surplus);
    return { component, source, parameters: model.parameters() };
  } finally {
    model.dispose();
  }
}
