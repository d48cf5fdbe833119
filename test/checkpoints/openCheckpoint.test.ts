/** What a path may be taken for, and what it is refused as. */
import { readFileSync } from 'node:fs';
import { cp, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import {
  inspectModel,
  loadLayerWeights,
  openCheckpoint,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import { buildHeader } from '../../src/checkpoints/safetensors/header.ts';
import { Linear } from '../../src/layers/index.ts';
import { withModel } from '../converters/models.ts';
import { expectError, fixture, inTemporaryFolder } from './files.ts';

const one: TensorToWrite = { dtype: 'F32', shape: [1], data: new Float32Array(1) };

/**
 * The names and shapes of an original file of the published size. Queries, keys and values are one
 * tensor there, which stands in three rows.
 */
function publishedTensors(): [string, { dtype: 'F16'; shape: number[]; bytes: number }][] {
  const table = readFileSync(new URL('../fixtures/svd-original-keys.tsv', import.meta.url), 'utf8');
  const rows = table
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'));
  const shapes = new Map(
    rows.map(([, , name, shape]) => [name, shape === '' ? [] : shape.split('x').map(Number)]),
  );
  return [...shapes].map(([name, shape]) => [
    name,
    { dtype: 'F16', shape, bytes: 2 * shape.reduce((a, b) => a * b, 1) },
  ]);
}

async function edit(path: string, change: (json: Record<string, unknown>) => void): Promise<void> {
  const json = JSON.parse(await readFile(path, 'utf8'));
  change(json);
  await writeFile(path, JSON.stringify(json));
}

describe('openCheckpoint', () => {
  it('says that a device is neither a file nor a folder, whatever options it is given', () =>
    process.platform === 'win32'
      ? undefined
      : expectError(() => openCheckpoint('/dev/null', { numFrames: 2 }), 'not a file or a folder'));

  it('sees the format', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
      await convertCheckpoint(model, path('svd_xt.safetensors'), { to: 'original' });
      const seen = await Promise.all(
        [model, path('tfjs')].map(async (name) => {
          const opened = await openCheckpoint(name);
          await opened.close();
          return opened.format;
        }),
      );
      expect(seen).to.deep.equal(['diffusers', 'tfjs']);
      const original = await openCheckpoint(path('svd_xt.safetensors'), { config: model });
      expect(original.format).to.equal('original');
      expect(original.assumption).to.equal(undefined);
      expect(await original.files()).to.deep.equal(['svd_xt.safetensors']);
      await original.close();
    }));

  it('takes the published files for what they are by names and shapes, and supposes their configs', () =>
    inTemporaryFolder(async (folder) => {
      const header = buildHeader(publishedTensors());
      const size =
        header.length + publishedTensors().reduce((sum, [, { bytes }]) => sum + bytes, 0);
      const cases: [name: string, options: object, supposed: string, recognised: string][] = [
        ['svd.safetensors', {}, 'trained on 14 frames, by its name', 'for 14 frames, like img2vid'],
        [
          'svd_xt.safetensors',
          {},
          'trained on 25 frames, by its name',
          'for 25 frames, like img2vid-xt',
        ],
        [
          'svd_xt_1_1.safetensors',
          {},
          'trained on 25 frames, by its name',
          'for 25 frames, like img2vid-xt',
        ],
        ['mine.safetensors', { numFrames: 21 }, 'trained on 21 frames.', 'for 21 frames'],
      ];
      for (const [name, options, supposed, recognised] of cases) {
        const path = join(folder, name);
        await writeFile(path, header);
        await truncate(path, size); // no values, which nothing here reads
        const opened = await openCheckpoint(path, options);
        expect(opened.assumption).to.contain(supposed);
        const found = await inspectModel(opened);
        expect(found.problems).to.deep.equal([]);
        expect(found.recognised).to.equal(
          `Stable Video Diffusion in the published size, ${recognised}`,
        );
        await opened.close();
      }
      await expectError(
        () => openCheckpoint(join(folder, 'mine.safetensors')),
        'does not say by its name how many frames',
        '--num-frames',
      );
    }));

  it('names other models for what they are', () =>
    inTemporaryFolder(async (folder) => {
      const cases: [names: string[], what: string][] = [
        [
          ['cond_stage_model.transformer.text_model.x', 'model.diffusion_model.out.2.bias'],
          'Stable Diffusion 1, which makes pictures',
        ],
        [
          ['cond_stage_model.model.transformer.x', 'model.diffusion_model.out.2.bias'],
          'Stable Diffusion 2',
        ],
        [
          ['conditioner.embedders.1.model.x', 'model.diffusion_model.out.2.bias'],
          'Stable Diffusion XL',
        ],
        [['model.diffusion_model.joint_blocks.0.x'], 'Stable Diffusion 3'],
        [['double_blocks.0.x'], 'Flux'],
        [['lora_unet_x.lora_up.weight'], 'LoRA'],
        [['down_blocks.0.motion_modules.0.x'], 'AnimateDiff'],
        [['down_blocks.0.resnets.0.x'], "one component in diffusers' naming"],
        [['model.diffusion_model.out.2.bias'], 'a model for pictures: it has no layers over time'],
        [['something'], 'is not an original checkpoint of Stable Video Diffusion'],
      ];
      for (const [names, what] of cases) {
        const path = join(folder, 'svd.safetensors');
        await writeSafetensors(path, Object.fromEntries(names.map((name) => [name, one])));
        await expectError(() => openCheckpoint(path), path, what);
      }
      const copy = join(folder, 'model');
      await cp(fixture('model'), copy, { recursive: true });
      for (const [types, what] of [
        [['CrossAttnDownBlock3D', 'DownBlock3D'], 'ModelScope'],
        [['CrossAttnDownBlockMotion'], 'AnimateDiff'],
        [['CrossAttnDownBlock2D'], 'a model for pictures'],
        [['DownBlockOfTime'], 'which Stable Video Diffusion does not have'],
      ] as const) {
        await edit(join(copy, 'unet/config.json'), (json) => {
          json.down_block_types = types;
        });
        await expectError(() => openCheckpoint(copy), `${copy}/unet`, types[0], what);
      }
      await edit(join(copy, 'model_index.json'), (json) => {
        json._class_name = 'StableDiffusionPipeline';
      });
      await expectError(
        () => openCheckpoint(copy),
        '"StableDiffusionPipeline"',
        'Stable Diffusion 1 or 2, which makes pictures from text',
      );
    }));

  it('reads no pickle files, and says why and what to do', () =>
    inTemporaryFolder(async (folder) => {
      for (const name of ['svd_xt.ckpt', 'model.bin', 'model.pt', 'model.pth']) {
        await writeFile(join(folder, name), 'x');
        await expectError(
          () => openCheckpoint(join(folder, name)),
          name,
          'runs code',
          '.safetensors',
          'safe_serialization',
        );
      }
      const copy = join(folder, 'model');
      await cp(fixture('model'), copy, { recursive: true });
      await rm(join(copy, 'vae'), { recursive: true });
      await mkdir(join(copy, 'vae'));
      await cp(join(fixture('model'), 'vae/config.json'), join(copy, 'vae/config.json'));
      await writeFile(join(copy, 'vae/diffusion_pytorch_model.bin'), 'x');
      const opened = await openCheckpoint(copy);
      await expectError(() => opened.weights('vae'), 'diffusion_pytorch_model.bin', 'runs code');
    }));

  it('says what a file is that is not weights, whatever its name is', () =>
    inTemporaryFolder(async (folder) => {
      const cases: [name: string, content: string, what: string][] = [
        ['html.safetensors', '<!DOCTYPE html><html>', 'is a web page, not weights: download it'],
        ['svd.gguf', 'GGUF\x03', 'is a GGUF file of llama.cpp and its like, not safetensors: use'],
        ['svd.zip', 'PK\x03\x04', 'is a zip archive, not weights: unpack it'],
        ['svd.safetensors', '', 'is empty: download it again'],
        ['model_index.json', '{"_class_name": "X"}', 'is a config, not weights: use the folder'],
      ];
      for (const [name, content, what] of cases) {
        const path = join(folder, name);
        await writeFile(path, content);
        await expectError(() => openCheckpoint(path), `${path} ${what}`);
        await expectError(
          () => convertCheckpoint(path, join(folder, 'out'), { to: 'tfjs' }),
          `${path} ${what}`,
        );
      }
    }));

  it('follows no link and no name out of the folder', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
      const weights = 'unet/diffusion_pytorch_model.safetensors';
      await rename(join(model, weights), path('elsewhere.safetensors'));
      await symlink(path('elsewhere.safetensors'), join(model, weights));
      const opened = await openCheckpoint(model);
      await expectError(
        () => opened.weights('unet'),
        weights,
        'leads out of its folder',
        'elsewhere.safetensors',
      );
      for (const layers of [join(model, 'unet'), join(model, weights)]) {
        const layer = new Linear({ inFeatures: 1, outFeatures: 1 });
        const loading = () => loadLayerWeights(layer, layers, 'time_embedding.linear_1');
        if (layers.endsWith('unet')) await expectError(loading, weights, 'leads out of its folder');
        // a file that is named itself may be a link
        else await expectError(loading, 'of another shape');
        layer.dispose();
      }
      await rename(join(model, 'model_index.json'), path('index.json'));
      await symlink(path('index.json'), join(model, 'model_index.json'));
      await expectError(() => openCheckpoint(model), 'model_index.json', 'leads out of its folder');
      await rename(path('index.json'), join(model, 'model_index.json'));
      await rename(join(model, 'vae/config.json'), path('config.json'));
      await symlink(path('config.json'), join(model, 'vae/config.json'));
      await expectError(() => openCheckpoint(model), 'vae/config.json', 'leads out of its folder');

      const artifact = join(path('tfjs'), 'vae/model.json');
      const whole = await readFile(artifact, 'utf8');
      for (const name of ['../unet/group1-shard1of1.bin', '..', '/etc/passwd', 'a\\b', '']) {
        const json = JSON.parse(whole);
        json.weightsManifest[0].paths = [name];
        await writeFile(artifact, JSON.stringify(json));
        const folder = await openCheckpoint(path('tfjs'));
        await expectError(() => folder.weights('vae'), artifact, 'names in the same folder');
      }
      await writeFile(artifact, whole);
      await rename(path('tfjs/vae/group1-shard1of1.bin'), path('shard'));
      await symlink(path('shard'), path('tfjs/vae/group1-shard1of1.bin'));
      const folder = await openCheckpoint(path('tfjs'));
      await expectError(
        () => folder.weights('vae'),
        'group1-shard1of1.bin',
        'leads out of its folder',
      );
    }));

  it('says what is wrong with an artifact', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
      const artifact = path('tfjs/vae/model.json');
      const whole = await readFile(artifact, 'utf8');
      const expectProblem = async (
        change: (json: { weightsManifest: unknown }, weight: Record<string, unknown>) => void,
        ...parts: string[]
      ) => {
        const json = JSON.parse(whole);
        change(json, json.weightsManifest[0].weights[0]);
        await writeFile(artifact, JSON.stringify(json));
        const folder = await openCheckpoint(path('tfjs'));
        await expectError(() => folder.weights('vae'), artifact, ...parts);
        await folder.close();
      };
      await expectProblem((json) => delete json.weightsManifest, 'no `weightsManifest`');
      await expectProblem((_, weight) => delete weight.name, 'has no name');
      await expectProblem(
        (_, weight) => Object.assign(weight, { shape: [-1] }),
        'not a list of sizes',
      );
      await expectProblem(
        (_, weight) => Object.assign(weight, { dtype: 'int32' }),
        '"int32" and not float32',
      );
      await expectProblem(
        (_, weight) => Object.assign(weight, { quantization: { dtype: 'uint4' } }),
        '"uint4"',
      );
      await expectProblem(
        (_, weight) => Object.assign(weight, { quantization: { dtype: 'uint8' } }),
        '`scale` and `min`',
      );
      await expectProblem((_, weight) => Object.assign(weight, { shape: [1] }), 'bytes instead of');
      await expectProblem(
        (json) => (json.weightsManifest as object[]).push((json.weightsManifest as object[])[0]),
        'twice',
      );
      await writeFile(artifact, whole);
      await rm(path('tfjs/vae/group1-shard1of1.bin'));
      const folder = await openCheckpoint(path('tfjs'));
      await expectError(() => folder.weights('vae'), 'group1-shard1of1.bin', 'does not exist');
      await expectError(
        async () => (await openCheckpoint(path('tfjs'), { variant: 'fp16' })).weights('vae'),
        'which have no variants',
      );
    }));
});
