/** One layer of a checkpoint behind a URL: as browsers load it, here in Node. */
import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { convertCheckpoint } from '../../../converters/index.ts';
import { openSafetensors } from '../../../src/checkpoints/safetensors/file.ts';
import {
  type LoadLayerUrlOptions,
  loadLayerWeights,
} from '../../../src/checkpoints/web/loadLayerWeights.ts';
import { type AnyBlock, ResnetBlock2D } from '../../../src/layers/index.ts';
import { serve, type TestServer } from '../../browser/serve.ts';
import { expectError, inTemporaryFolder } from '../files.ts';

const tiny = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));
const path = 'encoder.down_blocks.0.resnets.0';
const file = 'vae/diffusion_pytorch_model.safetensors';

const layerOf = () => new ResnetBlock2D({ name: 'mine', inChannels: 64 });

/** The values of every weight by key. */
async function valuesOf(layer: AnyBlock): Promise<Record<string, number[]>> {
  const values: Record<string, number[]> = {};
  for (const { key, variable } of layer.parameters())
    values[key] = [...(await variable.read().data())];
  return values;
}

describe('loadLayerWeights over HTTP', () => {
  let server: TestServer;
  before(async () => {
    server = await serve(tiny);
  });
  after(() => server.close());
  beforeEach(() => {
    Object.assign(server, { ranges: true, headers: {}, requests: [], sentBytes: 0 });
  });

  /** The values that a layer gets from an address. */
  async function loaded(
    url: string,
    where = path,
    options: LoadLayerUrlOptions = {},
  ): Promise<Record<string, number[]>> {
    const layer = layerOf();
    await loadLayerWeights(layer, url, where, options);
    const values = await valuesOf(layer);
    layer.dispose();
    return values;
  }

  it('fills a layer from a model, a component, a file and an open source alike', async () => {
    const layer = layerOf();
    const source = await openSafetensors(join(tiny, file));
    await loadLayerWeights(layer, source, path);
    await source.close();
    const expected = await valuesOf(layer);
    layer.dispose();
    for (const [url, where] of [
      [server.address, path],
      [server.address, `vae.${path}`],
      [`${server.address}vae`, path],
      [server.address + file, path],
    ] as const) {
      expect(await loaded(url, where), url).to.deep.equal(expected);
    }
  });

  it('downloads little more than the tensors of the layer', async () => {
    const values = await loaded(server.address + file);
    const needed = 4 * Object.values(values).reduce((sum, { length }) => sum + length, 0);
    const { size } = statSync(join(tiny, file));
    expect(server.sentBytes).to.be.above(needed / 2); // F16 or F32
    expect(server.sentBytes)
      .to.be.below(needed + 100_000)
      .and.below(size / 2);
  });

  it('finds it in TensorFlow.js artifacts under the same path', () =>
    inTemporaryFolder(async (folder) => {
      await convertCheckpoint(tiny, join(folder, 'tfjs'), { to: 'tfjs', shardSize: 500_000 });
      const artifacts = await serve(join(folder, 'tfjs'));
      try {
        expect(await loaded(artifacts.address)).to.deep.equal(await loaded(server.address));
      } finally {
        artifacts.close();
      }
    }));

  it('says so if the server does not send parts of files', async () => {
    server.ranges = false;
    const url = server.address + file;
    await expectError(
      () => loaded(url),
      `The server of ${url} does not send parts of files (HTTP range requests)`,
    );
  });

  it('says what there is instead of a layer or file that there is not', async () => {
    await expectError(
      () => loaded(server.address, 'encoder.down_blocks.9'),
      'has no layer "encoder.down_blocks.9". At its top there are unet, vae, image_encoder.',
    );
    await expectError(() => loaded(`${server.address}nowhere`), '/nowhere/ has no ');
    await expectError(
      () => loaded(`${server.address}nowhere.safetensors`),
      'nowhere.safetensors cannot be downloaded: the server answers 404',
    );
  });

  it('says what a file is that is not weights', () =>
    inTemporaryFolder(async (folder) => {
      await writeFile(join(folder, 'page.safetensors'), '<!DOCTYPE html><html></html>');
      const pages = await serve(folder);
      try {
        const url = `${pages.address}page.safetensors`;
        await expectError(
          () => loaded(url),
          `${url} is a web page, not weights: download it again.`,
        );
      } finally {
        pages.close();
      }
    }));

  it('finds it in sharded and in original files', () =>
    inTemporaryFolder(async (folder) => {
      await convertCheckpoint(tiny, join(folder, 'toys.safetensors'), { to: 'original' });
      await convertCheckpoint(tiny, join(folder, 'sharded'), {
        ...{ to: 'diffusers', shardSize: 3_000_000 },
      });
      const others = await serve(folder);
      try {
        const expected = await loaded(server.address);
        const index = `${others.address}sharded/${file}.index.json`;
        for (const url of [`${others.address}sharded`, `${others.address}sharded/vae`, index])
          expect(await loaded(url), url).to.deep.equal(expected);
        const original = `${others.address}toys.safetensors`;
        const options = { config: server.address };
        expect(await loaded(original, `vae.${path}`, options)).to.deep.equal(expected);
        await expectError(() => loaded(original), 'does not say by its name how many frames');
      } finally {
        others.close();
      }
    }));
});
