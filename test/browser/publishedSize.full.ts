/**
 * A checkpoint of the published size in a tab, read block by block from a server: `npm run
 * test:full`. It writes its figures into
 * `bench/results/tab.json`.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Browser, Page } from 'playwright-core';
import { machine } from '../../bench/machine.ts';
import { prepareCheckpoint, pythonWithDiffusers } from '../../bench/prepare.ts';
import { loadImage, type RgbImage } from '../../src/media/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { Generator } from '../../src/random/index.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { testBackend } from '../setup.ts';
import { launch, root } from './pageUnderTest.ts';
import { bundleProgram } from './program.ts';
import { serve, type TestServer } from './serve.ts';

const checkpoint = 'bench/checkpoints/full';
const results = join(root, 'bench/results/tab.json');
const WEIGHT_BYTES = 4.5e9;
const TOLERANCE = 1e-4; // that of whole calls
const MOST_BYTES = 2.5e9; // of all processes of the browser

/** Two frames, one evaluation without guidance, one frame decoded at a time. */
const options = {
  ...{ height: 64, width: 64, numFrames: 2, numInferenceSteps: 1, maxGuidanceScale: 1 },
  ...{ decodeChunkSize: 1, outputType: 'array' as const },
};

type Stages = Record<'latents' | 'frames', number[]>;

/** What the tab has. */
interface Tab {
  make(...args: unknown[]): Promise<Stages>;
}

/** Makes the video of a picture in the tab. */
const program = `
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import {
  Generator, StableVideoDiffusionPipeline, useBrowserBackend,
} from '${root}src/browser.ts';
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

describe('a checkpoint of the published size in a tab', function () {
  this.timeout(60 * 60_000);
  const scratch = mkdtempSync(join(tmpdir(), 'svd-full-'));
  let server: TestServer;
  let image: RgbImage;
  let inNode: Stages;

  before(async () => {
    prepareCheckpoint(checkpoint, pythonWithDiffusers);
    await bundleProgram(program, scratch);
    const wasm = join(root, 'node_modules/@tensorflow/tfjs-backend-wasm/dist');
    server = await serve(scratch, join(root, checkpoint, '..'), wasm);
    server.headers = {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    image = await loadImage(join(root, 'examples/pictures/rocket.jpg'));
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(join(root, checkpoint), {
      ...{ backend: testBackend, offload: 'sequential' },
    });
    const stages: Record<string, number[]> = {};
    await pipe.generate(image, {
      ...{ ...options, generator: new Generator(1) },
      onStage: (name, { data }) => {
        stages[name] = Array.from(data);
      },
    });
    pipe.dispose();
    inNode = { latents: stages.latents_step_0!, frames: stages.frames! };
  });
  after(() => {
    server?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  /** Opens the page anew, makes the video there, and compares it with Node's. */
  async function make(page: Page) {
    page.setDefaultTimeout(0);
    await page.goto(server.address);
    await page.waitForFunction(() => 'make' in globalThis);
    server.sentBytes = 0;
    const start = performance.now();
    const stages = await page.evaluate(
      ([model, { data, width, height }, settings]) =>
        (globalThis as unknown as Tab).make(
          model,
          { data: Uint8Array.from(data), width, height },
          settings,
        ),
      [`${server.address}full`, { ...image, data: Array.from(image.data) }, options] as const,
    );
    const seconds = (performance.now() - start) / 1000;
    const distances = {
      latents: relativeL2(stages.latents, inNode.latents),
      frames: relativeL2(stages.frames, inNode.frames),
    };
    expect(distances.latents, 'latents').to.be.at.most(TOLERANCE);
    expect(distances.frames, 'frames').to.be.at.most(TOLERANCE);
    return { seconds, sentBytes: server.sentBytes, distances };
  }

  /** Notes the memory of a browser with what was measured in it, and looks at it. */
  async function note(browser: Browser, what: string, measured: object): Promise<void> {
    const peaks = await peakBytes(browser);
    const noted = {
      ...(existsSync(results) && JSON.parse(readFileSync(results, 'utf8'))),
      ...{ command: 'npm run test:full', machine: machine(), options },
      [what]: { browser: browser.version(), ...measured, peakBytes: peaks },
    };
    writeFileSync(results, `${JSON.stringify(noted, null, 2)}\n`);
    console.log(what, noted[what]);
    const all = Object.values(peaks).reduce((sum, bytes) => sum + bytes, 0);
    expect(all, 'bytes').to.be.below(MOST_BYTES);
  }

  it('makes the latents and frames of Node, read from the server where nothing is kept', async () => {
    const browser = await launch();
    try {
      const page = await browser.newPage();
      await page.addInitScript('StorageManager.prototype.estimate = async () => ({ quota: 0 });');
      const measured = await make(page);
      expect(measured.sentBytes).to.be.within(WEIGHT_BYTES, 1.1 * WEIGHT_BYTES);
      await note(browser, 'fromServer', measured);
    } finally {
      await browser.close();
    }
  });
});
