/**
 * Writes checkpoints whose weights come from their names, so that what diffusers computed with such
 * weights can be asked of the command.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  camelCaseConfig,
  checkpointShape,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import { type AnyBlock, withoutWeights } from '../../src/layers/index.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';
import { weightValues } from '../harness/nameHash.ts';

type Json = Record<string, unknown>;

const classes = {
  feature_extractor: ['transformers', 'CLIPImageProcessor'],
  image_encoder: ['transformers', 'CLIPVisionModelWithProjection'],
  scheduler: ['diffusers', 'EulerDiscreteScheduler'],
  unet: ['diffusers', 'UNetSpatioTemporalConditionModel'],
  vae: ['diffusers', 'AutoencoderKLTemporalDecoder'],
};

/** What is stored of the weight of a key and a shape. */
type Weight = (key: string, shape: number[]) => TensorToWrite;

const byName: Weight = (key, shape) => ({ dtype: 'F32', shape, data: weightValues(key, shape) });

/** Zeros in half precision, which are written fast, for what asks for their memory alone. */
export const halfZeros: Weight = (_, shape) => ({
  ...{ dtype: 'F16', shape },
  data: () => new Uint8Array(2 * shape.reduce((product, axis) => product * axis, 1)),
});

/** Writes `folder` as diffusers' `save_pretrained` would, for components with the given configs. */
export async function writeCheckpoint(
  folder: string,
  components: Record<string, Json>,
  weight = byName,
): Promise<void> {
  const index = { _class_name: 'StableVideoDiffusionPipeline', ...classes };
  await mkdir(folder);
  await writeFile(join(folder, 'model_index.json'), JSON.stringify(index));
  for (const [name, [, className]] of Object.entries(classes)) {
    await mkdir(join(folder, name));
    const file =
      { feature_extractor: 'preprocessor_config.json', scheduler: 'scheduler_config.json' }[name] ??
      'config.json';
    const type = name === 'feature_extractor' ? 'feature_extractor_type' : '_class_name';
    await writeFile(
      join(folder, name, file),
      JSON.stringify({ [type]: className, ...components[name] }),
    );
  }
  const config = (name: string) => camelCaseConfig(components[name]);
  const weights = 'diffusion_pytorch_model.safetensors';
  await writeWeights(
    join(folder, 'image_encoder/model.safetensors'),
    new CLIPVisionModelWithProjection(config('image_encoder')),
    weight,
  );
  await writeWeights(
    join(folder, 'unet', weights),
    new UNetSpatioTemporalConditionModel(config('unet')),
    weight,
  );
  await writeWeights(
    join(folder, 'vae', weights),
    new AutoencoderKLTemporalDecoder(config('vae')),
    weight,
  );
}

async function writeWeights(path: string, model: AnyBlock, weight: Weight): Promise<void> {
  withoutWeights(() => model.build());
  const tensors = model
    .parameters()
    .map(
      (parameter) => [parameter.key, weight(parameter.key, checkpointShape(parameter))] as const,
    );
  model.dispose();
  await writeSafetensors(path, Object.fromEntries(tensors), { format: 'pt' });
}
