/** Reads from an open checkpoint what memory planning needs, without its weights. */

import type { Checkpoint } from '../../checkpoints/browser.ts';
import { modelConfig } from '../../checkpoints/configs/schemas.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import type { ModelConfigs } from '../../memory/stages.ts';
import type { ModelName } from '../../models/names.ts';
import type { LoadOptions } from '../types.ts';

/** The component of a checkpoint that each model is. */
export const componentOf = { unet: 'unet', vae: 'vae', imageEncoder: 'image_encoder' } as const;

/**
 * The configurations of the models of a checkpoint, what they compute in, and how their weights are
 * held on a device.
 */
export async function modelConfigs(
  files: Checkpoint,
  device: Device,
  { weightDtype = 'auto', dtype }: Pick<LoadOptions, 'weightDtype' | 'dtype'> = {},
): Promise<ModelConfigs> {
  const config = (name: ModelName) =>
    modelConfig(componentOf[name], files.config(componentOf[name]));
  const held: ModelConfigs['held'] = {};
  if (weightDtype === 'auto' && device.startsWith('tensorflow')) {
    for (const name of Object.keys(componentOf) as ModelName[]) {
      const source = await files.weights(componentOf[name]);
      if (source.names().some((key) => ['F16', 'BF16'].includes(source.info(key).dtype)))
        held[name] = 'half';
    }
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
