/**
 * The browser example in headless Chromium: it makes the video that Node makes, and tells its user
 * what is wrong.
 */
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Metafile } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { convertCheckpoint } from '../../converters/index.ts';
import { buildPage } from '../../examples/browser/build.ts';
import { useBackend } from '../../src/backends/index.ts';
import { loadImage, type RgbImage } from '../../src/media/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { Generator } from '../../src/random/index.ts';
import { writeLargeModel } from './largeModel.ts';
import { processorSeconds, type Recorded, record, recorded, told } from './recording.ts';
import { serve, type TestServer } from './serve.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const picture = join(root, 'examples/pictures/rocket.jpg');

/**
 * Drops a file on the page, and gives whether the page takes it rather than let the browser open
 * it. Runs in the page.
 */
function drop({ name, type, base64 }: { name: string; type: string; base64: string }): boolean {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(
    new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name, { type }),
  );
  const events = ['dragover', 'drop'].map(
    (event) => new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }),
  );
  return events.every((event) => !document.body.dispatchEvent(event));
}

describe('the browser example', () => {
  let server: TestServer;
  let elsewhere: TestServer;
  let launch: (...flags: string[]) => Promise<Browser>;
  let browser: Browser;
  let page: Page;
  let metafile: Metafile;
  /** What the page or its worker has tried against the content security policy. */
  let violations: string[];
  const scratch = mkdtempSync(join(tmpdir(), 'svd-page-'));

  before(async () => {
    const built = await buildPage();
    metafile = built.metafile;
    await convertCheckpoint(join(root, 'weights/tiny'), join(scratch, 'artifacts'), {
      to: 'tfjs',
      shardSize: 500_000,
    });
    cpSync(join(scratch, 'artifacts'), join(scratch, 'elsewhere'), { recursive: true });
    writeLargeModel(join(scratch, 'large'));
    server = await serve(built.folder, scratch);
    elsewhere = await serve(join(scratch, 'elsewhere'));
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
    elsewhere?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  beforeEach(async () => {
    page = await browser.newPage();
    await record(page);
    violations = [];
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) violations.push(message.text());
    });
    await page.goto(server.address);
    server.requests = [];
  });
  afterEach(async () => {
    await page.close();
    expect(violations, 'violations of the policy').to.deep.equal([]);
  });

  const fill = async (values: Record<string, string>) => {
    for (const [name, value] of Object.entries(values)) await page.fill(`[name=${name}]`, value);
  };
  const start = async (
    file: string | { name: string; mimeType: string; buffer: Buffer } = picture,
  ) => {
    await page.setInputFiles('#file', file);
    await page.click('#start:enabled');
  };
  /** Waits for a status that matches, or for the one of a failure. */
  const ended = async (text: RegExp) => {
    const settled = (source: string) => {
      const status = document.getElementById('status')!;
      return new RegExp(source).test(status.textContent!) || status.className === 'error'
        ? status.textContent!
        : false;
    };
    const status = await (await page.waitForFunction(settled, text.source)).jsonValue();
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
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(join(root, 'weights/tiny'), {
      backend: 'wasm',
    });
    const options = {
      height: 48,
      width: 64,
      numFrames: 4,
      numInferenceSteps: 3,
      generator: new Generator(7),
    };
    const { frames } = await pipe.generate(image, options);
    pipe.dispose();
    const differences = (frames[0] as RgbImage[]).flatMap(({ data }, i) =>
      Array.from(data, (value, j) => Math.abs(value - done.frames![i].data[j])),
    );
    expect(differences).to.have.length(4 * 48 * 64 * 3);
    expect(Math.max(...differences)).to.be.at.most(1);
    expect(
      differences.filter((difference) => difference === 0).length / differences.length,
    ).to.be.at.least(0.995);

    const previews = await told(page, 'preview');
    expect(previews).to.have.length(3);
    const seen = await recorded(page, 'seen');
    for (const [i, preview] of previews.entries()) {
      const { bar, width, height, pixels } = seen.find(
        ({ status }) => status === `Sampling ${i + 1} of 3`,
      )!;
      expect([bar, width, height]).to.deep.equal([(i + 1) / 3, 8, 6]);
      expect(preview.frames).to.deep.include(pixels);
      expect(new Set(pixels).size, 'values on the canvas').to.be.above(10);
    }
    expect(
      new Set((await told(page, 'progress')).map(({ progress }) => progress!.stage)),
    ).to.deep.equal(new Set(['downloading', 'encoding', 'sampling', 'decoding']));
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
    const mp4 = readFileSync(await download.path());
    expect(mp4.toString('latin1', 4, 8)).to.equal('ftyp');
    expect(download.suggestedFilename()).to.equal('video.mp4');
    expect(
      await page.evaluate(() => [
        document.querySelector('canvas')!.width,
        document.querySelector('canvas')!.height,
      ]),
    ).to.deep.equal([64, 48]);
  });

  it('stays responsive and stops when it is told to, then works again without downloading again', async () => {
    await page.selectOption('[name=backend]', 'wasm');
    await fill({ numInferenceSteps: '500' });
    await start();
    await page.waitForFunction(() => {
      const { drawn } = (window as unknown as { recorded: Recorded }).recorded;
      const sampled = /^Sampling [1-9]/.test(document.getElementById('status')!.textContent!);
      return sampled && drawn.at(-1)! - drawn[0] > 3000;
    });
    const drawn = await recorded(page, 'drawn');
    expect(drawn).to.have.length.above(20);
    expect(Math.max(...drawn.slice(1).map((time, i) => time - drawn[i]))).to.be.below(2000);
    await page.click('#cancel');
    await ended(/^Cancelled/);
    await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    server.requests = [];
    await page.click('#start:enabled');
    await ended(/^Done/);
    expect(server.requests).to.deep.equal([]);
  });

  it('takes the model from the cache of the browser when the page is opened again', async () => {
    const context = await browser.newContext();
    for (const downloads of [3, 0]) {
      page = await context.newPage();
      await page.goto(server.address);
      server.requests = [];
      await page.selectOption('[name=backend]', 'wasm');
      await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
      await start();
      await ended(/^Done/);
      expect(
        server.requests.filter((request) => /^GET .*\.safetensors$/.test(request)),
      ).to.have.length(downloads);
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
    expect(
      server.requests.filter((request) => /GET .artifacts.*\.bin$/.test(request)),
    ).to.have.length.above(3);
    expect(videos[1]).to.deep.equal(videos[0]);
  });

  it(
    'keeps files of another site in the cache, and downloads anew what has changed there or may ' +
      'have',
    async () => {
      const shard = readdirSync(join(scratch, 'elsewhere/unet')).find((name) =>
        name.endsWith('.bin'),
      )!;
      const path = join(scratch, 'elsewhere/unet', shard);
      const videos: unknown[] = [];
      /** The shards that a visit downloads. */
      const downloads = async () => {
        await page.goto(server.address);
        elsewhere.requests = [];
        await page.selectOption('[name=backend]', 'wasm');
        await fill({
          model: elsewhere.address,
          numInferenceSteps: '1',
          numFrames: '2',
          width: '32',
          height: '32',
        });
        await start();
        await ended(/^Done/);
        videos.push((await told(page, 'done'))[0].frames);
        return elsewhere.requests.filter((request) => /^GET .*\.bin$/.test(request));
      };
      elsewhere.headers = { 'Access-Control-Allow-Origin': '*' };
      const all = await downloads();
      expect(all).to.have.length.above(3);
      expect(await downloads()).to.deep.equal([]);
      expect(videos[1]).to.deep.equal(videos[0]);

      // As long as it was, like other weights of the same model.
      writeFileSync(path, new Uint8Array(readFileSync(path).length));
      utimesSync(path, new Date(), new Date(Date.now() + 60_000));
      expect(await downloads()).to.deep.equal([`GET /unet/${shard}`]);
      expect(videos[2]).not.to.deep.equal(videos[0]);

      elsewhere.versions = false;
      expect(await downloads()).to.deep.equal(all);
    },
  );

  it('chooses wasm where there is no graphics card, and says why', async () => {
    await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    await start();
    await ended(/^Done/);
    expect(await page.textContent('#backend')).to.match(/^Computes on wasm\. \(no webgpu: .+\)$/);
  });

  it('computes by WebGPU when that is asked for, here in software', async () => {
    const withGpu = await launch(
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
      '--enable-features=Vulkan',
    );
    const frames: { data: number[] }[][] = [];
    try {
      page = await withGpu.newPage();
      await record(page);
      await page.goto(server.address);
      for (const backend of ['wasm', 'webgpu']) {
        await page.selectOption('[name=backend]', backend);
        await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
        await start();
        await ended(/^Done/);
        expect(await page.textContent('#backend')).to.equal(`Computes on ${backend}.`);
        frames.push((await told(page, 'done')).at(-1)!.frames!);
      }
    } finally {
      await withGpu.close();
    }
    const differences = frames[0].flatMap(({ data }, i) =>
      data.map((value, j) => Math.abs(value - frames[1][i].data[j])),
    );
    expect(Math.max(...differences)).to.be.at.most(1);
  });

  it('says so if WebGPU is asked for and not there', async () => {
    await page.selectOption('[name=backend]', 'webgpu');
    await start();
    await ended(/No backend can be used: webgpu: /);
    expect(await page.getAttribute('#status', 'class')).to.equal('error');
  });

  it('takes a picture that is dropped on it, and says so if a dropped file is none', async () => {
    const rocket = {
      name: 'rocket.jpg',
      type: 'image/jpeg',
      base64: readFileSync(picture, 'base64'),
    };
    expect(await page.evaluate(drop, rocket)).to.equal(true);
    await ended(/^rocket\.jpg: 640 x 427 pixels\.$/);
    expect(await page.isVisible('#picture')).to.equal(true);
    expect(await page.isEnabled('#start')).to.equal(true);

    const notes = { name: 'notes.txt', type: 'text/plain', base64: btoa('no picture') };
    expect(await page.evaluate(drop, notes)).to.equal(true);
    await ended(/^notes\.txt is not a picture that this browser can read\. Try a PNG or JPEG\.$/);
    expect(await page.getAttribute('#status', 'class')).to.equal('error');
    expect(await page.isVisible('#picture')).to.equal(false);
    expect(await page.isDisabled('#start')).to.equal(true);
  });

  it(
    'refuses a model that wasm has no room for before it downloads any weights, and makes a ' +
      'video of another one then',
    async () => {
      await page.selectOption('[name=backend]', 'wasm');
      await fill({
        model: './large',
        numInferenceSteps: '1',
        numFrames: '2',
        width: '32',
        height: '32',
      });
      await start();
      await ended(
        /^The weights take 16\.8 GiB on the wasm backend, whose memory ends at 4 GiB\. Use the webgpu backend or a smaller model\.$/,
      );
      expect(await page.getAttribute('#status', 'class')).to.equal('error');
      expect(server.requests).to.include('GET /large/unet/config.json');
      expect(server.requests.filter((request) => request.endsWith('.safetensors'))).to.deep.equal(
        [],
      );
      expect(await page.getAttribute('canvas', 'width')).to.equal('0');
      expect(await page.isVisible('#download')).to.equal(false);
      await fill({ model: './model' });
      await page.click('#start:enabled');
      await ended(/^Done/);
    },
  );

  it(
    'refuses at once a size that wasm has no room for, whether the model is there already or ' +
      'not, and names one that it has',
    async () => {
      const message =
        /^8 frames of 16384x16384 do not fit into memory: encoding needs more than \d+\.\d GiB and WebAssembly has 4\.0 GiB\. 8 frames of (\d+)x\1 would fit\.$/;
      await page.selectOption('[name=backend]', 'wasm');
      for (const loaded of [false, true]) {
        const before = (await told(page, 'progress')).length;
        await fill({ numFrames: '8', width: '16384', height: '16384' });
        const used = await processorSeconds(browser);
        await start();
        await ended(message);
        expect((await processorSeconds(browser)) - used, 'seconds').to.be.below(20);
        expect(await page.getAttribute('#status', 'class')).to.equal('error');
        expect((await told(page, 'progress')).length, 'progress').to.equal(before);
        if (!loaded)
          expect(
            server.requests.filter((request) => request.endsWith('.safetensors')),
          ).to.deep.equal([]);
        await fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
        await page.click('#start:enabled');
        await ended(/^Done/);
      }
    },
  );

  it('says so if there is no model at the address, or it is not to be had', async () => {
    const cases = [
      {
        values: { model: './nowhere' },
        message: /nowhere\/model_index.json cannot be downloaded: the server answers 404/,
      },
      { values: { variant: 'fp64' }, message: /image_encoder\/ has no model\.fp64\.safetensors/ },
      // It does not allow its use to other sites.
      {
        values: { model: elsewhere.address },
        message: /model_index.json cannot be reached\. .+ \(CORS\)\.$/,
      },
      {
        values: { model: 'http://localhost:1/model' },
        message: /localhost:1\/model\/model_index.json cannot be reached/,
      },
    ];
    elsewhere.headers = {};
    await page.selectOption('[name=backend]', 'wasm');
    for (const { values, message } of cases) {
      await fill({ model: './model', variant: '', ...values });
      await start();
      await ended(message);
      expect(await page.getAttribute('#status', 'class')).to.equal('error');
    }
  });

  /** Makes a small video, of the same form. */
  const works = async () => {
    await fill({ model: './model', numInferenceSteps: '1', numFrames: '2', width: '32' });
    await page.click('#start:enabled');
    await ended(/^Done/);
  };
  /** Starts a long call, and gives its worker when it computes. */
  const computing = async () => {
    await page.selectOption('[name=backend]', 'wasm');
    await fill({ numInferenceSteps: '500', numFrames: '2', width: '32', height: '32' });
    await start();
    await ended(/^Sampling [1-9]/);
    return page.workers()[0];
  };

  it('names an address that is none, and goes on with the next one', async () => {
    await page.selectOption('[name=backend]', 'wasm');
    const wrong = ['http://', 'http://:80/model', 'C:\\models\\svd', 'file:///models/svd'];
    for (const address of wrong) {
      await fill({ model: address });
      await start();
      await ended(/ is not the address of a folder on a web server\. Enter one such as \.\/model /);
      expect(await page.textContent('#status')).to.include(`"${address}"`);
      expect(await page.isDisabled('#cancel')).to.equal(true);
    }
    await works();
  });

  for (const [how, script, message] of [
    ['with an error', 'setTimeout(() => { throw new Error("it broke.") })', /: .*it broke\. Start/],
    ['silently', 'self.close()', /: there may not be enough memory\. Start again /],
  ] as const) {
    it(`says so when its worker dies ${how}, and starts another one for the next video`, async () => {
      const died = new RegExp(`^The worker has died${message.source}`);
      await (await computing()).evaluate(script);
      await ended(died);
      expect(await page.getAttribute('canvas', 'width')).to.equal('0');
      expect(await page.isDisabled('#cancel')).to.equal(true);
      await works();

      await page.workers()[0].evaluate(script);
      await ended(died);
      expect(await page.isVisible('canvas'), 'the finished video').to.equal(true);
      await works();
    });
  }

  it('says so when its worker cannot be loaded, and tries again for the next video', async () => {
    await page.route('**/worker.js', (route) => route.abort());
    await start();
    await ended(/^The worker has died: its program cannot be loaded\. Start again /);
    await page.unroute('**/worker.js');
    await works();
  });

  it('starts another worker after one that failed while it computed', async () => {
    const worker = await computing();
    // Holds for the worker's life, as the loss of its graphics card does.
    await worker.evaluate(() => {
      const { postMessage } = globalThis as unknown as Worker;
      globalThis.postMessage = (message: { type: string }) => {
        if (message.type === 'preview') throw new Error('It is lost.');
        postMessage(message);
      };
    });
    await ended(/^It is lost\.$/);
    expect(await page.getAttribute('canvas', 'width')).to.equal('0');
    await works();
  });

  it('ends a worker that is too busy to be cancelled, and starts another one then', async () => {
    const worker = await computing();
    await worker.evaluate('self.onmessage = null; setTimeout(() => { for (;;); })');
    await page.click('#cancel');
    expect(await page.isDisabled('#cancel')).to.equal(true);
    await ended(/^Cancelled\. The worker did not answer, so it was ended\. /);
    await works();
  });

  it('keeps to a policy that lets in nothing of others, with threads, too', async () => {
    server.headers = {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    elsewhere.headers = { 'Access-Control-Allow-Origin': '*' };
    try {
      await page.goto(server.address);
      await page.selectOption('[name=backend]', 'wasm');
      await page.setInputFiles('#file', picture);
      await works();
      expect(server.requests).to.include('GET /tfjs-backend-wasm-threaded-simd.wasm');
      expect(violations).to.deep.equal([]);

      const letIn = await page.evaluate(async (address) => {
        const script = document.createElement('script');
        script.textContent = 'window.injected = true';
        document.head.append(script);
        const fetched = await fetch(address).then(
          () => true,
          () => false,
        );
        return { injected: 'injected' in window, fetched };
      }, `${elsewhere.address}model_index.json`);
      expect(letIn).to.deep.equal({ injected: false, fetched: false });
      while (violations.length < 2) await page.waitForTimeout(20);
      violations = [];
    } finally {
      server.headers = {};
      elsewhere.headers = {};
    }
  });

  it('bundles all that it needs, and nothing of Node', () => {
    const inputs = Object.keys(metafile.inputs);
    expect(inputs).to.include('src/browser.ts');
    expect(
      inputs.filter((file) => /^node:|node_modules\/(sharp|@huggingface)/.test(file)),
    ).to.deep.equal([]);
    const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
    expect(imports.filter(({ external }) => external)).to.deep.equal([]);
  });
});
