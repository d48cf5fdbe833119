/** Pipelines written to disk, and what is read back. */
import { cp, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { openCheckpoint } from '../../../src/checkpoints/index.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import { expectError } from '../../checkpoints/files.ts';
import { expectSameWeights, weightFiles, withModel } from '../../converters/models.ts';
import { testBackend } from '../../setup.ts';

const load = (path: string, options = {}) =>
  StableVideoDiffusionPipeline.fromPretrained(path, { backend: testBackend, ...options });

/** Expects two folders to hold the same weights, however they are split. */
async function expectSameWeightsIn(folder: string, other: string): Promise<void> {
  await using a = await openCheckpoint(folder);
  await using b = await openCheckpoint(other);
  const [found, expected] = [await a.weights('unet'), await b.weights('unet')];
  expect(found.names()).to.have.members(expected.names());
  for (const name of expected.names())
    expect(await found.read(name), name).to.deep.equal(await expected.read(name));
}

async function configsOf(path: string) {
  const files = await openCheckpoint(path);
  const { unet, vae, imageEncoder, scheduler, featureExtractor } = (await load(path)).components;
  await files.close();
  return [unet.config, vae.config, imageEncoder.config, scheduler.toConfig(), featureExtractor];
}

describe('savePretrained', () => {
  it('writes weights bit for bit, and configs that say the same', () =>
    withModel('float32', async (model, path) => {
      const pipe = await load(model);
      await pipe.savePretrained(path('copy'));
      pipe.dispose();
      await expectSameWeights(model, path('copy'));
      const [written, original] = [await configsOf(path('copy')), await configsOf(model)];
      for (const [i, config] of original.entries()) expect(written[i]).to.deep.include(config);
      expect((await readdir(path('.'))).sort()).to.deep.equal(['copy', 'single']);
    }));

  for (const offload of ['none', 'model', 'sequential'] as const) {
    it(`gives back the bits of a checkpoint in half precision, with offload ${offload}`, () =>
      withModel('float16', async (model, path) => {
        const pipe = await load(model, { offload });
        await pipe.savePretrained(path('copy'), { dtype: 'float16' });
        pipe.dispose();
        await expectSameWeights(model, path('copy'));
      }));
  }

  it('splits into shards, names variants, and keeps what it does not replace', () =>
    withModel('float32', async (model, path) => {
      const pipe = await load(model);
      const folder = path('copy');
      await pipe.savePretrained(folder, { maxShardSize: 200_000 });
      await writeFile(path('copy/README.md'), 'text');
      const names = await readdir(path('copy/unet'));
      const shards = names.filter((name) =>
        /^diffusion_pytorch_model-\d{5}-of-\d{5}\.safetensors$/.test(name),
      );
      expect(shards.length)
        .to.be.above(2)
        .and.equal(names.length - 2);
      const { metadata, weight_map } = JSON.parse(
        await readFile(path('copy/unet/diffusion_pytorch_model.safetensors.index.json'), 'utf8'),
      );
      expect(new Set(Object.values(weight_map))).to.deep.equal(new Set(shards));
      expect(metadata.total_size).to.equal(4 * pipe.unet.countParams());
      await pipe.savePretrained(folder, { variant: 'fp16', dtype: 'float16' });
      expect(await readdir(path('copy/unet'))).to.include.members([
        ...shards,
        'diffusion_pytorch_model.fp16.safetensors',
      ]);
      await pipe.savePretrained(folder);
      pipe.dispose();
      expect((await readdir(path('copy/unet'))).sort()).to.deep.equal(
        [
          'config.json',
          'diffusion_pytorch_model.fp16.safetensors',
          'diffusion_pytorch_model.safetensors',
        ].sort(),
      );
      await expectSameWeights(model, folder);
      expect(await readFile(path('copy/README.md'), 'utf8')).to.equal('text');
      await (await load(folder, { variant: 'fp16' })).dispose();
    }));

  it('leaves the old model or the new one whole, however far it comes', () =>
    withModel('float32', async (model, path) => {
      const pipe = await load(model);
      await pipe.savePretrained(path('copy'), { maxShardSize: 200_000 });
      const old = await readdir(path('copy/unet'));
      await pipe.savePretrained(path('new'), { dtype: 'float16' });
      pipe.dispose();
      // What a process leaves that is killed while it collects files:
      await cp(path('new/unet'), path('copy/.svd-saving-4194305-a/unet'), { recursive: true });
      await expectSameWeightsIn(path('copy'), model);
      // What it leaves that is killed while it moves them:
      await rename(path('copy/.svd-saving-4194305-a'), path('copy/.svd-saved'));
      for (const name of ['vae', 'image_encoder'])
        await cp(path(`new/${name}`), path(`copy/.svd-saved/${name}`), { recursive: true });
      const written = weightFiles;
      const removed = old.filter((name) => name !== 'config.json').map((name) => `unet/${name}`);
      await writeFile(path('copy/.svd-saved/files.json'), JSON.stringify({ written, removed }));
      await (await openCheckpoint(path('copy'))).close();
      await expectSameWeights(path('copy'), path('new'));
      expect(await readdir(path('copy/unet'))).to.have.members([
        'config.json',
        'diffusion_pytorch_model.safetensors',
      ]);
      expect(await readdir(path('copy'))).to.have.members(await readdir(path('new')));
    }));

  it('refuses a type that it does not know', () =>
    withModel('float32', async (model, path) => {
      const pipe = await load(model);
      await expectError(
        () => pipe.savePretrained(path('copy'), { dtype: 'F16' as 'float16' }),
        '`dtype` has to be one of float32, float16, bfloat16 but is F16.',
      );
      pipe.dispose();
      expect(await readdir(path('.'))).to.deep.equal(['single']);
    }));

  it('leaves nothing when it is stopped, and says where it cannot write', () =>
    withModel('float32', async (model, path) => {
      const pipe = await load(model);
      const why = new Error('enough');
      expect(
        await pipe
          .savePretrained(path('copy'), { signal: AbortSignal.abort(why) })
          .catch((error) => error),
      ).to.equal(why);
      await expectError(
        () => pipe.savePretrained(path('nowhere/copy')),
        'Cannot write',
        'does not exist',
      );
      pipe.dispose();
      expect(await readdir(path('.'))).to.deep.equal(['single']);
    }));
});
