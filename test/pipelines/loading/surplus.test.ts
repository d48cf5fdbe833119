/** Whole models with tensors that they have no place for, and with types that are widened. */
import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { convertCheckpoint } from '../../../converters/index.ts';
import {
  loadLayerWeights,
  openCheckpoint,
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/checkpoints/index.ts';
import { StableVideoDiffusionPipeline as UrlPipeline } from '../../../src/pipelines/browser.ts';
import { describeModel } from '../../../src/pipelines/loading/describeModel.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import type { SamplingPipeline } from '../../../src/pipelines/stableVideoDiffusion.ts';
import { Generator } from '../../../src/random/index.ts';
import { serve } from '../../browser/serve.ts';
import { expectError } from '../../checkpoints/files.ts';
import { withModel } from '../../converters/models.ts';
import { inputPicture } from '../../harness/nameHash.ts';
import { warningsOf } from '../../harness/warnings.ts';
import { testBackend } from '../../setup.ts';

const VAE = 'vae/diffusion_pytorch_model';
const extra: TensorToWrite = { dtype: 'I64', shape: [3], data: new Uint8Array(24) };

/** Writes a safetensors file again with changed tensors. */
async function rewrite(
  path: string,
  change: (tensors: Record<string, TensorToWrite>) => void,
): Promise<void> {
  const file = await openSafetensors(path);
  const tensors: Record<string, TensorToWrite> = {};
  for (const name of file.names())
    tensors[name] = { ...file.info(name), data: await file.readRaw(name) };
  await file.close();
  change(tensors);
  await writeSafetensors(path, tensors, file.metadata);
}

const addExtra = (path: string, name = 'model_ema.decay') =>
  rewrite(path, (tensors) => {
    tensors[name] = extra;
  });

/** Puts random codes of an 8-bit type, without NaN, in the place of a tensor's values. */
const toFloat8 = (dtype: 'F8_E4M3' | 'F8_E5M2') => (tensors: Record<string, TensorToWrite>) => {
  for (const [name, { shape }] of Object.entries(tensors)) {
    const count = shape.reduce((product, axis) => product * axis, 1);
    const data = Uint8Array.from({ length: count }, (_, i) => ((i * 37) % 0x40) | ((i & 1) << 7));
    tensors[name] = { dtype, shape, data };
  }
};

async function frames(pipe: SamplingPipeline): Promise<Float32Array> {
  const result = await pipe.generate(inputPicture('picture', 24, 16), {
    ...{ height: 16, width: 24, numFrames: 2, numInferenceSteps: 1 },
    ...{ generator: new Generator(3), outputType: 'array' as const },
  });
  pipe.dispose();
  return result.frames.data;
}

const load = (path: string, options = {}) =>
  StableVideoDiffusionPipeline.fromPretrained(path, { backend: testBackend, ...options });

const warning = (...names: string[]) =>
  `The weights of "vae" have ${names.length} tensor${names.length === 1 ? '' : 's'} that the ` +
  `model has no place for and that ${names.length === 1 ? 'is' : 'are'} passed over: ` +
  `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}.`;

describe('surplus tensors @slow', () => {
  it('of every format are passed over with one warning, and the frames stay', () =>
    withModel('float32', async (model, path) => {
      const expected = await frames(await load(model));
      await convertCheckpoint(model, path('sharded'), { to: 'diffusers', shardSize: 100_000 });
      await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
      await convertCheckpoint(model, path('svd.safetensors'), { to: 'original' });

      await addExtra(`${model}/${VAE}.safetensors`);
      const index = JSON.parse(
        await readFile(path(`sharded/${VAE}.safetensors.index.json`), 'utf8'),
      );
      await addExtra(path(`sharded/vae/${Object.values<string>(index.weight_map)[0]}`));
      const artifact = JSON.parse(await readFile(path('tfjs/vae/model.json'), 'utf8'));
      const [group] = artifact.weightsManifest;
      group.weights.push({ name: 'vae/model_ema/decay', shape: [3], dtype: 'float32' });
      await writeFile(path('tfjs/vae/model.json'), JSON.stringify(artifact));
      await writeFile(path(`tfjs/vae/${group.paths.at(-1)}`), new Uint8Array(12), { flag: 'a' });
      await addExtra(path('svd.safetensors'), 'edm_vpred.sigma_max');

      for (const folder of [model, path('sharded'), path('tfjs')]) {
        for (const offload of ['none', 'model', 'sequential']) {
          const warnings = await warningsOf(async () => {
            expect(await frames(await load(folder, { offload })), folder).to.deep.equal(expected);
          });
          expect(warnings, `${folder} ${offload}`).to.deep.equal([warning('model_ema.decay')]);
        }
      }
      const warnings = await warningsOf(async () => {
        const pipe = await StableVideoDiffusionPipeline.fromSingleFile(path('svd.safetensors'), {
          ...{ backend: testBackend, config: model },
        });
        expect(await frames(pipe)).to.deep.equal(expected);
      });
      expect(warnings).to.deep.equal([warning('edm_vpred.sigma_max')]);
    }));

  it('from a URL are passed over, too', () =>
    withModel('float32', async (model) => {
      for (const name of ['a', 'b', 'c', 'd', 'e'])
        await addExtra(`${model}/${VAE}.safetensors`, name);
      const server = await serve(model);
      const warnings = await warningsOf(async () => {
        (await UrlPipeline.fromPretrained(server.address)).dispose();
      });
      await server.close();
      expect(warnings).to.deep.equal([warning('a', 'b', 'c', 'd', 'e')]);
    }));

  it('are left out of conversions, and told by svd info', () =>
    withModel('float32', async (model, path) => {
      await addExtra(`${model}/${VAE}.safetensors`);
      const warnings = await warningsOf(() =>
        convertCheckpoint(model, path('out'), { to: 'diffusers' }),
      );
      expect(warnings).to.deep.equal([warning('model_ema.decay')]);
      await using out = await openCheckpoint(path('out'));
      expect((await out.weights('vae')).names()).to.not.include('model_ema.decay');
      const { problems, warnings: told } = await describeModel(model);
      expect({ problems, told }).to.deep.equal({ problems: [], told: warnings });
    }));

  it('of one layer are refused', () =>
    withModel('float32', async (model) => {
      await addExtra(`${model}/${VAE}.safetensors`, 'encoder.conv_in.extra');
      const pipe = await load(model).catch((error) => error);
      await expectError(
        () => loadLayerWeights(pipe.vae.encoder.convIn, model, 'encoder.conv_in'),
        '1 surplus (encoder.conv_in.extra)',
      );
      pipe.dispose();
    }));

  it('that are scales of quantised weights are refused', () =>
    withModel('float32', async (model) => {
      await addExtra(`${model}/${VAE}.safetensors`, 'encoder.conv_in.scale_weight');
      await expectError(() => load(model), '"vae" are quantised', 'encoder.conv_in.scale_weight');
    }));
});

describe('8-bit float weights @slow', () => {
  for (const dtype of ['F8_E4M3', 'F8_E5M2'] as const) {
    it(`of type ${dtype} are widened when they are loaded and converted`, () =>
      withModel('float32', async (model, path) => {
        await rewrite(`${model}/${VAE}.safetensors`, toFloat8(dtype));
        await convertCheckpoint(model, path('wide'), { to: 'diffusers', dtype: 'float32' });
        await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
        await convertCheckpoint(model, path('svd.safetensors'), { to: 'original' });
        await convertCheckpoint(path('svd.safetensors'), path('back'), {
          ...({ to: 'diffusers', config: model } as const),
        });
        const values = async (folder: string) => {
          await using opened = await openCheckpoint(folder);
          const source = await opened.weights('vae');
          const names = source.names().sort();
          return Promise.all(names.map(async (name) => [name, await source.read(name)]));
        };
        const expected = await values(model);
        expect(await values(path('wide'))).to.deep.equal(expected);
        expect(await values(path('back'))).to.deep.equal(expected);
        const found = await frames(await load(model));
        expect(found.every(Number.isFinite)).to.equal(true);
        for (const folder of [path('wide'), path('tfjs'), path('back')])
          expect(await frames(await load(folder)), folder).to.deep.equal(found);
        const server = await serve(model);
        const fromUrl = await UrlPipeline.fromPretrained(server.address);
        await server.close();
        expect(await frames(fromUrl)).to.deep.equal(found);
        expect((await describeModel(model)).models.vae.dtypes).to.deep.equal([dtype]);
      }));
  }
});
