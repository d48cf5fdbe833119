/** A small model written in the original naming, converted back. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  convertOriginal,
  openModelFolder,
  openSafetensors,
  type TensorToWrite,
  type WeightedComponent,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import { originalLayout, originalPlace } from '../../src/checkpoints/originalKeys.ts';
import { writeSmallCheckpoint } from '../cli/runs.ts';
import { expectError, inTemporaryFolder } from './files.ts';

/** Writes the model in `folder` as an original file; `place` chooses among the names that a weight may have. */
async function writeOriginal(folder: string, path: string, place = 0, more: Record<string, TensorToWrite> = {}): Promise<void> {
  const model = await openModelFolder(folder);
  const layout = originalLayout(model.config('unet'), model.config('vae'), model.config('image_encoder'));
  const tensors: Record<string, TensorToWrite> = { ...more };
  for (const component of ['unet', 'vae', 'image_encoder'] as WeightedComponent[]) {
    const source = await model.weights(component);
    for (const key of source.names()) {
      const { names, third, transposed, asConvolution } = originalPlace(component, key, layout);
      const name = names[place] ?? names[0];
      const { shape } = source.info(key);
      const data = await source.read(key);
      if (third !== undefined) {
        tensors[name] ??= {
          dtype: 'F32',
          shape: [3 * shape[0], ...shape.slice(1)],
          data: new Float32Array(3 * data.length),
        };
        (tensors[name].data as Float32Array).set(data, third * data.length);
      } else if (transposed) {
        const [rows, columns] = shape;
        tensors[name] = {
          dtype: 'F32',
          shape: [columns, rows],
          data: data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]),
        };
      } else tensors[name] = { dtype: 'F32', shape: asConvolution ? [...shape, 1, 1] : shape, data };
    }
  }
  await model.close();
  await writeSafetensors(path, tensors);
}

describe('convertOriginal', () => {
  for (const [i, place] of ['in its published place', "beside the decoder's last convolution"].entries()) {
    it(`gives back every tensor bit for bit, the last convolution over time ${place}`, () =>
      inTemporaryFolder(async (folder) => {
        const [model, original, back] = ['model', 'small.safetensors', 'back'].map((name) => join(folder, name));
        await writeSmallCheckpoint(model);
        const unused = { dtype: 'F32' as const, shape: [2], data: new Float32Array(2) };
        await writeOriginal(model, original, i, {
          'conditioner.embedders.0.open_clip.model.ln_final.weight': unused,
          'first_stage_model.encoder.conv_in.bias': unused,
        });
        await convertOriginal(original, back, { config: model });
        for (const file of ['unet/diffusion_pytorch_model', 'vae/diffusion_pytorch_model', 'image_encoder/model']) {
          const paths = [model, back].map((root) => join(root, `${file}.safetensors`));
          const [a, b] = await Promise.all(paths.map((path) => readFile(path)));
          expect(b.equals(a), file).to.equal(true);
        }
        await (await openModelFolder(back)).close();
      }));
  }

  it('refuses other models, other configs, and files of unknown frames, and leaves nothing', () =>
    inTemporaryFolder(async (folder) => {
      const [model, original, back] = ['model', 'small.safetensors', 'back'].map((name) => join(folder, name));
      await writeSmallCheckpoint(model);
      await writeOriginal(model, original);
      await expectError(() => convertOriginal(original, back), '--num-frames', '--config');
      const config = JSON.parse(await readFile(join(model, 'unet/config.json'), 'utf8'));
      await writeFile(join(model, 'unet/config.json'), JSON.stringify({ ...config, layers_per_block: 0 }));
      await expectError(() => convertOriginal(original, back, { config: model }), 'weights that a model of this config has no place for');
      const one: TensorToWrite = { dtype: 'F32', shape: [1], data: new Float32Array(1) };
      await writeSafetensors(join(folder, 'svd.safetensors'), { 'unet.conv_in.bias': one });
      await expectError(() => convertOriginal(join(folder, 'svd.safetensors'), back), 'is no original checkpoint');
      await writeSafetensors(join(folder, 'svd_xt.safetensors'), { 'model.diffusion_model.out.2.bias': one });
      await expectError(() => convertOriginal(join(folder, 'svd_xt.safetensors'), back), 'a model for pictures');
      const stopped = new Error('enough');
      expect(await convertOriginal(original, back, { numFrames: 25, signal: AbortSignal.abort(stopped) }).catch((error) => error)).to.be.an(
        'error',
      );
      expect((await readdir(folder)).sort()).to.deep.equal(['model', 'small.safetensors', 'svd.safetensors', 'svd_xt.safetensors']);
      expect((await openSafetensors(original)).names().length).to.be.above(100);
    }));
});
