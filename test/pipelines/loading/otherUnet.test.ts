/** Pipelines with another UNet than that of their model. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { loadImage } from '../../../src/media/pictures/loadImage.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import type { LoadOptions } from '../../../src/pipelines/types.ts';
import { Generator } from '../../../src/random/generator.ts';
import { forms, UNET, writeUnets } from '../../checkpoints/unet/unets.ts';
import { picture } from '../../cli/runs.ts';
import { testBackend } from '../../setup.ts';

describe('another UNet', () => {
  let folder: string;
  const path = (name: string) => join(folder, name);
  const load = (model: string, options: LoadOptions = {}) =>
    StableVideoDiffusionPipeline.fromPretrained(path(model), { backend: testBackend, ...options });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unet-'));
    await writeUnets(folder);
  });
  after(() => rm(folder, { recursive: true }));

  /** The latents of a short call; the pipeline is disposed of. */
  async function latentsOf(loading: Promise<StableVideoDiffusionPipeline>): Promise<Float32Array> {
    const pipe = await loading;
    const { frames } = await pipe.generate(await loadImage(picture('rocket.jpg')), {
      ...{ height: 16, width: 24, numFrames: 2, numInferenceSteps: 2, outputType: 'latent' },
      generator: new Generator(1),
    });
    const values = (await frames.data()) as Float32Array;
    frames.dispose();
    pipe.dispose();
    return values;
  }

  it('makes the latents of a model with that UNet, to the bit, in every form @slow', async () => {
    const expected = await latentsOf(load('other'));
    expect(await latentsOf(load('model'))).not.to.deep.equal(expected);
    await rm(path(`model/${UNET}`)); // it is not read
    const before = tf.memory().numTensors;
    for (const [what, unet] of Object.entries(forms))
      expect(await latentsOf(load('model', { unet: path(unet) })), what).to.deep.equal(expected);
    for (const offload of ['model', 'sequential'] as const) {
      for (const unet of ['lcm.safetensors', 'original-unet.safetensors', 'sharded']) {
        const made = await latentsOf(load('model', { unet: path(unet), offload }));
        expect(made, `${offload} ${unet}`).to.deep.equal(expected);
      }
    }
    expect(tf.memory().numTensors).to.equal(before);
    const single = StableVideoDiffusionPipeline.fromSingleFile(path('original.safetensors'), {
      ...{ config: path('model'), unet: path('lcm.safetensors'), backend: testBackend },
    });
    expect(await latentsOf(single), 'in an original file').to.deep.equal(expected);
  });

  it('is saved with the pipeline, also where weights are not in memory @slow', async () => {
    const unet = path('half/unet_lcm'); // in half precision, with its config
    const expected = await latentsOf(load('model', { unet }));
    for (const offload of ['none', 'sequential'] as const) {
      const pipe = await load('model', { unet, offload });
      await pipe.savePretrained(path(`saved-${offload}`));
      pipe.dispose();
      expect(await latentsOf(load(`saved-${offload}`)), offload).to.deep.equal(expected);
    }
  });

  it('needs no folder of the model it replaces if it has its own config', async () => {
    await cp(path('model'), path('without'), { recursive: true });
    await rm(path('without/unet'), { recursive: true });
    const pipe = await load('without', { unet: path('half/unet_lcm') });
    expect(pipe.unet.config.layersPerBlock).to.equal(1);
    pipe.dispose();
  });
});
