/** What tests of conversions share: a small model in a folder, and comparisons of folders. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import {
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import { inTemporaryFolder } from '../checkpoints/files.ts';
import { writeSmallCheckpoint } from '../cli/runs.ts';

/** The weight files of a model in diffusers' layout. */
export const weightFiles = [
  'unet/diffusion_pytorch_model',
  'vae/diffusion_pytorch_model',
  'image_encoder/model',
].map((file) => `${file}.safetensors`);

/**
 * Runs `use` with the path of a small model, in float32 or half precision, and of files beside it,
 * which are removed afterwards.
 */
export function withModel(
  dtype: 'float32' | 'float16',
  use: (model: string, path: (name: string) => string) => Promise<void>,
): Promise<void> {
  return inTemporaryFolder(async (folder) => {
    const path = (name: string) => join(folder, name);
    await writeSmallCheckpoint(path('single'));
    if (dtype === 'float16')
      await convertCheckpoint(path('single'), path('half'), { to: 'diffusers', dtype });
    await use(path(dtype === 'float16' ? 'half' : 'single'), path);
  });
}

/** Expects the weight files of two folders to be the same, byte for byte. */
export async function expectSameWeights(folder: string, other: string): Promise<void> {
  for (const file of weightFiles) {
    const [a, b] = await Promise.all([folder, other].map((root) => readFile(join(root, file))));
    expect(b.equals(a), file).to.equal(true);
  }
}

/** Changes values of one tensor in a safetensors file. */
export async function editWeight(
  path: string,
  name: string,
  change: (values: Float32Array) => void,
): Promise<void> {
  const file = await openSafetensors(path);
  const tensors: Record<string, TensorToWrite> = {};
  for (const key of file.names()) tensors[key] = { ...file.info(key), data: await file.read(key) };
  await file.close();
  change(tensors[name].data as Float32Array);
  await writeSafetensors(path, tensors, file.metadata);
}
