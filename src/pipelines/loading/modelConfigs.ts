/** What memory planning has to know of a model on disk, read without its weights. */

import { type Checkpoint, camelCaseConfig } from '../../checkpoints/index.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import type { ModelConfigs } from '../../memory/stages.ts';
import type { ModelName } from '../../models/names.ts';
import type { LoadOptions } from '../types.ts';

/** The folder of each model. */
export const modelFolders = { unet: 'unet', vae: 'vae', imageEncoder: 'image_encoder' } as const;

/**
 * The configurations of the models in a folder, and how they will be held in memory and computed on
 * a device.
 */
export async function modelConfigs(
  files: Checkpoint,
  device: Device,
  { weightDtype = 'auto', dtype }: Pick<LoadOptions, 'weightDtype' | 'dtype'> = {},
): Promise<ModelConfigs> {
  const config = (name: ModelName) => camelCaseConfig(files.config(modelFolders[name]));
  const held: ModelConfigs['held'] = {};
  if (weightDtype === 'auto' && device.startsWith('tensorflow')) {
    for (const name of Object.keys(modelFolders) as ModelName[]) {
      const source = await files.weights(modelFolders[name]);
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
  };
}
