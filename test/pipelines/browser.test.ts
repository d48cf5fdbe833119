/** Loading a pipeline from URLs, as browsers do, here in Node. */
import { statSync } from 'node:fs';
import { cp, mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import { CheckpointError } from '../../src/checkpoints/browser.ts';
import { openCheckpoint } from '../../src/checkpoints/index.ts';
import { openSingleFileUrl } from '../../src/checkpoints/web/openSingleFile.ts';
import { openUrl } from '../../src/checkpoints/web/openUrl.ts';
import { MemoryError } from '../../src/memory/errors.ts';
import { widened } from '../../src/ops/index.ts';
import { StableVideoDiffusionPipeline as UrlPipeline } from '../../src/pipelines/browser.ts';
import { describeModel } from '../../src/pipelines/loading/describeUrl.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import type { Progress } from '../../src/pipelines/types.ts';
import { Generator } from '../../src/random/generator.ts';
import { writeLargeModel } from '../browser/largeModel.ts';
import { serve, type TestServer } from '../browser/serve.ts';
import { testBackend } from '../setup.ts';

const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0);
const tiny = fileURLToPath(new URL('../../weights/tiny', import.meta.url));

describe('loading a pipeline from URLs', () => {
  let server: TestServer;
  before(async () => {
    server = await serve(tiny);
  });
  after(() => server.close());
  beforeEach(() => {
    Object.assign(server, { requests: [], sentBytes: 0 });
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
    // Without storage, in parts.
    const size = (name: string) => statSync(join(tiny, name)).size;
    const sizes = [
      ...['unet/diffusion_pytorch_model', 'vae/diffusion_pytorch_model', 'image_encoder/model'],
    ].map((name) => size(`${name}.safetensors`));
    expect(server.sentBytes)
      .to.be.above(sum(sizes))
      .and.below(1.02 * sum(sizes));
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

  it('opens sharded weights, and original files with the configs that they need', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'web-'));
    await convertCheckpoint(tiny, join(folder, 'sharded'), {
      ...{ to: 'diffusers', shardSize: 3_000_000 },
    });
    await convertCheckpoint(tiny, join(folder, 'toys.safetensors'), { to: 'original' });
    const others = await serve(folder);
    try {
      await using disk = await openCheckpoint(tiny);
      await using sharded = await openUrl(`${others.address}sharded`);
      const single = `${others.address}toys.safetensors`;
      await using original = await openSingleFileUrl(single, { config: server.address });
      expect(await sharded.files()).to.include(
        'unet/diffusion_pytorch_model.safetensors.index.json',
      );
      expect(await original.files()).to.deep.equal(['toys.safetensors']);
      for (const component of ['unet', 'vae', 'image_encoder'] as const) {
        const expected = await disk.weights(component);
        for (const model of [sharded, original, await original.reopen()]) {
          const source = await model.weights(component);
          expect(source.names()).to.have.members(expected.names());
          for (const key of expected.names().slice(0, 3))
            expect(await source.read(key)).to.deep.equal(await expected.read(key));
        }
      }
      await rm(join(folder, 'sharded/unet/diffusion_pytorch_model.safetensors.index.json'));
      await using broken = await openUrl(`${others.address}sharded`);
      const messages = [
        [() => openSingleFileUrl(single), /does not say by its name how many frames/],
        [() => openSingleFileUrl(`${single}x`), /toys\.safetensorsx cannot be downloaded/],
        [() => broken.weights('unet'), /unet\/ has no diffusion_pytorch_model\.safetensors, /],
      ] as const;
      for (const [work, message] of messages) {
        const error = await work().catch((thrown: unknown) => thrown);
        expect(error).to.be.instanceOf(CheckpointError);
        expect((error as Error).message).to.match(message);
      }
    } finally {
      others.close();
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

  it('takes a model that wasm has no room for block by block, and not as a whole', async function () {
    if (testBackend !== 'wasm') this.skip();
    const folder = await mkdtemp(join(tmpdir(), 'large-'));
    writeLargeModel(folder);
    const large = await serve(folder);
    try {
      const plannedFor = { height: 64, width: 64, numFrames: 2 };
      const { plan } = await describeModel(large.address, plannedFor);
      expect(plan).to.include({ fits: true, offload: 'sequential' });
      for (const offload of ['none', 'model'] as const) {
        const error = await UrlPipeline.fromPretrained(large.address, { offload }).catch(
          (thrown: unknown) => thrown,
        );
        expect(error).to.be.instanceOf(MemoryError);
        expect((error as Error).message).to.match(
          /^The weights take 1\d\.\d GiB on the wasm backend, whose memory ends at 4 GiB\. Use the webgpu backend, `offload: 'sequential'`, or a smaller model\.$/,
        );
      }
      expect(large.requests.filter((name) => /^GET .*\.safetensors$/.test(name))).to.deep.equal([]);
    } finally {
      large.close();
      await rm(folder, { recursive: true });
    }
  });

  it('computes the same with weights that are read from the server when they are needed @slow', async () => {
    const settings = { height: 32, width: 32, numFrames: 2, numInferenceSteps: 1 };
    const picture = { width: 32, height: 32, data: new Uint8Array(32 * 32 * 3).fill(100) };
    const results = [];
    for (const offload of ['none', 'model', 'sequential'] as const) {
      const pipe = await UrlPipeline.fromPretrained(server.address, { offload });
      const generator = new Generator(1);
      const { frames } = await pipe.generate(picture, {
        ...{ ...settings, generator, outputType: 'array' },
      });
      results.push(frames.data);
      pipe.dispose();
    }
    expect(results[1]).to.deep.equal(results[0]);
    expect(results[2]).to.deep.equal(results[0]);
  });

  it('goes on reading after the signal of loading has aborted, and refuses changed weights', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'web-'));
    await cp(tiny, folder, { recursive: true });
    const own = await serve(folder);
    try {
      const stop = new AbortController();
      const pipe = await UrlPipeline.fromPretrained(own.address, {
        ...{ offload: 'sequential', signal: stop.signal },
      });
      stop.abort();
      const settings = { height: 32, width: 32, numFrames: 2, numInferenceSteps: 1 };
      const picture = { width: 32, height: 32, data: new Uint8Array(32 * 32 * 3) };
      await pipe.generate(picture, settings);
      const later = new Date(Date.now() + 60_000);
      await utimes(join(folder, 'unet/diffusion_pytorch_model.safetensors'), later, later);
      const error = await pipe.generate(picture, settings).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(CheckpointError);
      expect((error as Error).message).to.match(/has changed on the server since it was opened\./);
      pipe.dispose();
    } finally {
      own.close();
      await rm(folder, { recursive: true });
    }
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
