/** Loading a pipeline from URLs, as browsers do, here in Node. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import { CheckpointError } from '../../src/checkpoints/browser.ts';
import { openCheckpoint } from '../../src/checkpoints/index.ts';
import { openUrl } from '../../src/checkpoints/web/openUrl.ts';
import { MemoryError } from '../../src/memory/errors.ts';
import { widened } from '../../src/ops/index.ts';
import { StableVideoDiffusionPipeline as UrlPipeline } from '../../src/pipelines/browser.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import type { Progress } from '../../src/pipelines/types.ts';
import { serve, type TestServer } from '../browser/serve.ts';
import { testBackend } from '../setup.ts';

const tiny = fileURLToPath(new URL('../../weights/tiny', import.meta.url));

describe('loading a pipeline from URLs', () => {
  let server: TestServer;
  before(async () => {
    server = await serve(tiny);
  });
  after(() => server.close());
  beforeEach(() => {
    server.requests = [];
  });

  const downloads = () => server.requests.filter((name) => /^GET .*\.safetensors$/.test(name));

  it('gives the models that the folder has, downloads each file once, and tells the bytes', async () => {
    const before = tf.memory().numTensors;
    const seen: Progress[] = [];
    const fromUrl = await UrlPipeline.fromPretrained(server.address, {
      onProgress: (progress) => seen.push(progress),
    });
    const fromDisk = await StableVideoDiffusionPipeline.fromPretrained(tiny, {
      backend: testBackend,
      weightDtype: 'float32',
    });
    for (const name of ['imageEncoder', 'unet', 'vae'] as const) {
      expect(fromUrl[name].config).to.deep.equal(fromDisk[name].config);
      const [found, expected] = [fromUrl, fromDisk].map((pipe) => pipe[name].parameters());
      expect(found.map(({ key }) => key)).to.deep.equal(expected.map(({ key }) => key));
      for (const [i, { variable }] of found.entries()) {
        if (i % 7 > 0) continue; // some of the hundreds
        const values = [variable, expected[i].variable].map((one) =>
          tf.tidy(() => tf.clone(widened(one.read()))),
        );
        expect(await values[0].data()).to.deep.equal(await values[1].data());
        tf.dispose(values);
      }
    }
    expect(fromUrl.components.featureExtractor).to.deep.equal(fromDisk.components.featureExtractor);
    expect(downloads()).to.have.lengthOf(3);
    expect(new Set(seen.map(({ stage }) => stage))).to.deep.equal(new Set(['downloading']));
    expect(seen.at(-1)!.step).to.equal(seen.at(-1)!.steps);
    fromUrl.dispose();
    fromDisk.dispose();
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('opens a checkpoint as the disk does', async () => {
    await using web = await openUrl(server.address);
    await using disk = await openCheckpoint(tiny);
    expect(web.index).to.deep.equal(disk.index);
    expect(web.config('unet')).to.deep.equal(disk.config('unet'));
    expect(web.format).to.equal(disk.format);
    expect((await web.files()).sort()).to.deep.equal((await disk.files()).sort());
    await using again = await web.reopen();
    expect((await again.weights('vae')).names()).to.deep.equal((await disk.weights('vae')).names());
  });

  it("takes another UNet, of a file or folder, and does not download the model's own", async () => {
    const own = 'unet/diffusion_pytorch_model.safetensors';
    const folder = await mkdtemp(join(tmpdir(), 'unet-'));
    await convertCheckpoint(tiny, join(folder, 'original.safetensors'), { to: 'original' });
    await cp(join(tiny, own), join(folder, 'lcm.safetensors'));
    await cp(join(tiny, 'unet'), join(folder, 'unet'), { recursive: true });
    const others = await serve(folder);
    try {
      await using disk = await openCheckpoint(tiny);
      const expected = await disk.weights('unet');
      const [key] = expected.names();
      for (const name of ['lcm.safetensors', 'original.safetensors?a=b', '', 'unet/']) {
        const options = { unet: others.address + name, cache: null };
        await using web = await openUrl(server.address, options);
        const source = await web.weights('unet');
        expect(source.names(), name).to.have.members(expected.names());
        expect(await source.read(key), name).to.deep.equal(await expected.read(key));
        expect(await web.files()).not.to.include(own);
      }
      const pipe = await UrlPipeline.fromPretrained(server.address, {
        unet: `${others.address}lcm.safetensors`,
      });
      pipe.dispose();
      expect(downloads()).not.to.include(`GET /${own}`);
      const vae = `${server.address}vae/diffusion_pytorch_model.safetensors`;
      const error = await UrlPipeline.fromPretrained(server.address, { unet: vae }).catch(
        (thrown) => thrown,
      );
      expect(error).to.be.instanceOf(CheckpointError);
      expect(error.message).to.include(`${vae} holds a VAE, not a UNet.`);
    } finally {
      await others.close();
      await rm(folder, { recursive: true });
    }
  });

  it('refuses a call that cannot fit before it asks for weights', async function () {
    if (testBackend !== 'wasm') this.skip(); // nothing is known of the others' memory
    const plannedFor = { height: 16384, width: 16384, numFrames: 8 };
    const error = await UrlPipeline.fromPretrained(server.address, { plannedFor }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(MemoryError);
    expect(server.requests.filter((name) => name.endsWith('.safetensors'))).to.deep.equal([]);
  });

  it('says what is missing, and leaves nothing', async () => {
    const before = tf.memory().numTensors;
    for (const [url, options, message] of [
      [`${server.address}nowhere`, {}, 'nowhere/model_index.json cannot be downloaded'],
      [server.address, { variant: 'fp64' }, 'image_encoder/ has no model.fp64.safetensors'],
    ] as const) {
      const error = await UrlPipeline.fromPretrained(url, options).catch((thrown) => thrown);
      expect(error).to.be.instanceOf(CheckpointError);
      expect(error.message).to.include(message);
    }
    expect(tf.memory().numTensors).to.equal(before);
  });
});
