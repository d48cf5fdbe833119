/** A small model, and another UNet for it in every form that people publish UNets in. */
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { convertCheckpoint } from '../../../converters/index.ts';
import { type TensorToWrite, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { writeSmallCheckpoint } from '../../cli/runs.ts';
import { weightValues } from '../../harness/nameHash.ts';
import { tensorsIn } from '../files.ts';

export const UNET = 'unet/diffusion_pytorch_model.safetensors';
const START = 'model.diffusion_model.';

/** The other UNet in float32, by what it is in. All have the same weights. */
export const forms = {
  'a file in the names of diffusers': 'lcm.safetensors',
  'a folder with such a file': 'repository',
  'a whole folder of diffusers': 'other',
  'the folder of a UNet': 'other/unet',
  'a folder of shards': 'sharded',
  'the index of shards': 'sharded/unet/diffusion_pytorch_model.safetensors.index.json',
  'a folder of TensorFlow.js artifacts': 'tfjs',
  'a whole original file': 'original.safetensors',
  'an original file of the UNet': 'original-unet.safetensors',
  'the same without a prefix': 'bare.safetensors',
  'a file whose names begin with unet': 'prefixed.safetensors',
  'a file of DataParallel': 'module.safetensors',
  'a file of Lightning and torch.compile': 'wrapped.safetensors',
  'such an original file': 'wrapped-original.safetensors',
};

/**
 * Writes `model`, `other`, which is `model` with another UNet, this in all `forms`, and
 * `half/unet_lcm`, the same in half precision with its config.
 */
export async function writeUnets(folder: string): Promise<void> {
  const path = (name: string) => join(folder, name);
  await writeSmallCheckpoint(path('model'));
  await cp(path('model'), path('other'), { recursive: true });
  const weights = Object.entries(await tensorsIn(path(`model/${UNET}`))).map(
    ([key, { shape }]): [string, TensorToWrite] => [
      key,
      { dtype: 'F32', shape, data: weightValues(`other.${key}`, shape) },
    ],
  );
  const write = (name: string, tensors: [string, TensorToWrite][]) =>
    writeSafetensors(path(name), Object.fromEntries(tensors));
  await write(`other/${UNET}`, weights);
  await cp(path(`other/${UNET}`), path('lcm.safetensors'));
  await mkdir(path('repository'));
  await cp(path('lcm.safetensors'), path('repository/AnimateLCM-SVD-xt.safetensors'));
  await writeFile(path('repository/README.md'), '# AnimateLCM');
  await write(
    'prefixed.safetensors',
    weights.map(([key, tensor]) => [`unet.${key}`, tensor]),
  );
  const begun = (start: string, all: [string, TensorToWrite][]) =>
    all.map(([key, tensor]): [string, TensorToWrite] => [start + key, tensor]);
  await write('module.safetensors', begun('module.', weights));
  await write('wrapped.safetensors', begun('model._orig_mod.', weights));
  const to = (name: string, options: object) =>
    convertCheckpoint(path('other'), path(name), { to: 'diffusers', ...options });
  await to('sharded', { shardSize: 200_000 });
  await to('tfjs', { to: 'tfjs' });
  await to('original.safetensors', { to: 'original' });
  const original = Object.entries(await tensorsIn(path('original.safetensors')));
  const ofUnet = original.filter(([name]) => name.startsWith(START));
  await write('original-unet.safetensors', ofUnet);
  const bare = ofUnet.map(([name, tensor]): [string, TensorToWrite] => [
    name.slice(START.length),
    tensor,
  ]);
  await write('bare.safetensors', bare);
  await write('wrapped-original.safetensors', begun('module.', ofUnet));
  await to('half', { dtype: 'float16' });
  await mkdir(path('half/unet_lcm'));
  const fp16 = 'unet_lcm/diffusion_pytorch_model.fp16.safetensors';
  await rename(path(`half/${UNET}`), path(`half/${fp16}`));
  await cp(path('half/unet/config.json'), path('half/unet_lcm/config.json'));
  await rm(path('half/unet'), { recursive: true });
}

/** Changes the JSON of a file. */
export async function editJson(path: string, change: (json: Record<string, unknown>) => void) {
  const json = JSON.parse(await readFile(path, 'utf8'));
  change(json);
  await writeFile(path, JSON.stringify(json));
}
