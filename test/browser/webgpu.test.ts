/** WebGPU in headless Chromium, in software, where the page has made it current by itself. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { patience } from '../harness/patience.ts';
import { launch, root } from './pageUnderTest.ts';
import { bundleProgram } from './program.ts';
import { serve } from './serve.ts';

const program = `
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-webgpu';
import * as svd from '${root}src/browser.ts';
globalThis.program = async (model) => {
  await tf.setBackend('webgpu');
  const backend = tf.backend();
  const pipe = await svd.StableVideoDiffusionPipeline.fromPretrained(model);
  const { bytes } = backend.bufferBytes;
  const message = await Promise.resolve().then(() => tf.add(tf.ones([2000]), 1).dataSync())
    .catch((error) => error.message);
  await svd.useBrowserBackend('webgpu');
  return { bytes, message, same: tf.backend() === backend };
};`;

describe('a page that chooses webgpu itself', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'svd-webgpu-'));
  after(() => rmSync(scratch, { recursive: true }));

  it('has a backend that counts, gives back and refuses, and keeps it', async () => {
    await bundleProgram(program, scratch);
    const server = await serve(scratch, join(root, 'weights'));
    const browser = await launch(
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
      '--enable-features=Vulkan',
    );
    try {
      const page = await browser.newPage();
      page.setDefaultTimeout(patience);
      await page.goto(server.address);
      await page.waitForFunction(() => 'program' in globalThis);
      const told = await page.evaluate(
        (model) =>
          (
            globalThis as unknown as {
              program(model: string): Promise<{ bytes: number; message: string; same: boolean }>;
            }
          ).program(model),
        `${server.address}tiny/`,
      );
      expect(told.bytes, 'the weights, most of them in half precision').to.be.above(1_000_000);
      expect(told.message).to.match(/^The webgpu backend cannot read a tensor synchronously/);
      expect(told.same).to.equal(true);
    } finally {
      await browser.close();
      server.close();
    }
  });
});
