/**
 * A checkpoint of the published size in a tab, streamed from a server block by block: `npm run
 * test:full`. It writes its figures into `bench/results/tab.json`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Browser } from 'playwright-core';
import { machine } from '../../bench/machine.ts';
import { prepareCheckpoint, pythonWithDiffusers } from '../../bench/prepare.ts';
import { loadImage } from '../../src/media/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import type { FloatArray } from '../../src/pipelines/types.ts';
import { Generator } from '../../src/random/index.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { testBackend } from '../setup.ts';
import { launch, root } from './pageUnderTest.ts';
import { bundleProgram } from './program.ts';
import { serve } from './serve.ts';

const checkpoint = 'bench/checkpoints/full';
const TOLERANCE = 1e-4; // that of whole calls
const MOST_BYTES = 2.5e9;

/** Two frames, one evaluation without guidance, one frame decoded at a time. */
const options = {
  ...{ height: 64, width: 64, numFrames: 2, numInferenceSteps: 1, maxGuidanceScale: 1 },
  ...{ decodeChunkSize: 1, outputType: 'array' as const },
};

type Stages = Record<'latents' | 'frames', number[]>;

/** Makes the video of a picture in the tab. */
const program = `
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { Generator, StableVideoDiffusionPipeline, useBrowserBackend } from '${root}src/browser.ts';
setWasmPaths('/');
globalThis.make = async (model, picture, options) => {
  await useBrowserBackend('wasm');
  const pipe = await StableVideoDiffusionPipeline.fromPretrained(model, { offload: 'sequential' });
  const stages = {};
  const onStage = (name, { data }) => { stages[name] = Array.from(data); };
  await pipe.generate(picture, { ...options, generator: new Generator(1), onStage });
  pipe.dispose();
  return { latents: stages.latents_step_0, frames: stages.frames };
};`;

/** The most memory that a process of each type of a browser has had, in bytes. */
async function peakBytes(browser: Browser): Promise<Record<string, number>> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const peaks: Record<string, number> = {};
  for (const { type, id } of processInfo) {
    const status = readFileSync(`/proc/${id}/status`, 'utf8');
    const bytes = 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)![1]);
    peaks[type] = Math.max(peaks[type] ?? 0, bytes);
  }
  return peaks;
}

describe('a checkpoint of the published size in a tab', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'svd-full-'));
  after(() => rmSync(scratch, { recursive: true, force: true }));

  it('makes the latents and frames of Node, in less than 2.5 GB', async function () {
    this.timeout(60 * 60_000);
    prepareCheckpoint(checkpoint, pythonWithDiffusers);
    await bundleProgram(program, scratch);
    const wasm = join(root, 'node_modules/@tensorflow/tfjs-backend-wasm/dist');
    const server = await serve(scratch, join(root, checkpoint, '..'), wasm);
    server.headers = {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    const image = await loadImage(join(root, 'examples/pictures/rocket.jpg'));
    const browser = await launch();
    try {
      const page = await browser.newPage();
      page.setDefaultTimeout(0);
      await page.goto(server.address);
      await page.waitForFunction(() => 'make' in globalThis);
      const start = performance.now();
      const inTab = await page.evaluate(
        ([model, { data, width, height }, settings]) =>
          (globalThis as unknown as { make(...args: unknown[]): Promise<Stages> }).make(
            model,
            { data: Uint8Array.from(data), width, height },
            settings,
          ),
        [`${server.address}full`, { ...image, data: Array.from(image.data) }, options] as const,
      );
      const seconds = (performance.now() - start) / 1000;
      const peaks = await peakBytes(browser);

      const pipe = await StableVideoDiffusionPipeline.fromPretrained(join(root, checkpoint), {
        ...{ backend: testBackend, offload: 'sequential' },
      });
      const inNode: Record<string, FloatArray> = {};
      await pipe.generate(image, {
        ...{ ...options, generator: new Generator(1) },
        onStage: (name, value) => {
          inNode[name] = value;
        },
      });
      pipe.dispose();
      const distances = {
        latents: relativeL2(inTab.latents, inNode.latents_step_0!.data),
        frames: relativeL2(inTab.frames, inNode.frames!.data),
      };
      const figures = {
        ...{ command: 'npm run test:full', machine: machine(), browser: browser.version() },
        ...{ options, seconds, sentBytes: server.sentBytes, peakBytes: peaks, distances },
      };
      writeFileSync(join(root, 'bench/results/tab.json'), `${JSON.stringify(figures, null, 2)}\n`);
      console.log(figures);
      expect(distances.latents, 'latents').to.be.at.most(TOLERANCE);
      expect(distances.frames, 'frames').to.be.at.most(TOLERANCE);
      expect(peaks.renderer! + (peaks.GPU ?? 0), 'bytes').to.be.below(MOST_BYTES);
    } finally {
      await browser.close();
      server.close();
    }
  });
});
