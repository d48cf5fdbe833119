import { cp, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import { blockTensors, writeSafetensors } from '../../src/checkpoints/index.ts';
import { loadLayerWeights } from '../../src/checkpoints/loadLayerWeights.ts';
import { openSafetensors } from '../../src/checkpoints/safetensors/file.ts';
import { type AnyBlock, Linear, SpatioTemporalResBlock } from '../../src/layers/index.ts';
import { messageOf } from '../../src/text/messages.ts';
import { writeSmallCheckpoint } from '../cli/runs.ts';
import { fillByName } from '../harness/nameHash.ts';
import { expectError, fixture, inTemporaryFolder } from './files.ts';

const path = 'mid_block.resnets.0';
const block = (outChannels = 32) =>
  new SpatioTemporalResBlock({ name: 'mine', inChannels: 32, outChannels, tembChannels: 8 });

/** The values of every weight by key. */
async function valuesOf(layer: AnyBlock): Promise<Record<string, number[]>> {
  const entries = layer
    .parameters()
    .map(
      async ({ key, variable }): Promise<[string, number[]]> => [
        key,
        [...(await variable.read().data())],
      ],
    );
  return Object.fromEntries(await Promise.all(entries));
}

/**
 * A copy of the fixture whose UNet has a block at `path`; its other components, and its other
 * variants, have the fixture's few tensors.
 */
async function withModel(
  use: (model: string, expected: Record<string, number[]>) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const model = join(folder, 'model');
    await cp(fixture('model'), model, { recursive: true });
    const layer = block();
    await fillByName(layer);
    const tensors = (at: string) =>
      Object.entries(blockTensors(layer)).map(([key, tensor]) => [`${at}.${key}`, tensor]);
    const both = Object.fromEntries([...tensors(path), ...tensors('mid_block.resnets.1')]);
    await writeSafetensors(join(model, 'unet/diffusion_pytorch_model.safetensors'), both);
    await use(model, await valuesOf(layer));
    layer.dispose();
  });
}

/** The files below a folder that this process has open, where the system tells. */
async function openFilesIn(folder: string): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd').catch(() => []);
  const paths = await Promise.all(
    descriptors.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')),
  );
  return paths.filter((path) => path.startsWith(folder));
}

describe('loadLayerWeights', () => {
  it('fills one layer from a model folder, a component, a file and an open source alike', () =>
    withModel(async (model, expected) => {
      const file = join(model, 'unet/diffusion_pytorch_model.safetensors');
      const source = await openSafetensors(file);
      const places = [
        [model, path],
        [model, `unet.${path}`],
        [join(model, 'unet'), path],
        [file, path],
        [source, path],
      ] as const;
      for (const [checkpoint, where] of places) {
        const layer = block();
        await loadLayerWeights(layer, checkpoint, where);
        expect(await valuesOf(layer)).to.deep.equal(expected);
        layer.dispose();
      }
      await source.close();
    }));

  it('finds variants and shards', async () => {
    const values: Record<string, number[]>[] = [];
    for (const variant of [undefined, 'sharded', 'fp16', 'sharded16']) {
      for (const [checkpoint, where] of [
        ['model', 'vae.linear'],
        ['model/vae', 'linear'],
      ] as const) {
        const layer = new Linear({ inFeatures: 7, outFeatures: 9 });
        await loadLayerWeights(layer, fixture(checkpoint), where, { variant });
        values.push(await valuesOf(layer));
        layer.dispose();
      }
    }
    for (const other of values.slice(1, 4)) expect(other).to.deep.equal(values[0]);
    for (const other of values.slice(5)) expect(other).to.deep.equal(values[4]);
    expect(values[4]).not.to.deep.equal(values[0]);
  });

  it('finds it in an original file and in TensorFlow.js artifacts under the same path', () =>
    inTemporaryFolder(async (folder) => {
      const [model, original, tfjs] = ['model', 'original.safetensors', 'tfjs'].map((name) =>
        join(folder, name),
      ) as [string, string, string];
      await writeSmallCheckpoint(model);
      await convertCheckpoint(model, original, { to: 'original' });
      await convertCheckpoint(model, tfjs, { to: 'tfjs' });
      const values: Record<string, number[]>[] = [];
      for (const [checkpoint, options] of [
        [model, {}],
        [original, { config: model }],
        [tfjs, {}],
      ] as const) {
        const layer = new SpatioTemporalResBlock({ inChannels: 32, tembChannels: 128 });
        await loadLayerWeights(layer, checkpoint, 'down_blocks.0.resnets.0', options);
        values.push(await valuesOf(layer));
        layer.dispose();
        expect(await openFilesIn(folder), `files left open of ${checkpoint}`).to.deep.equal([]);
      }
      expect(values[1]).to.deep.equal(values[0]);
      expect(values[2]).to.deep.equal(values[0]);
    }));

  it('reads the tensors of the layer alone', () =>
    withModel(async (model) => {
      const source = await openSafetensors(join(model, 'unet/diffusion_pytorch_model.safetensors'));
      const read: string[] = [];
      const noted = (name: string) => {
        read.push(name);
        return source.read(name);
      };
      const layer = block();
      await loadLayerWeights(layer, { ...source, read: noted, readBytes: undefined }, path);
      expect(read.sort()).to.deep.equal(
        layer
          .parameters()
          .map(({ key }) => `${path}.${key}`)
          .sort(),
      );
      layer.dispose();
      await source.close();
    }));

  it('says what there is instead of a layer that there is not', () =>
    withModel(async (model) => {
      const layer = block();
      const resnets =
        'has no layer "mid_block.resnets.7". Below "mid_block.resnets" there are 0, 1.';
      await expectError(
        () => loadLayerWeights(layer, join(model, 'unet'), 'mid_block.resnets.7'),
        resnets,
      );
      await expectError(
        () => loadLayerWeights(layer, model, 'decoder.0'),
        'At its top there are unet, vae, image_encoder.',
      );
      await expectError(
        () => loadLayerWeights(layer, model, 'unet.mid_block.x'),
        'Below "unet.mid_block" there are resnets.',
      );
      await expectError(() => loadLayerWeights(layer, './no/such/folder', path), 'no/such/folder');
      await cp(
        join(model, 'vae/diffusion_pytorch_model.safetensors'),
        join(model, 'image_encoder/model.safetensors'),
      );
      await expectError(
        () => loadLayerWeights(layer, model, 'linear'),
        'Say which one is meant: "vae.linear" or "image_encoder.linear".',
      );
      expect(layer.built).to.equal(false);
    }));

  it('lists what does not fit, and changes nothing', () =>
    withModel(async (model) => {
      const layer = block(64);
      layer.build();
      const before = await valuesOf(layer);
      await expectError(
        () => loadLayerWeights(layer, model, path),
        `The weights don't fit "mine":`,
        'missing (mid_block.resnets.0.spatial_res_block.conv_shortcut.weight',
        'mid_block.resnets.0.spatial_res_block.conv1.weight is [32,32,3,3] instead of [64,32,3,3]',
      );
      expect(await valuesOf(layer)).to.deep.equal(before);
      layer.dispose();
      const linear = new Linear({ inFeatures: 32, outFeatures: 32 });
      await expectError(
        () => loadLayerWeights(linear, model, `${path}.spatial_res_block.conv1`),
        'is [32,32,3,3] instead of [32,32]',
      );
      linear.dispose();
    }));
});

describe('one layer in a file', () => {
  const make = () => new SpatioTemporalResBlock({ inChannels: 32, outChannels: 32 });

  it('is read as it was written, at any path and in any type', () =>
    inTemporaryFolder(async (folder) => {
      const layer = make();
      await fillByName(layer);
      const expected = await valuesOf(layer);
      const file = join(folder, 'layer.safetensors');
      const ways: [string, () => Promise<void>, string | undefined][] = [
        ['by name', () => writeSafetensors(file, blockTensors(layer)), ''],
        ['by itself', () => layer.save(file), undefined],
        ['at a path', () => layer.save(file, { keyPrefix: path }), path],
        ['at a path with a dot', () => layer.save(file, { keyPrefix: `${path}.` }), `${path}.`],
        [
          'by name at a path',
          () => writeSafetensors(file, blockTensors(layer, { keyPrefix: path })),
          path,
        ],
      ];
      for (const [way, write, where] of ways) {
        const before = tf.memory().numTensors;
        await write();
        const read = make();
        await loadLayerWeights(read, file, where);
        expect(await valuesOf(read), way).to.deep.equal(expected);
        read.dispose();
        expect(tf.memory().numTensors - before, `tensors left ${way}`).to.equal(0);
      }
      await layer.save(file, { dtype: 'float16' });
      const source = await openSafetensors(file);
      expect(new Set(source.names().map((name) => source.info(name).dtype))).to.deep.equal(
        new Set(['F16']),
      );
      await source.close();
      await loadLayerWeights(make(), file);
      layer.dispose();
    }));

  it('is checked as strictly as one of a checkpoint', () =>
    inTemporaryFolder(async (folder) => {
      const file = join(folder, 'layer.safetensors');
      const linear = new Linear({ name: 'mine', inFeatures: 2, outFeatures: 3 });
      await expectError(() => linear.save(file), '"mine" has no weights yet.', 'build()');
      expect(await readdir(folder)).to.deep.equal([]);
      linear.build();
      for (const [options, message] of [
        [{ keyprefix: 'x' }, '`layer.save` has no option `keyprefix`. Use `keyPrefix`.'],
        [{ dtype: 'half' }, '`dtype` has to be one of float32, float16, bfloat16 but is half.'],
      ] as const)
        expect(await linear.save(file, options as object).catch(messageOf)).to.equal(message);
      for (const none of [undefined, null, 5, tf.layers.flatten()])
        expect(() => blockTensors(none as unknown as Linear)).to.throw(
          '`blockTensors` takes a layer of this package first, not ',
        );
      expect(() => blockTensors(linear, { prefix: 'x' } as object)).to.throw(
        '`blockTensors` has no option `prefix`.',
      );
      expect(() => blockTensors(linear, 'float16' as 'F16')).to.throw(
        '`dtype` has to be one of F32, F16, BF16 but is float16.',
      );
      await linear.save(file, { keyPrefix: 'other' });
      await expectError(
        () => loadLayerWeights(linear, file),
        '2 missing (weight, bias); 2 surplus (other.bias, other.weight)',
      );
      linear.dispose();
    }));

  it('may be a whole component of a model', () =>
    inTemporaryFolder(async (folder) => {
      const model = join(folder, 'model');
      await cp(fixture('model'), model, { recursive: true });
      const layer = make();
      await fillByName(layer);
      await layer.save(join(model, 'unet/diffusion_pytorch_model.safetensors'));
      for (const [checkpoint, where] of [
        [model, 'unet'],
        [join(model, 'unet'), ''],
      ] as const) {
        const read = make();
        await loadLayerWeights(read, checkpoint, where);
        expect(await valuesOf(read)).to.deep.equal(await valuesOf(layer));
        read.dispose();
      }
      await expectError(
        () => loadLayerWeights(layer, model, ''),
        'Say which one is meant: "unet" or "vae" or "image_encoder".',
      );
      layer.dispose();
    }));

  it('says which argument is wrong', () =>
    inTemporaryFolder(async (folder) => {
      const [layer, file] = [make(), join(folder, 'layer.safetensors')];
      layer.build();
      const refused = async (work: Promise<unknown>, message: string) =>
        expect(await work.then(() => 'nothing', messageOf)).to.include(message);
      const save = layer.save.bind(layer) as (path: unknown) => Promise<void>;
      for (const path of [undefined, 5, ''])
        await refused(save(path), '`layer.save` takes a path as its first argument, not ');
      await layer.save(file);
      const load = loadLayerWeights as (...args: unknown[]) => Promise<void>;
      const says = '`loadLayerWeights` takes ';
      for (const [args, message] of [
        [[], `${says}a layer of this package first, not undefined.`],
        [[tf.layers.flatten(), file], `${says}a layer of this package first, not a`],
        [[layer, 5], `${says}a path, a name or an open source of weights second, not 5.`],
        [[layer, file, 5], `${says}the path of the layer in the checkpoint third, not 5.`],
        [[layer, file, '', null], 'The options of `loadLayerWeights` have to be an object'],
        [[layer, file, '', { weight_dtype: 'auto' }], 'Use `weightDtype`.'],
        [[layer, file, '', { weightDtype: 'half' }], '`weightDtype` has to be one of'],
      ] as const)
        await refused(load(...args), message);
      layer.dispose();
    }));
});
