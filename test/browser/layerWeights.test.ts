/** `loadLayerWeights` of the browser entry, in headless Chromium. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Browser } from 'playwright-core';
import { loadLayerWeights } from '../../src/checkpoints/index.ts';
import { ResnetBlock2D } from '../../src/layers/index.ts';
import { patience } from '../harness/patience.ts';
import { launch, root } from './pageUnderTest.ts';
import { bundleProgram } from './program.ts';
import { serve, type TestServer } from './serve.ts';

const path = 'encoder.down_blocks.0.resnets.0';
const file = 'vae/diffusion_pytorch_model.safetensors';

/** Fills a layer from the address in `model`, and returns its first weight or the error. */
const program = `
import '@tensorflow/tfjs';
import { loadLayerWeights, useBrowserBackend } from '${root}src/browser.ts';
import { ResnetBlock2D } from '${root}src/layers/index.ts';
globalThis.load = async (model) => {
  await useBrowserBackend('cpu');
  const layer = new ResnetBlock2D({ name: 'mine', inChannels: 64 });
  try {
    await loadLayerWeights(layer, model, '${path}');
    return Array.from(await layer.parameters()[0].variable.read().data());
  } catch (error) {
    return error.message;
  }
};`;

describe('loadLayerWeights in a browser', () => {
  let pages: TestServer;
  let model: TestServer;
  let browser: Browser;
  const scratch = mkdtempSync(join(tmpdir(), 'svd-layer-'));

  before(async () => {
    await bundleProgram(program, scratch);
    pages = await serve(scratch);
    model = await serve(join(root, 'weights/tiny'));
    model.headers = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': 'Range' };
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    pages?.close();
    model?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  const load = async (address: string): Promise<number[] | string> => {
    const page = await browser.newPage();
    page.setDefaultTimeout(patience);
    try {
      await page.goto(pages.address);
      await page.waitForFunction(() => 'load' in globalThis);
      return await page.evaluate(
        (url) => (globalThis as unknown as { load(url: string): Promise<number[]> }).load(url),
        address,
      );
    } finally {
      await page.close();
    }
  };

  it('fills a layer from another site, and downloads little more than its tensors', async () => {
    const layer = new ResnetBlock2D({ inChannels: 64 });
    await loadLayerWeights(layer, join(root, 'weights/tiny', file), path);
    const [{ variable }] = layer.parameters();
    const expected = [...(await variable.read().data())];
    layer.dispose();
    model.sentBytes = 0;
    expect(await load(model.address + file)).to.deep.equal(expected);
    expect(model.sentBytes).to.be.below(statSync(join(root, 'weights/tiny', file)).size / 2);
    expect(await load(model.address)).to.deep.equal(expected);
  });

  it('says so if the server does not send parts of files', async () => {
    model.ranges = false;
    expect(await load(model.address + file)).to.match(/does not send parts of files/);
  });
});
