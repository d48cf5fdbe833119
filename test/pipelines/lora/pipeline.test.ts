/** LoRA on the UNet of a pipeline, wherever its weights are. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { convertCheckpoint } from '../../../converters/index.ts';
import { openSafetensors, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { planMemory } from '../../../src/memory/plan.ts';
import { sizeOfCall } from '../../../src/pipelines/callPlanner.ts';
import { plannedRanks } from '../../../src/pipelines/lora/files.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import type { LoadOptions } from '../../../src/pipelines/types.ts';
import { Generator } from '../../../src/random/generator.ts';
import { writeSmallCheckpoint } from '../../cli/runs.ts';
import { relativeL2 } from '../../harness/fixtures.ts';
import { inputPicture, weightValues } from '../../harness/nameHash.ts';
import { warningsOf } from '../../harness/warnings.ts';
import { testBackend } from '../../setup.ts';

const picture = inputPicture('picture', 20, 12);
const size = { height: 8, width: 16, numFrames: 2 };

async function expectError(work: () => Promise<unknown>, message: string): Promise<void> {
  const error = await work().then(
    () => undefined,
    (error: Error) => error,
  );
  expect(error?.message).to.include(message);
}

/** The latents of a call. */
async function latents(pipe: StableVideoDiffusionPipeline): Promise<Float32Array> {
  const { frames } = await pipe.generate(picture, {
    ...{ ...size, numInferenceSteps: 1, outputType: 'latent', generator: new Generator(1) },
  });
  const values = (await frames.data()) as Float32Array;
  frames.dispose();
  return values;
}

describe('LoRA on a pipeline', () => {
  let folder: string;
  const path = (name: string) => join(folder, name);
  const load = (options: LoadOptions = {}) =>
    StableVideoDiffusionPipeline.fromPretrained(path('model'), {
      backend: testBackend,
      ...options,
    });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-lora-'));
    await writeSmallCheckpoint(path('single'));
    const half = { to: 'diffusers', dtype: 'float16' } as const;
    await convertCheckpoint(path('single'), path('model'), half);
    const spatial = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
    const matrices = {
      [`unet.${spatial}.lora_A.weight`]: [3, 32],
      [`unet.${spatial}.lora_B.weight`]: [32, 3],
      'unet.down_blocks.0.resnets.0.spatial_res_block.conv1.lora_A.weight': [2, 32, 3, 3],
      'unet.down_blocks.0.resnets.0.spatial_res_block.conv1.lora_B.weight': [32, 2, 1, 1],
      'unet.mid_block.resnets.0.temporal_res_block.conv2.lora_A.weight': [2, 64, 3, 1, 1],
      'unet.mid_block.resnets.0.temporal_res_block.conv2.lora_B.weight': [64, 2, 1, 1, 1],
    };
    for (const name of ['a', 'b'])
      await writeSafetensors(
        path(`${name}.safetensors`),
        Object.fromEntries(
          Object.entries(matrices).map(([key, shape]) => [
            key,
            { dtype: 'F16' as const, shape, data: weightValues(`${name}.${key}`, shape) },
          ]),
        ),
      );
  });
  after(() => rm(folder, { recursive: true }));

  it('has the same effect with offload, adds up, and leaves no trace @slow', async () => {
    let expected: Float32Array[] | undefined;
    for (const offload of ['none', 'model', 'sequential'] as const) {
      const pipe = await load({ offload });
      const plain = await latents(pipe);
      const tensors = tf.memory().numTensors;
      expect(await pipe.loadLora(path('a.safetensors'))).to.equal('default_0');
      const one = await latents(pipe);
      expect(await pipe.loadLora(path('b.safetensors'), { scale: 0.5, name: 'b' })).to.equal('b');
      const both = await latents(pipe);
      await pipe.setLoraScales({ b: -1 });
      const other = await latents(pipe);
      expect(pipe.loras).to.deep.equal({ default_0: 1, b: -1 });
      await pipe.setLoraScales({ b: 0, default_0: 0 });
      expect(await latents(pipe), 'of scale 0').to.deep.equal(plain);
      await pipe.setLoraScales({ b: 0.5, default_0: 1 });
      expect(await latents(pipe), 'of the scales before').to.deep.equal(both);
      await pipe.unloadLora('b');
      expect(await latents(pipe), 'without the second').to.deep.equal(one);
      await pipe.unloadLora();
      expect(pipe.loras).to.deep.equal({});
      expect(await latents(pipe), 'without any').to.deep.equal(plain);
      expect(tf.memory().numTensors, 'tensors').to.equal(tensors);
      pipe.dispose();
      for (const [a, b] of [
        [one, plain],
        [both, one],
        [other, both],
      ])
        expect(relativeL2(a!, b!)).to.be.above(1e-3);
      expected ??= [plain, one, both, other];
      for (const [i, values] of [plain, one, both, other].entries())
        expect(relativeL2(values, expected[i]!), `${offload} ${i}`).to.be.at.most(1e-6);
    }
  });

  it('is fused into the weights, and out of them to the bit @slow', async () => {
    const pipe = await load();
    const tensors = tf.memory().numTensors;
    const plain = await latents(pipe);
    await pipe.loadLora(path('a.safetensors'), { name: 'a' });
    const adapted = await latents(pipe);
    await pipe.fuseLora();
    expect(relativeL2(await latents(pipe), adapted)).to.be.at.most(1e-5);
    await pipe.savePretrained(path('fused'));
    await pipe.setLoraScales({ a: 2 });
    await pipe.setLoraScales({ a: 1 });
    expect(await latents(pipe), 'as it was before').to.deep.equal(adapted);
    const texts = await warningsOf(() => pipe.savePretrained(path('plain')));
    expect(texts).to.deep.equal([
      `${path('plain')} gets the weights without the LoRA a. Call \`fuseLora\` first to put them ` +
        'into the weights, or write them by `saveLora`.',
    ]);
    await pipe.fuseLora();
    await pipe.unloadLora();
    expect(await latents(pipe), 'without it').to.deep.equal(plain);
    expect(tf.memory().numTensors, 'tensors').to.equal(tensors);
    pipe.dispose();
    for (const [name, values] of [
      ['fused', adapted],
      ['plain', plain],
    ] as const) {
      const saved = await StableVideoDiffusionPipeline.fromPretrained(path(name), {
        backend: testBackend,
      });
      expect(relativeL2(await latents(saved), values), name).to.be.at.most(1e-5);
      saved.dispose();
    }
  });

  it('is not fused with offload, and frees everything with the pipeline', async () => {
    const tensors = tf.memory().numTensors;
    const pipe = await load({ offload: 'model' });
    await pipe.loadLora(path('a.safetensors'));
    await expectError(() => pipe.fuseLora(), 'LoRA cannot be fused with `offload` model');
    pipe.dispose();
    const resident = await load({ offload: 'none' });
    await resident.loadLora(path('a.safetensors'));
    await resident.fuseLora();
    resident.dispose();
    expect(tf.memory().numTensors).to.equal(tensors);
  });

  it('is found in folders, read with the alpha of peft beside it, and written again', async () => {
    const pipe = await load();
    await mkdir(path('peft'));
    await cp(path('a.safetensors'), path('peft/adapter_model.safetensors'));
    await writeFile(path('peft/adapter_config.json'), '{"r": 3, "lora_alpha": 6}');
    await pipe.loadLora(path('peft'), { name: 'peft' });
    const adapted = await latents(pipe);
    await pipe.saveLora(path('written.safetensors'));
    await pipe.unloadLora();
    await pipe.loadLora(path('written.safetensors'));
    expect(await latents(pipe)).to.deep.equal(adapted);
    const file = await openSafetensors(path('written.safetensors'));
    await file.close();
    expect(file.names().every((name) => name.startsWith('unet.'))).to.equal(true);
    expect(JSON.parse(file.metadata.lora_adapter_metadata!)).to.include({
      ...{ 'unet.r': 2, 'unet.lora_alpha': 6 },
    });
    await pipe.loadLora(path('a.safetensors'), { name: 'a' });
    for (const [work, message] of [
      [() => pipe.saveLora(path('x.safetensors')), 'pass `name`, one of default_0 or a'],
      [
        () => pipe.loadLora(path('a.safetensors'), { name: 'a' }),
        'There is a LoRA of the name "a"',
      ],
      [
        () => pipe.loadLora(path('a.safetensors'), { scale: Number.NaN }),
        '`scale` has to be a finite',
      ],
      [() => pipe.loadLora(folder), 'has several files of weights: a.safetensors, b.safetensors'],
      [() => pipe.loadLora(path('none.safetensors')), 'Cannot open the LoRA'],
      [() => pipe.loadLora('lora.ckpt'), 'lora.ckpt'],
    ] as const)
      await expectError(work, message);
    expect(pipe.loras).to.deep.equal({ default_0: 1, a: 1 });
    pipe.dispose();
  });

  it('is in the memory plan, before it is loaded and after', async () => {
    const pipe = await load();
    const { unet, vae, imageEncoder } = pipe;
    const configs = { unet: unet.config, vae: vae.config, imageEncoder: imageEncoder.config };
    const files = ['a', 'b'].map((name) => path(`${name}.safetensors`));
    const loraRanks = await plannedRanks({ model: path('model'), opening: {}, loras: files });
    expect(Object.values(loraRanks!)).to.have.members([4, 6, 4]);
    const bytes = (ranks?: typeof loraRanks) => {
      const call = sizeOfCall({ ...size, loraRanks: ranks });
      return planMemory(configs as never, { ...call, device: 'cpu' }).processBytes;
    };
    const many = Object.fromEntries(Object.keys(loraRanks!).map((key) => [key, 10_000]));
    const least = 4 * 10_000 * (2 * 32 + (9 + 1) * 32 + (3 + 1) * 64);
    expect(bytes(many) - bytes()).to.be.above(least);
    expect(bytes(loraRanks)).to.be.above(bytes() - 1);
    pipe.dispose();
  });
});
