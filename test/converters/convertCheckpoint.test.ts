/** Conversions from every format to every other one, and back. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { type ConvertOptions, convertCheckpoint } from '../../converters/index.ts';
import {
  identifyCheckpoint,
  openCheckpoint,
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { Generator } from '../../src/random/index.ts';
import { expectError } from '../checkpoints/files.ts';
import { inputPicture } from '../harness/nameHash.ts';
import { testBackend } from '../setup.ts';
import { expectSameWeights, withModel } from './models.ts';

/** Writes an original file again, with other names and further tensors. */
async function rewrite(
  from: string,
  to: string,
  rename: (name: string) => string,
  more: Record<string, TensorToWrite> = {},
): Promise<void> {
  const file = await openSafetensors(from);
  const tensors = file.names().map((name): [string, TensorToWrite] => [
    rename(name),
    {
      dtype: file.info(name).dtype,
      shape: file.info(name).shape,
      data: () => file.readRaw(name),
    },
  ]);
  await writeSafetensors(to, { ...Object.fromEntries(tensors), ...more });
  await file.close();
}

async function frames(pipe: StableVideoDiffusionPipeline): Promise<Float32Array> {
  const options = {
    height: 16,
    width: 24,
    numFrames: 2,
    numInferenceSteps: 1,
    generator: new Generator(3),
    outputType: 'array',
  } as const;
  const result = await pipe.generate(inputPicture('picture', 24, 16), options);
  pipe.dispose();
  return result.frames.data;
}

const load = (path: string, options = {}) =>
  StableVideoDiffusionPipeline.fromPretrained(path, { backend: testBackend, ...options });

describe('convertCheckpoint', () => {
  for (const dtype of ['float32', 'float16'] as const) {
    it(`goes to the original naming and back without changing a bit of ${dtype}`, () =>
      withModel(dtype, async (model, path) => {
        await convertCheckpoint(model, path('small.safetensors'), { to: 'original' });
        await convertCheckpoint(path('small.safetensors'), path('back'), {
          to: 'diffusers',
          config: model,
        });
        await expectSameWeights(model, path('back'));
      }));

    it(`goes to TensorFlow.js artifacts and back without changing a bit of ${dtype}`, () =>
      withModel(dtype, async (model, path) => {
        await convertCheckpoint(model, path('tfjs'), { to: 'tfjs', shardSize: 100_000 });
        const shards = (await readdir(path('tfjs/unet'))).filter((name) =>
          /^group1-shard\d+of\d+\.bin$/.test(name),
        );
        expect(shards.length).to.be.above(3);
        expect(
          (await readFile(path(`tfjs/unet/group1-shard1of${shards.length}.bin`))).length,
        ).to.equal(100_000);
        await convertCheckpoint(path('tfjs'), path('back'), { to: 'diffusers' });
        await expectSameWeights(model, path('back'));
        await convertCheckpoint(path('tfjs'), path('small.safetensors'), { to: 'original' });
        await convertCheckpoint(path('small.safetensors'), path('again'), {
          to: 'tfjs',
          config: path('tfjs'),
        });
        await convertCheckpoint(path('again'), path('last'), { to: 'diffusers' });
        await expectSameWeights(model, path('last'));
      }));
  }

  it('writes whole numbers as floats where transformers takes no integers', () =>
    withModel('float32', async (model, path) => {
      const file = join(model, 'image_encoder/config.json');
      const config = {
        ...JSON.parse(await readFile(file, 'utf8')),
        initializer_factor: 1.0,
        layer_norm_eps: 1e-5,
        hidden_size_of: 2,
      };
      await writeFile(file, JSON.stringify(config));
      await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
      await convertCheckpoint(path('tfjs'), path('back'), { to: 'diffusers' });
      const text = await readFile(path('back/image_encoder/config.json'), 'utf8');
      expect(text)
        .to.contain('"initializer_factor": 1.0')
        .and.contain('"layer_norm_eps": 0.00001')
        .and.contain('"hidden_size_of": 2');
      expect(JSON.parse(text)).to.deep.equal(config);
    }));

  it('gives the same frames from every format, resident and streamed @slow', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('small.safetensors'), { to: 'original' });
      await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
      const expected = await frames(await load(model));
      const single = await StableVideoDiffusionPipeline.fromSingleFile(path('small.safetensors'), {
        config: model,
        backend: testBackend,
      });
      expect(await frames(single)).to.deep.equal(expected);
      expect(await frames(await load(path('tfjs')))).to.deep.equal(expected);
      expect(await frames(await load(path('tfjs'), { offload: 'sequential' }))).to.deep.equal(
        expected,
      );
    }));

  it(
    "takes the decoder's last convolution over time in both places, and passes over what is not " +
      'used',
    () =>
      withModel('float32', async (model, path) => {
        await convertCheckpoint(model, path('published.safetensors'), { to: 'original' });
        const unused = { dtype: 'F32' as const, shape: [2], data: new Float32Array(2) };
        await rewrite(
          path('published.safetensors'),
          path('other.safetensors'),
          (name) => name.replace('conv_out.time_mix_conv', 'time_mix_conv'),
          {
            'conditioner.embedders.0.open_clip.model.ln_final.weight': unused,
            'first_stage_model.encoder.conv_in.bias': unused,
          },
        );
        const namesOf = async (name: string) => {
          const file = await openSafetensors(path(name));
          await file.close();
          return file.names();
        };
        const names = [await namesOf('published.safetensors'), await namesOf('other.safetensors')];
        expect(names[0]).to.include('first_stage_model.decoder.conv_out.time_mix_conv.weight');
        expect(names[1]).to.include('first_stage_model.decoder.time_mix_conv.weight');
        await convertCheckpoint(path('other.safetensors'), path('back'), {
          to: 'diffusers',
          config: model,
        });
        await expectSameWeights(model, path('back'));
      }),
  );

  it('carries the hashes of what it is made from', () =>
    withModel('float32', async (model, path) => {
      const { source } = await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
      expect(source).to.deep.equal(await identifyCheckpoint(model));
      const json = async (file: string) => JSON.parse(await readFile(path(file), 'utf8'));
      expect((await json('tfjs/model_index.json'))._converted_from).to.deep.equal(source);
      expect((await json('tfjs/vae/model.json')).userDefinedMetadata.convertedFrom).to.deep.equal(
        source,
      );
      await convertCheckpoint(path('tfjs'), path('a.safetensors'), { to: 'original' });
      const file = await openSafetensors(path('a.safetensors'));
      expect(JSON.parse(file.metadata.converted_from)).to.deep.equal(
        await identifyCheckpoint(path('tfjs')),
      );
      await file.close();
    }));

  it('splits and narrows as it is told to', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('half'), {
        to: 'diffusers',
        dtype: 'bfloat16',
        shardSize: 200_000,
      });
      const names = await readdir(path('half/unet'));
      expect(names).to.include('diffusion_pytorch_model.safetensors.index.json');
      const opened = await openCheckpoint(path('half'));
      const source = await opened.weights('unet');
      expect(source.info('conv_in.weight').dtype).to.equal('BF16');
      const sizes = await Promise.all(
        names
          .filter((name) => name.endsWith('.safetensors'))
          .map((name) => readFile(path(`half/unet/${name}`))),
      );
      expect(sizes.length).to.be.above(2);
      await opened.close();
      await convertCheckpoint(path('half'), path('whole'), { to: 'diffusers' });
      const whole = await openCheckpoint(path('whole'));
      expect((await whole.weights('vae')).names().length).to.be.above(50);
      await whole.close();
    }));

  it('refuses options that it has not', async () => {
    const convert = (options: object) =>
      convertCheckpoint('in', 'out', { to: 'tfjs', ...options } as never).catch(
        (error: Error) => error.message,
      );
    expect(await convert({ shard_size: 5 })).to.equal(
      '`convertCheckpoint` has no option `shard_size`. Use `shardSize`.',
    );
    expect(await convert({ from: 'onnx' })).to.include('`from` has to be one of diffusers,');
  });

  it('refuses what it cannot convert, and leaves nothing', () =>
    withModel('float32', async (model, path) => {
      const to = (options: Partial<ConvertOptions>, input = model) =>
        convertCheckpoint(input, path('out'), { to: 'diffusers', ...options });
      await expectError(
        () => to({ to: 'onnx' as 'tfjs' }),
        '`to` has to be one of diffusers, original, tfjs',
      );
      await expectError(() => to({ from: 'tfjs' }), 'is in the format diffusers, not tfjs');
      await expectError(() => to({ to: 'tfjs', dtype: 'float16' }), 'Use `quantize`');
      await expectError(() => to({ quantize: 'uint8' }), '`quantize` is only for tfjs');
      await expectError(() => to({ to: 'original', shardSize: 5 }), 'which are one file');
      await expectError(() => to({ shardSize: 0.5 }), '`shardSize`');
      await expectError(() => to({ config: model }), 'is for single files');
      await expectError(() => to({}, path('nothing.safetensors')), 'does not exist');
      await expectError(() => convertCheckpoint(model, model, { to: 'tfjs' }), 'already exists');
      await convertCheckpoint(model, path('small.safetensors'), { to: 'original' });
      await expectError(() => to({}, path('small.safetensors')), '--num-frames', '--config');
      await expectError(
        () => to({ numFrames: 25 }, path('small.safetensors')),
        'is of another size than the published models',
      );
      const config = JSON.parse(await readFile(join(model, 'unet/config.json'), 'utf8'));
      await writeFile(
        join(model, 'unet/config.json'),
        JSON.stringify({ ...config, layers_per_block: 2 }),
      );
      await expectError(
        () => to({ config: model }, path('small.safetensors')),
        'unet/config.json: layers_per_block asks for 2, but the weights hold',
      );
      const why = new Error('enough');
      expect(
        await to({ signal: AbortSignal.abort(why) }, path('small.safetensors')).catch(
          (error) => error,
        ),
      ).to.be.an('error');
      expect((await readdir(path('.'))).sort()).to.deep.equal(['single', 'small.safetensors']);
    }));
});
