/** Original files as other programs write them, and what those programs read of ours. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { convertCheckpoint } from '../../../converters/index.ts';
import {
  type Checkpoint,
  openCheckpoint,
  openSafetensors,
  type TensorToWrite,
  type WeightedComponent,
  writeSafetensors,
} from '../../../src/checkpoints/index.ts';
import { weightFiles, withModel } from '../../converters/models.ts';
import { expectError, inTemporaryFolder, tensorsIn } from '../files.ts';

const VISUAL = 'conditioner.embedders.0.open_clip.model.visual.';
const FIRST_STAGE = 'first_stage_model.';
const one: TensorToWrite = { dtype: 'F32', shape: [], data: Float32Array.of(700) };

/** Writes what ComfyUI's ImageOnlyCheckpointSave writes of a model. */
async function writeAsComfy(model: string, original: string, path: string): Promise<void> {
  const ofEncoder = 'conditioner.embedders.';
  const rest = Object.entries(await tensorsIn(original)).filter(
    ([name]) => !name.startsWith(ofEncoder),
  );
  const encoder = Object.entries(await tensorsIn(`${model}/${weightFiles[2]}`)).map(
    ([name, tensor]) => [VISUAL + name, tensor],
  );
  const scales = { 'edm_vpred.sigma_max': one, 'edm_vpred.sigma_min': one };
  await writeSafetensors(path, { ...Object.fromEntries([...rest, ...encoder]), ...scales });
}

async function valuesOf(checkpoint: Checkpoint, component: WeightedComponent) {
  const source = await checkpoint.weights(component);
  const values: Record<string, Float32Array> = {};
  for (const name of source.names()) values[name] = await source.read(name);
  return values;
}

describe('openOriginal', () => {
  it('names --config where a file is of another size than the published models', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('svd_xt.safetensors'), { to: 'original' });
      await using files = await openCheckpoint(path('svd_xt.safetensors'));
      const message = await expectError(
        () => files.weights('unet'),
        `${path('svd_xt.safetensors')} is of another size than the published models: `,
        "Pass `config` (--config), a folder in diffusers' format with the configs of this model.",
      );
      expect(message).to.have.length.below(400);
    }));

  for (const dtype of ['float32', 'float16'] as const) {
    it(`reads the ${dtype} files of ComfyUI`, () =>
      withModel(dtype, async (model, path) => {
        await convertCheckpoint(model, path('svd.safetensors'), { to: 'original' });
        await writeAsComfy(model, path('svd.safetensors'), path('comfy.safetensors'));
        await using comfy = await openCheckpoint(path('comfy.safetensors'), { config: model });
        await using exact = await openCheckpoint(model);
        expect(await valuesOf(comfy, 'unet')).to.deep.equal(await valuesOf(exact, 'unet'));
        const clip = await valuesOf(comfy, 'image_encoder');
        expect(clip).to.deep.equal(await valuesOf(exact, 'image_encoder'));
        const [found, expected] = [await valuesOf(comfy, 'vae'), await valuesOf(exact, 'vae')];
        for (const [key, values] of Object.entries(expected))
          if (!/^(quant_conv|encoder\.conv_out)\./.test(key))
            expect(found[key], key).to.deep.equal(values);
        const source = await comfy.weights('vae');
        const info = source.info('quant_conv.weight');
        expect(info).to.deep.equal((await exact.weights('vae')).info('quant_conv.weight'));
        const channels = info.shape[0];
        const identity = Array.from({ length: channels ** 2 }, (_, i) =>
          i % (channels + 1) === 0 ? 1 : 0,
        );
        expect([...found['quant_conv.weight']]).to.deep.equal(identity);
        expect(found['quant_conv.bias'].every((value) => value === 0)).to.equal(true);
        const bytes = new Uint8Array(info.bytes);
        await source.readBytes!('quant_conv.weight', bytes);
        const lowest = dtype === 'float16' ? [0, 0x3c] : [0, 0, 0x80, 0x3f];
        expect([...bytes.subarray(0, lowest.length)]).to.deep.equal(lowest);
      }));
  }

  it('converts a file of ComfyUI without changing what it computes', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('svd.safetensors'), { to: 'original' });
      await writeAsComfy(model, path('svd.safetensors'), path('comfy.safetensors'));
      const from = { config: model };
      await convertCheckpoint(path('comfy.safetensors'), path('back.safetensors'), {
        to: 'original',
        ...from,
      });
      const [comfy, back] = [
        await tensorsIn(path('comfy.safetensors')),
        await tensorsIn(path('back.safetensors')),
      ];
      for (const [name, { data }] of Object.entries(comfy))
        if (name.startsWith(FIRST_STAGE)) expect(back[name].data, name).to.deep.equal(data);
    }));

  it('takes one of two copies of the encoder, and refuses half of one', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('svd.safetensors'), { to: 'original' });
      const { 'conditioner.embedders.3.encoder.quant_conv.bias': _, ...rest } = await tensorsIn(
        path('svd.safetensors'),
      );
      await writeSafetensors(path('half.safetensors'), rest);
      await expectError(
        () =>
          convertCheckpoint(path('half.safetensors'), path('out'), {
            to: 'diffusers',
            config: model,
          }),
        '1 missing (quant_conv.bias)',
      );
    }));

  it('names the files with the image decoder and SV3D for what they are', () =>
    inTemporaryFolder(async (folder) => {
      const path = `${folder}/svd_xt_image_decoder.safetensors`;
      const unet = { 'model.diffusion_model.input_blocks.1.1.time_stack.0.norm1.bias': one };
      const decoder = { 'first_stage_model.decoder.conv_in.bias': one };
      await writeSafetensors(path, { ...unet, ...decoder });
      await expectError(() => openCheckpoint(path), path, 'the image decoder', 'not loaded yet');
      await writeSafetensors(path, {
        ...{ ...unet, ...decoder },
        'conditioner.embedders.1.encoder.encoder.conv_in.bias': one,
      });
      await expectError(() => openCheckpoint(path), path, 'SV3D');
    }));
});

describe('files that are written', () => {
  it('have every name that the official code and ComfyUI read', () =>
    withModel('float16', async (model, path) => {
      await convertCheckpoint(model, path('svd.safetensors'), { to: 'original' });
      const written = await tensorsIn(path('svd.safetensors'));
      // The names of the published file, but for its numbers of blocks and layers.
      const shapeOf = (name: string) => name.replace(/\d+/g, '#');
      const table = new URL('../../fixtures/svd-original-keys.tsv', import.meta.url);
      const official = readFileSync(table, 'utf8')
        .trimEnd()
        .split('\n')
        .slice(1)
        .map((line) => line.split('\t')[2]);
      const encoder = 'conditioner.embedders.3.encoder.encoder.';
      const copies = official
        .filter((name) => name.startsWith(encoder))
        .map((name) => `first_stage_model.encoder.${name.slice(encoder.length)}`);
      expect(copies).to.have.length(106);
      const known = new Set([...official, ...copies].map(shapeOf));
      expect([...new Set(Object.keys(written).map(shapeOf))].filter((n) => !known.has(n)))
        .to.deep //
        .equal([]);
      const names = Object.keys(written);
      const withoutPrefix = (prefix: string) =>
        names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
      expect(withoutPrefix('first_stage_model.encoder.')).to.deep.equal(withoutPrefix(encoder));
      for (const name of withoutPrefix(encoder)) {
        const [a, b] = [written[encoder + name], written[`first_stage_model.encoder.${name}`]];
        expect(b.shape, name).to.deep.equal(a.shape);
        expect(b.dtype, name).to.equal(a.dtype);
        if (!name.startsWith('conv_out.')) expect(b.data, name).to.deep.equal(a.data);
      }
    }));

  it('fold quant_conv into the encoder beside the decoder', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('svd.safetensors'), { to: 'original' });
      const file = await openSafetensors(path('svd.safetensors'));
      const read = (name: string) => file.read(name);
      const from = 'conditioner.embedders.3.encoder.';
      const [quant, quantBias] = [
        await read(`${from}quant_conv.weight`),
        await read(`${from}quant_conv.bias`),
      ];
      const [last, lastBias] = [
        await read(`${from}encoder.conv_out.weight`),
        await read(`${from}encoder.conv_out.bias`),
      ];
      const folded = await read('first_stage_model.encoder.conv_out.weight');
      const foldedBias = await read('first_stage_model.encoder.conv_out.bias');
      const channels = quantBias.length;
      const columns = last.length / channels;
      // One pixel of any input to both: what quant_conv makes of the convolution is what is folded.
      const input = Float32Array.from({ length: columns }, (_, i) => Math.sin(i));
      const convolve = (weight: Float32Array, bias: Float32Array, x: ArrayLike<number>) =>
        Array.from(bias, (b, row) =>
          Array.from(x).reduce((sum, value, i) => sum + weight[row * x.length + i] * value, b),
        );
      const expected = convolve(quant, quantBias, convolve(last, lastBias, input));
      const found = convolve(folded, foldedBias, input);
      for (const [i, value] of expected.entries()) expect(found[i]).to.be.closeTo(value, 1e-5);
      await file.close();
    }));
});
