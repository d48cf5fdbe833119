/** The browser example in headless Chromium: it makes the video that Node makes. */
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { expectedCosts } from '../../examples/browser/remaining.ts';
import { useBackend } from '../../src/backends/index.ts';
import { loadImage, type RgbImage } from '../../src/media/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { Generator } from '../../src/random/index.ts';
import { launchWithGpu, PageUnderTest, picture, root } from './pageUnderTest.ts';
import { type Recorded, recorded, told } from './recording.ts';

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
  const at = new PageUnderTest();

  it('makes the same video as Node on wasm, shows how it goes, and saves it as MP4', async () => {
    // PNG, since browsers may decode JPEG in other ways.
    const image = await loadImage(picture);
    const { width, height } = image;
    const png = await sharp(image.data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    await at.page.selectOption('[name=backend]', 'wasm');
    await at.fill({ width: '64', height: '48', numFrames: '4', numInferenceSteps: '3', seed: '7' });
    await at.start({ name: 'rocket.png', mimeType: 'image/png', buffer: png });
    await at.ended(/^Done/);
    const [done] = await told(at.page, 'done');

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

    const previews = await told(at.page, 'preview');
    expect(previews).to.have.length(3);
    const seen = await recorded(at.page, 'seen');
    const costs = expectedCosts({ numFrames: 4, numInferenceSteps: 3, maxGuidanceScale: 3 });
    const all = costs.encoding + costs.sampling + costs.decoding;
    for (const [i, preview] of previews.entries()) {
      const { bar, width, height, pixels } = seen.find(
        ({ status }) => status === `Sampling ${i + 1} of 3`,
      )!;
      expect([width, height]).to.deep.equal([8, 6]);
      expect(bar).to.be.closeTo((costs.encoding + (costs.sampling * (i + 1)) / 3) / all, 1e-6);
      const colours = preview.frames!.map(({ data }) => data);
      expect(colours).to.deep.include(pixels.filter((_, k) => k % 4 < 3));
      expect(new Set(pixels).size, 'values on the canvas').to.be.above(10);
    }
    expect(
      new Set((await told(at.page, 'progress')).map(({ progress }) => progress!.stage)),
    ).to.deep.equal(new Set(['downloading', 'encoding', 'sampling', 'decoding']));
    const [download] = await Promise.all([
      at.page.waitForEvent('download'),
      at.page.click('#download'),
    ]);
    const mp4 = readFileSync(await download.path());
    expect(mp4.toString('latin1', 4, 8)).to.equal('ftyp');
    expect(download.suggestedFilename()).to.equal('video.mp4');
    for (const [format, magic] of [
      ['webm', '\x1aE\xdf\xa3'],
      ['gif', 'GIF89a'],
    ] as const) {
      const [file] = await Promise.all([
        at.page.waitForEvent('download'),
        at.page.click(`[data-format=${format}]:enabled`),
      ]);
      expect(file.suggestedFilename()).to.equal(`video.${format}`);
      expect(readFileSync(await file.path()).toString('latin1', 0, magic.length)).to.equal(magic);
    }
    const shown = await at.page.waitForFunction(() => {
      const { videoWidth, videoHeight, controls } = document.querySelector('video')!;
      return videoWidth > 0 && [videoWidth, videoHeight, controls];
    });
    expect(await shown.jsonValue()).to.deep.equal([64, 48, true]);
    expect(await at.page.getAttribute('#preview', 'width'), 'previews').to.equal('0');
  });

  it('stays responsive and stops when it is told to, then works again without downloading again', async () => {
    await at.page.selectOption('[name=backend]', 'wasm');
    await at.fill({ numInferenceSteps: '500' });
    await at.start();
    await at.page.waitForFunction(() => {
      const { drawn } = (window as unknown as { recorded: Recorded }).recorded;
      const sampled = /^Sampling [1-9]/.test(document.getElementById('status')!.textContent!);
      return sampled && drawn.length > 20;
    });
    await at.page.click('#cancel');
    await at.ended(/^Cancelled/);
    expect(await at.page.isVisible('#preview'), 'previews').to.equal(false);
    expect(await at.page.isVisible('#progress'), 'progress').to.equal(false);
    expect(await at.page.textContent('#remaining')).to.equal('');
    await at.fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    at.server.requests = [];
    await at.page.click('#start:enabled');
    await at.ended(/^Done/);
    expect(at.server.requests).to.deep.equal([]);
  });

  it('takes the model from the cache of the browser when the page is opened again', async () => {
    const context = await at.browser.newContext();
    for (const downloads of [3, 0]) {
      await at.open(context);
      at.server.requests = [];
      await at.page.selectOption('[name=backend]', 'wasm');
      await at.fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
      await at.start();
      await at.ended(/^Done/);
      expect(
        at.server.requests.filter((request) => /^GET .*\.safetensors$/.test(request)),
      ).to.have.length(downloads);
    }
    await context.close();
  });

  it('makes the same video of TensorFlow.js artifacts', async () => {
    await at.page.selectOption('[name=backend]', 'wasm');
    await at.fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    const videos: unknown[] = [];
    for (const model of ['./model', './artifacts']) {
      await at.fill({ model });
      await at.start();
      if (model === './artifacts') await at.page.click('#download-model');
      await at.ended(/^Done/);
      videos.push((await told(at.page, 'done')).at(-1)!.frames);
    }
    expect(
      at.server.requests.filter((request) => /GET .artifacts.*\.bin$/.test(request)),
    ).to.have.length.above(3);
    expect(videos[1]).to.deep.equal(videos[0]);
  });

  it(
    'keeps files of another site in the cache, and downloads anew what has changed there or may ' +
      'have',
    async () => {
      const shard = readdirSync(join(at.scratch, 'elsewhere/unet')).find((name) =>
        name.endsWith('.bin'),
      )!;
      const path = join(at.scratch, 'elsewhere/unet', shard);
      const videos: unknown[] = [];
      /** The shards that a visit downloads. */
      const downloads = async ({ isAsked = true } = {}) => {
        await at.visit();
        at.elsewhere.requests = [];
        await at.page.selectOption('[name=backend]', 'wasm');
        await at.fill({
          model: at.elsewhere.address,
          numInferenceSteps: '1',
          numFrames: '2',
          width: '32',
          height: '32',
        });
        await at.start();
        if (isAsked) await at.page.click('#download-model');
        await at.ended(/^Done/);
        videos.push((await told(at.page, 'done'))[0].frames);
        return at.elsewhere.requests.filter((request) => /^GET .*\.bin$/.test(request));
      };
      at.elsewhere.headers = { 'Access-Control-Allow-Origin': '*' };
      const all = await downloads();
      expect(all).to.have.length.above(3);
      expect(await downloads({ isAsked: false })).to.deep.equal([]);
      expect(videos[1]).to.deep.equal(videos[0]);

      // As long as it was, like other weights of the same model.
      writeFileSync(path, new Uint8Array(readFileSync(path).length));
      utimesSync(path, new Date(), new Date(Date.now() + 60_000));
      expect(await downloads()).to.deep.equal([`GET /unet/${shard}`]);
      expect(videos[2]).not.to.deep.equal(videos[0]);

      at.elsewhere.versions = false;
      expect(await downloads()).to.deep.equal(all);
    },
  );

  it('makes a video of a sample by one click', async () => {
    await at.page.selectOption('[name=backend]', 'wasm');
    await at.fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    const samples = at.page.locator('[data-sample]');
    for (let i = 0; i < (await samples.count()); i++) {
      await samples.nth(i).click();
      await at.ended(/^Done/);
    }
    expect(await told(at.page, 'done')).to.have.length(4);
  });

  it('chooses wasm where there is no graphics card, and says why', async () => {
    await at.fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
    await at.start();
    await at.ended(/^Done/);
    expect(await at.page.textContent('#backend')).to.match(
      /^Computes on wasm\. \(no webgpu: .+\)$/,
    );
  });

  it('computes by WebGPU when that is asked for, here in software', async () => {
    const withGpu = await launchWithGpu();
    const frames: { data: number[] }[][] = [];
    try {
      await at.open(withGpu);
      for (const backend of ['wasm', 'webgpu']) {
        await at.page.selectOption('[name=backend]', backend);
        await at.fill({ numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' });
        await at.start();
        await at.ended(/^Done/);
        expect(await at.page.textContent('#backend')).to.equal(`Computes on ${backend}.`);
        frames.push((await told(at.page, 'done')).at(-1)!.frames!);
      }
    } finally {
      await withGpu.close();
    }
    const differences = frames[0].flatMap(({ data }, i) =>
      data.map((value, j) => Math.abs(value - frames[1][i].data[j])),
    );
    expect(Math.max(...differences)).to.be.at.most(1);
  });

  it('takes a picture that is dropped on it, and says so if a dropped file is none', async () => {
    const rocket = {
      name: 'rocket.jpg',
      type: 'image/jpeg',
      base64: readFileSync(picture, 'base64'),
    };
    expect(await at.page.evaluate(drop, rocket)).to.equal(true);
    await at.ended(/^rocket\.jpg: 640 x 427 pixels\.$/);
    expect(await at.page.isVisible('#picture')).to.equal(true);

    const notes = { name: 'notes.txt', type: 'text/plain', base64: btoa('no picture') };
    expect(await at.page.evaluate(drop, notes)).to.equal(true);
    await at.refused(
      'file',
      /^notes\.txt is not a picture that this browser can read\. Try a PNG or JPEG\.$/,
    );
    expect(await at.page.isVisible('#picture')).to.equal(false);
  });

  it('keeps to a policy that lets in nothing of others, with threads, too', async () => {
    at.server.headers = {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    at.elsewhere.headers = { 'Access-Control-Allow-Origin': '*' };
    try {
      await at.visit();
      await at.page.selectOption('[name=backend]', 'wasm');
      await at.page.setInputFiles('#file', picture);
      await at.works();
      expect(at.server.requests).to.include('GET /tfjs-backend-wasm-threaded-simd.wasm');
      expect(at.violations).to.deep.equal([]);

      const letIn = await at.page.evaluate(async (address) => {
        const script = document.createElement('script');
        script.textContent = 'window.injected = true';
        document.head.append(script);
        const fetched = await fetch(address).then(
          () => true,
          () => false,
        );
        return { injected: 'injected' in window, fetched };
      }, `${at.elsewhere.address}model_index.json`);
      expect(letIn).to.deep.equal({ injected: false, fetched: false });
      while (at.violations.length < 2) await at.page.waitForTimeout(20);
      at.violations = [];
    } finally {
      at.server.headers = {};
      at.elsewhere.headers = {};
    }
  });

  it('bundles all that it needs, and nothing of Node', () => {
    const inputs = Object.keys(at.metafile.inputs);
    expect(inputs).to.include('src/browser.ts');
    expect(
      inputs.filter((file) => /^node:|node_modules\/(sharp|@huggingface)/.test(file)),
    ).to.deep.equal([]);
    const imports = Object.values(at.metafile.outputs).flatMap((output) => output.imports);
    expect(imports.filter(({ external }) => external)).to.deep.equal([]);
  });
});
