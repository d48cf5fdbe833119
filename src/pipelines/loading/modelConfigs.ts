/** Reads from an open checkpoint what memory planning needs, without the values of its weights. */

import type { Checkpoint, WeightSource } from '../../checkpoints/browser.ts';
import { modelConfig } from '../../checkpoints/configs/schemas.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import type { ModelConfigs } from '../../memory/stages.ts';
import type { ModelName } from '../../models/names.ts';
import { holdsHalves } from '../../ops/halfWeights/halfWeights.ts';
import { halfOf } from '../../ops/halfWeights/held.ts';
import type { LoadOptions } from '../types.ts';

/** The component of a checkpoint that each model is. */
export const componentOf = { unet: 'unet', vae: 'vae', imageEncoder: 'image_encoder' } as const;

/** The open weights of each model. */
export type Sources = Record<ModelName, WeightSource>;

/** Opens the weights of all models. */
export async function openSources(files: Checkpoint): Promise<Sources> {
  const sources: Partial<Sources> = {};
  for (const name of ['imageEncoder', 'unet', 'vae'] as const)
    sources[name] = await files.weights(componentOf[name]);
  return sources as Sources;
}

type Holding = Pick<LoadOptions, 'weightDtype' | 'dtype'>;

/**
 * The configurations of the models of a checkpoint, what they compute in, and how their weights are
 * held on a device: without `sources`, which tell it, in float32.
 */
export function modelConfigs(
  files: Checkpoint,
  device: Device,
  { weightDtype = 'auto', dtype }: Holding = {},
  sources?: Sources,
): ModelConfigs {
  const config = (name: ModelName) =>
    modelConfig(componentOf[name], files.config(componentOf[name]));
  const held: ModelConfigs['held'] = {};
  if (weightDtype === 'auto' && holdsHalves(device)) {
    for (const [name, source] of Object.entries(sources ?? {}))
      if (source.names().some((key) => source.info(key).dtype in halfOf))
        held[name as ModelName] = 'half';
  }
  return {
    unet: config('unet'),
    vae: config('vae'),
    imageEncoder: config('imageEncoder'),
    dtype,
    held,
    rounds: weightDtype === 'auto',
  };
}
