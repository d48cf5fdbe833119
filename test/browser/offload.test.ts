/** Offload in headless Chromium: weights from its storage or, without storage, from the server. */
import { cpSync, mkdtempSync, rmSync, statSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { convertCheckpoint } from '../../converters/index.ts';
import type { UrlDescription, UrlOptions } from '../../src/browser.ts';
import { patience } from '../harness/patience.ts';
import { launch, root } from './pageUnderTest.ts';
import { bundleProgram } from './program.ts';
import { serve, type TestServer } from './serve.ts';

/** What the page has for tests. */
interface Program {
  /** A hash of the frames, or the error; and what was warned of. */
  generate(model: string, options?: object): Promise<{ result: string; warnings: string[] }>;
  describeModel(model: string, options?: object): Promise<UrlDescription>;
  /** Stores a file of the store anew, with one bit changed. */
  damage(): Promise<void>;
}

const program = `
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as svd from '${root}src/browser.ts';
setWasmPaths('/');
const warnings = [];
console.warn = (text) => warnings.push(text);
async function generate(model, { single, ...options } = {}) {
  warnings.length = 0;
  try {
    await svd.useBrowserBackend('wasm');
    const load = single ? 'fromSingleFile' : 'fromPretrained';
    const pipe = await svd.StableVideoDiffusionPipeline[load](model, options);
    const data = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 7) % 256);
    const settings = { height: 32, width: 32, numFrames: 2, numInferenceSteps: 1 };
    const { frames } = await pipe.generate({ width: 32, height: 32, data }, {
      ...settings, generator: new svd.Generator(1), outputType: 'array',
    });
    pipe.dispose();
    const hash = await crypto.subtle.digest('SHA-256', frames.data);
    return { result: String(new Uint32Array(hash)), warnings };
  } catch (error) {
    return { result: error.message, warnings };
  }
}
async function describeModel(model, options) {
  await svd.useBrowserBackend('wasm');
  return svd.describeModel(model, options);
}
async function damage() {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle('stable-video-diffusion-tfjs');
  for await (const [name, handle] of folder) {
    if (!name.endsWith('.1')) continue;
    const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
    bytes[bytes.length - 1] ^= 1;
    const output = await handle.createWritable();
    await output.write(bytes);
    await output.close();
  }
}
async function stored() {
  const folder = await navigator.storage.getDirectory()
    .then((root) => root.getDirectoryHandle('stable-video-diffusion-tfjs'));
  return Array.fromAsync(folder.keys());
}
Object.assign(globalThis, { program: { generate, describeModel, damage, stored } });`;

const noFolders = 'delete globalThis.FileSystemFileHandle;';
const noStorage = `${noFolders} Object.defineProperty(globalThis, 'caches', {
  get() { throw new DOMException('denied', 'SecurityError'); },
});`;
const littleRoom = 'StorageManager.prototype.estimate = async () => ({ quota: 2e6, usage: 1e5 });';
/** A browser that does not know how much room there is. */
const noEstimate = 'StorageManager.prototype.estimate = async () => ({});';

describe('offload in a browser', () => {
  let server: TestServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let resident: string;
  const scratch = mkdtempSync(join(tmpdir(), 'svd-offload-'));
  const unet = join(scratch, 'model/unet/diffusion_pytorch_model.safetensors');

  before(async () => {
    await bundleProgram(program, scratch);
    cpSync(join(root, 'weights/tiny'), join(scratch, 'model'), { recursive: true });
    const tiny = join(root, 'weights/tiny');
    await convertCheckpoint(tiny, join(scratch, 'svd.safetensors'), { to: 'original' });
    await convertCheckpoint(tiny, join(scratch, 'artifacts'), { to: 'tfjs' });
    await convertCheckpoint(tiny, join(scratch, 'sharded'), {
      ...{ to: 'diffusers', shardSize: 3_000_000 },
    });
    server = await serve(scratch, join(root, 'node_modules/@tensorflow/tfjs-backend-wasm/dist'));
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    server?.close();
    rmSync(scratch, { recursive: true, force: true });
  });
  beforeEach(async () => {
    Object.assign(server, {
      requests: [],
      asked: [],
      ranges: true,
      stalls: false,
      cutAfter: undefined,
    });
    context = await browser.newContext();
  });
  afterEach(() => context.close());

  /** Opens the page, after a script. */
  async function open(script = ''): Promise<void> {
    page = await context.newPage();
    page.setDefaultTimeout(patience);
    await page.addInitScript(script);
    await page.goto(server.address);
    await page.waitForFunction(() => 'program' in globalThis);
  }

  const call = <T>(name: keyof Program, model = './model', options: object = {}) =>
    page.evaluate<T, readonly [string, string, object]>(
      ([name, model, options]) => {
        const { program } = globalThis as unknown as {
          program: Record<string, (model: string, options: object) => T>;
        };
        return program[name](model, options);
      },
      [name, model, options],
    );
  const generate = (
    options: UrlOptions & { single?: true; numFrames?: number; config?: string } = {},
    model?: string,
  ) => call<{ result: string; warnings: string[] }>('generate', model, options);

  /** What was asked for of weights. */
  const downloads = () =>
    server.requests.filter((request) => /^GET .*\.(safetensors|bin)$/.test(request));

  it('gives the frames of resident weights, from storage that is filled once', async () => {
    await open();
    const { result, warnings } = await generate();
    resident = result;
    expect(resident).to.match(/^[\d,]+$/);
    expect(warnings).to.deep.equal([]);
    expect(downloads()).to.have.length(3);
    for (const offload of ['model', 'sequential'] as const) {
      await open();
      server.requests = [];
      expect(await generate({ offload }), offload).to.deep.equal({ result, warnings });
      expect(downloads()).to.deep.equal([]);
    }
  });

  for (const [what, script] of Object.entries({
    'only a cache': noFolders,
    'no storage': noStorage,
  }))
    it(`does so with ${what}, and holds no file in memory`, async () => {
      await open(script);
      const loaded = { result: resident, warnings: [] };
      expect(await generate({ offload: 'sequential' })).to.deep.equal(loaded);
      const largest = server.asked.map((one) => {
        const [, from, to] = /bytes=(\d+)-(\d+)$/.exec(one)!;
        return Number(to) + 1 - Number(from);
      });
      if (script === noFolders) expect(downloads()).to.have.length(3);
      // That of the largest block.
      else expect(Math.max(...largest)).to.be.within(500_000, statSync(unet).size / 3);
      expect(await generate({ offload: 'model' })).to.deep.equal(loaded);
    });

  it('takes sharded weights, TensorFlow.js artifacts and original files', async () => {
    await open();
    const offload = 'sequential';
    for (const model of ['./sharded', './artifacts'])
      expect(await generate({ offload }, model), model).to.deep.equal({
        result: resident,
        warnings: [],
      });
    const options = { offload, single: true, config: './model' } as const;
    const { result } = await generate(options, './svd.safetensors');
    expect(result).to.equal(resident);
    await context.route(/svd\.safetensors|\/model\//, (route) => route.abort());
    const away = await generate(options, './svd.safetensors');
    expect(away.result, 'without a server').to.equal(resident);
  });

  it('goes on with a download that a lost connection has ended', async () => {
    await open();
    server.cutAfter = 5_000_000;
    expect((await generate({ offload: 'sequential' })).result).to.equal(resident);
    expect(server.asked).to.have.length(1);
    // What was on its way is lost.
    expect(Number(/bytes=(\d+)-$/.exec(server.asked[0]!)![1])).to.be.within(1, 5_000_000);
  });

  it('goes on with a download that a closed tab has ended', async () => {
    await open();
    Object.assign(server, { cutAfter: 5_000_000, stalls: true });
    void generate().catch(() => {});
    const keptBytes = () => page.evaluate(async () => (await navigator.storage.estimate()).usage!);
    while ((await keptBytes()) < 5_612_840) await page.waitForTimeout(50);
    await page.close();
    await open();
    expect((await generate({ offload: 'sequential' })).result).to.equal(resident);
    expect(server.asked).to.have.length(1);
    expect(Number(/bytes=(\d+)-$/.exec(server.asked[0]!)![1])).to.be.within(4_194_304, 5_000_000);
  });

  it('downloads once for two tabs, and takes what is stored without a server', async () => {
    await open();
    const first = generate();
    await open();
    expect((await generate()).result).to.equal(resident);
    expect((await first).result).to.equal(resident);
    expect(downloads()).to.have.length(3);
    await context.route('**/model/**', (route) => route.abort());
    expect((await generate({ offload: 'sequential' })).result).to.equal(resident);
  });

  it('downloads anew what has changed on the server or in storage, and never mixes', async () => {
    await open();
    await generate();
    const later = new Date(Date.now() + 60_000);
    utimesSync(unet, later, later);
    server.requests = [];
    expect((await generate({ offload: 'sequential' })).result).to.equal(resident);
    expect(downloads()).to.deep.equal(['GET /model/unet/diffusion_pytorch_model.safetensors']);
    await call('damage');
    server.asked = [];
    expect((await generate({ offload: 'sequential' })).result).to.equal(resident);
    expect(server.asked)
      .to.have.length(2)
      .and.satisfy((all: string[]) => all.every((one) => one.endsWith('bytes=4194304-')));
  });

  it('reads from the server where storage has too little room, and says so', async () => {
    await open(littleRoom);
    const { result, warnings } = await generate({ offload: 'sequential' });
    expect(result).to.equal(resident);
    expect(warnings.join()).to.match(
      /^The storage of this browser has room for 1\.9 MB, but 15\.1 MB of the weights are missing: /,
    );
    server.ranges = false;
    expect((await generate({ offload: 'sequential' })).result).to.equal(resident);
  });

  it('keeps what has come when storage gets full meanwhile', async () => {
    await open(noEstimate);
    const session = await context.newCDPSession(page);
    const origin = new URL(server.address).origin;
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 7_000_000 });
    expect((await generate({ offload: 'sequential' })).result).to.match(
      /^The storage of this browser is full: \d\.\d of \d\.\d MB of http.* have come and stay\. /,
    );
    await session.send('Storage.overrideQuotaForOrigin', { origin });
    server.requests = [];
    server.asked = [];
    expect((await generate({ offload: 'sequential' })).result).to.equal(resident);
    expect(downloads().length).to.be.below(3);
    expect(server.asked.join()).to.match(/bytes=\d{6,}-$/);
  });

  it('tells before a download how much it is, what is there, and how the call runs', async () => {
    await open();
    const plannedFor = { height: 32, width: 32, numFrames: 2 };
    const before = await call<UrlDescription>('describeModel', './model', plannedFor);
    expect(downloads()).to.deep.equal([]);
    expect(before.format).to.equal('diffusers');
    expect(before.download).to.include({ bytes: 15_132_568, storedBytes: 0 });
    expect(before.download.roomBytes).to.be.above(before.download.bytes);
    expect(before.plan).to.include({ fits: true, offload: 'none' });
    expect(await page.evaluate('program.stored()'), 'stored').to.deep.equal([]);
    await generate();
    const after = await call<UrlDescription>('describeModel', './model', plannedFor);
    expect(after.download).to.include({ bytes: 15_132_568, storedBytes: 15_132_568 });
    const large = { height: 16384, width: 16384, numFrames: 8 };
    const { plan, advice } = await call<UrlDescription>('describeModel', './model', large);
    expect(plan.fits).to.equal(false);
    expect(advice).to.match(/do not fit into memory: .* would fit\.$/);
  });
});
