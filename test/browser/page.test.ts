/** The browser example in headless Chromium: it makes the video that Node makes, and tells its user what is wrong. */
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { buildPage } from '../../examples/browser/build.ts';
import { useBackend } from '../../src/backends/index.ts';
import { convertCheckpoint } from '../../src/checkpoints/index.ts';
import { loadImage, type RgbImage } from '../../src/media/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/fromPretrained.ts';
import { Generator } from '../../src/random/index.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const picture = join(root, 'examples/rocket.jpg');
const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

/** What the page's worker has said; recorded by `watchWorker`. */
type Message = {
  type: string;
  name?: string;
  message?: string;
  frames?: { width: number; height: number; data: number[] }[];
  progress?: { stage: string };
};

/** Keeps the worker's messages in `window.told`. Runs in the page. */
function watchWorker(): void {
  const told: unknown[] = [];
  const { Worker } = window;
  window.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      this.addEventListener('message', ({ data }) => told.push(data));
    }
  };
  Object.assign(window, { told });
}

/** The worker's messages of a type, with typed arrays as lists. */
const told = (page: Page, type: string) =>
  page.evaluate((type) => {
    const all = (window as unknown as { told: Message[] }).told.filter((message) => message.type === type);
    return JSON.parse(
      JSON.stringify(all, (_, value) => (ArrayBuffer.isView(value) ? Array.from(value as Uint8Array) : value)),
    ) as Message[];
  }, type);

describe('the browser example', () => {
  let server: Server;
  let launch: (...flags: string[]) => Promise<Browser>;
  let browser: Browser;
  let page: Page;
  let address: string;
  let requests: string[] = [];
  let inputs: string[];
  let artifacts: string;

  before(async () => {
    const { folder, inputs: bundled } = await buildPage();
    inputs = bundled;
    artifacts = join(mkdtempSync(join(tmpdir(), 'svd-page-')), 'model');
    await convertCheckpoint(join(root, 'weights/tiny'), artifacts, { to: 'tfjs', shardSize: 500_000 });
    server = createServer((request, response) => {
      const url = request.url!.replace(/\?.*/, '');
      const inArtifacts = url.startsWith('/artifacts/');
      const file = inArtifacts
        ? join(artifacts, url.slice('/artifacts'.length))
        : join(folder, url.endsWith('/') ? `${url}index.html` : url);
      requests.push(`${request.method} ${url}`);
      if (!existsSync(file)) return response.writeHead(404).end();
      const { size, mtimeMs } = statSync(file);
      const type = types[extname(file)] ?? 'application/octet-stream';
      response.writeHead(200, { 'Content-Type': type, 'Content-Length': size, ETag: `"${size}-${mtimeMs}"`, 'Cache-Control': 'no-store' });
      if (request.method === 'HEAD') response.end();
      else createReadStream(file).pipe(response);
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    address = `http://localhost:${(server.address() as AddressInfo).port}/`;
    // As root, which has no sandbox, and where shared memory is small.
    launch = (...flags) => {
      const args = ['--no-sandbox', '--disable-dev-shm-usage', ...flags];
      return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
    };
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    server?.close();
    rmSync(dirname(artifacts), { recursive: true, force: true });
  });

  beforeEach(async () => {
    page = await browser.newPage();
    await page.addInitScript(watchWorker);
    await page.goto(address);
    requests = [];
  });
  afterEach(() => page.close());

  const fill = async (values: Record<string, string>) => {
    for (const [name, value] of Object.entries(values)) await page.fill(`[name=${name}]`, value);
  };
  const start = async (file: string | { name: string; mimeType: string; buffer: Buffer } = picture) => {
    await page.setInputFiles('#file', file);
    await page.click('#start:enabled');
  };
  /** Waits for a status that matches, or for the one of a failure. */
  const ended = async (text: RegExp) => {
    const settled = (source: string) => {
      const status = document.getElementById('status')!;
      return new RegExp(source).test(status.textContent!) || status.className === 'error' ? status.textContent! : false;
    };
    const status = await (await page.waitForFunction(settled, text.source, { timeout: 100_000 })).jsonValue();
    expect(status).to.match(text);
  };

  it('makes the same video as Node on wasm, shows how it goes, and saves it as MP4', async () => {
    // PNG, since browsers may decode JPEG in other ways.
    const image = await loadImage(picture);
    const { width, height } = image;
    const png = await sharp(image.data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    await page.selectOption('[name=backend]', 'wasm');
    await fill({ width: '64', height: '48', numFrames: '4', numInferenceSteps: '3', seed: '7' });
    await start({ name: 'rocket.png', mimeType: 'image/png', buffer: png });
    await ended(/^Done/);
    const [done] = await told(page, 'done');

    await useBackend('wasm');
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(join(root, 'weights/tiny'), { backend: 'wasm' });
    const options = { height: 48, width: 64, numFrames: 4, numInferenceSteps: 3, generator: new Generator(7) };
    const { frames } = await pipe.generate(image, options);
    pipe.dispose();
    const differences = (frames[0] as RgbImage[]).flatMap(({ data }, i) =>
      Array.from(data, (value, j) => Math.abs(value - done.frames![i].data[j])),
    );
    expect(differences).to.have.length(4 * 48 * 64 * 3);
    expect(Math.max(...differences)).to.be.at.most(1);
    expect(differences.filter((difference) => difference === 0).length / differences.length).to.be.at.least(0.995);

    expect(await told(page, 'preview')).to.have.length(3);
    expect(new Set((await told(page, 'progress')).map(({ progress }) => progress!.stage))).to.deep.equal(
      new Set(['downloading', 'encoding', 'sampling', 'decoding']),
    );
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
    const mp4 = readFileSync(await download.path());
    expect(mp4.toString('latin1', 4, 8)).to.equal('ftyp');
    expect(download.suggestedFilename()).to.equal('video.mp4');
    expect(await page.evaluate(() => [document.querySelector('canvas')!.width, document.querySelector('canvas')!.height])).to.deep.equal([
      64, 48,
    ]);
  });

  it('stays responsive and stops when it is told to, then works again without downloading again', async () => {
    await page.selectOption('[name=backend]', 'wasm');
    await fill({ numInferenceSteps: '500' });
    await start();
    await page.waitForFunction(() => /^sampling/.test(document.getElementById('status')!.textContent!));
    await page.click('#cancel');
    await ended(/^Cancelled/);
    await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    requests = [];
    await page.click('#start:enabled');
    await ended(/^Done/);
    expect(requests).to.deep.equal([]);
  });

  it('takes the model from the cache of the browser when the page is opened again', async () => {
    const context = await browser.newContext();
    for (const downloads of [3, 0]) {
      page = await context.newPage();
      await page.goto(address);
      requests = [];
      await page.selectOption('[name=backend]', 'wasm');
      await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
      await start();
      await ended(/^Done/);
      expect(requests.filter((request) => /^GET .*\.safetensors$/.test(request))).to.have.length(downloads);
    }
    await context.close();
  });

  it('makes the same video of TensorFlow.js artifacts', async () => {
    await page.selectOption('[name=backend]', 'wasm');
    await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    const videos: unknown[] = [];
    for (const model of ['./model', './artifacts']) {
      await fill({ model });
      await start();
      await ended(/^Done/);
      videos.push((await told(page, 'done')).at(-1)!.frames);
    }
    expect(requests.filter((request) => /GET .artifacts.*\.bin$/.test(request))).to.have.length.above(3);
    expect(videos[1]).to.deep.equal(videos[0]);
  });

  it('chooses wasm where there is no graphics card, and says why', async () => {
    await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    await start();
    await ended(/^Done/);
    expect(await page.textContent('#backend')).to.match(/^Computes by wasm\. \(no webgpu: .+\)$/);
  });

  it('computes by WebGPU when that is asked for, here in software', async () => {
    const withGpu = await launch('--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan');
    const frames: { data: number[] }[][] = [];
    try {
      page = await withGpu.newPage();
      await page.addInitScript(watchWorker);
      await page.goto(address);
      for (const backend of ['wasm', 'webgpu']) {
        await page.selectOption('[name=backend]', backend);
        await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
        await start();
        await ended(/^Done/);
        expect(await page.textContent('#backend')).to.equal(`Computes by ${backend}.`);
        frames.push((await told(page, 'done')).at(-1)!.frames!);
      }
    } finally {
      await withGpu.close();
    }
    const differences = frames[0].flatMap(({ data }, i) => data.map((value, j) => Math.abs(value - frames[1][i].data[j])));
    expect(Math.max(...differences)).to.be.at.most(1);
  });

  it('says so if WebGPU is asked for and not there', async () => {
    await page.selectOption('[name=backend]', 'webgpu');
    await start();
    await ended(/No backend can be used: webgpu: /);
    expect(await page.getAttribute('#status', 'class')).to.equal('error');
  });

  it('says so if a dropped file is no picture', async () => {
    await page.setInputFiles('#file', { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture') });
    await ended(/^notes.txt is no picture that this browser can read. Try a PNG or JPEG./);
    expect(await page.isDisabled('#start')).to.equal(true);
  });

  it('says so if there is no model at the address, or it is not to be had', async () => {
    const cases = [
      { values: { model: './nowhere' }, message: /nowhere\/model_index.json cannot be had: the server answers 404/ },
      { values: { variant: 'fp64' }, message: /image_encoder\/ has no model\.fp64\.safetensors/ },
      { values: { model: 'http://localhost:1/model' }, message: /localhost:1\/model\/model_index.json cannot be reached/ },
    ];
    await page.selectOption('[name=backend]', 'wasm');
    for (const { values, message } of cases) {
      await fill({ model: './model', variant: '', ...values });
      await start();
      await ended(message);
      expect(await page.getAttribute('#status', 'class')).to.equal('error');
    }
  });

  it('bundles nothing of Node', () => {
    expect(inputs).to.include('src/browser.ts');
    expect(inputs.filter((file) => /^node:|node_modules\/(sharp|@huggingface)/.test(file))).to.deep.equal([]);
  });
});
