/** A checkpoint as a folder in diffusers' layout. */
import { type Component, componentNames } from '../src/checkpoints/diffusers/names.ts';
import { configOutputs, weightOutputs } from '../src/checkpoints/diffusers/writeFolder.ts';
import { tensorsOf } from '../src/checkpoints/weights/export.ts';
import type { OutputFile } from '../src/files/writing/outputFile.ts';
import type { Target, TargetOptions } from './target.ts';

export const toDiffusers: Target = {
  files: (components, options) => [
    ...components.flatMap((component) =>
      weightOutputs(component.component, tensorsOf(component, options.dtype, options.pool), {
        maxShardSize: options.shardSize,
      }),
    ),
    ...convertedConfigs(options),
  ],
};

/**
 * All configs. `model_index.json` says what the weights are made from, where diffusers ignores it.
 */
export function convertedConfigs({ checkpoint, identity }: TargetOptions): OutputFile[] {
  const configs = componentNames.map((name) => [name, checkpoint.config(name)] as const);
  return configOutputs(
    Object.fromEntries(configs) as Record<Component, Record<string, unknown>>,
    async () => ({ ...checkpoint.index, _converted_from: await identity }),
  );
}
