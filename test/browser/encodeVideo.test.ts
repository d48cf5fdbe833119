/** Videos that Chromium encodes, by its own encoders and without them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import * as esbuild from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { webEncoder } from '../../examples/browser/build.ts';
import type { EncodeVideoOptions } from '../../src/browser.ts';
import { gifComment } from '../../src/media/video/gif.ts';
import { readVideo } from '../media/video/readVideo.ts';
import { serve, type TestServer } from './serve.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Frames of `width` x `height` pixels, each brighter than the one before. */
const SCRIPT = `
import { canEncodeVideo, encodeVideo } from './src/browser.ts';
const framesOf = (count, width, height) => Array.from({ length: count }, (_, f) => {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = 40 + 20 * f + 8 * Math.sin(i / 50);
  return { width, height, data };
});
Object.assign(window, {
  canEncodeVideo,
  // Then all come as numbers, which tests can take.
  async encode(count, width, height, options, { loads = false, has = true, aborts = false } = {}) {
    const loaded = [];
    const loadH264Encoder = async () => {
      loaded.push('h264-mp4-encoder');
      return (await import('h264-mp4-encoder')).createH264MP4Encoder;
    };
    const { VideoEncoder } = window;
    if (!has) delete window.VideoEncoder;
    const controller = new AbortController();
    if (aborts) setTimeout(() => controller.abort(new Error('enough')), 1);
    try {
      const given = { ...options, ...(loads && { loadH264Encoder }), signal: controller.signal };
      const blob = await encodeVideo(framesOf(count, width, height), given);
      return { type: blob.type, loaded, bytes: [...new Uint8Array(await blob.arrayBuffer())] };
    } catch (error) {
      return { error: error.message, loaded };
    } finally {
      window.VideoEncoder = VideoEncoder;
    }
  },
  /** The brightness in the middle of each frame that a video element shows. */
  async play(bytes, type, times) {
    const video = document.createElement('video');
    video.muted = true;
    video.src = URL.createObjectURL(new Blob([new Uint8Array(bytes)], { type }));
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = () => reject(new Error(video.error.message));
    });
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const seen = [];
    for (const time of times) {
      video.currentTime = time;
      await new Promise((resolve) => { video.onseeked = resolve; });
      context.drawImage(video, 0, 0);
      seen.push(context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[1]);
    }
    return { seen, size: [video.videoWidth, video.videoHeight], duration: video.duration };
  },
});
`;

interface Made {
  type: string;
  loaded: string[];
  bytes: number[];
  error?: string;
}

describe('encodeVideo in a browser', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'svd-encode-'));
  let server: TestServer;
  let browser: Browser;
  let page: Page;
  before(async () => {
    await esbuild.build({
      stdin: { contents: SCRIPT, resolveDir: root },
      ...{ bundle: true, splitting: true, format: 'esm', target: 'es2022', outdir: scratch },
      plugins: [webEncoder],
      logLevel: 'warning',
    });
    writeFileSync(join(scratch, 'index.html'), '<script type="module" src="stdin.js"></script>');
    server = await serve(scratch);
    const args = ['--no-sandbox', '--disable-dev-shm-usage'];
    const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
    browser = await chromium.launch({ executablePath, args });
    page = await browser.newPage();
    await page.goto(server.address);
    await page.waitForFunction(() => 'encode' in window);
  });
  after(async () => {
    await browser?.close();
    server?.close();
    rmSync(scratch, { recursive: true });
  });

  const encode = (
    [count, width, height]: number[],
    options: EncodeVideoOptions,
    how: { loads?: boolean; has?: boolean; aborts?: boolean } = {},
  ): Promise<Made> =>
    page.evaluate(
      (args) => Reflect.get(window, 'encode')(...args),
      [...[count, width, height, options, how]],
    );
  const play = ({ bytes, type }: Made, fps: number, count: number) => {
    const times = Array.from({ length: count }, (_, i) => (i + 0.5) / fps);
    return page.evaluate((args) => Reflect.get(window, 'play')(...args), [bytes, type, times]);
  };

  const metadata = { seeds: '[1]', model: 'é' };
  const ways = {
    'MP4 by the browser': [{ format: 'mp4' }, {}],
    'MP4 by WebAssembly': [{ format: 'mp4' }, { loads: true, has: false }],
    'WebM by the browser': [{ format: 'webm' }, {}],
  } as const;
  for (const [name, [options, how]] of Object.entries(ways)) {
    it(`${name} plays, frame by frame, and keeps the metadata`, async () => {
      const made = await encode([5, 35, 21], { ...options, fps: 5, metadata }, how);
      expect(made.error).to.equal(undefined);
      expect(made.type).to.equal(`video/${options.format}`);
      expect(made.loaded.length > 0).to.equal('loads' in how);
      const { seen, size, duration } = await play(made, 5, 5);
      expect(size).to.deep.equal([36, 22]);
      expect(duration).to.be.closeTo(1, 1e-3);
      for (const [i, value] of seen.entries()) expect(value).to.be.closeTo(40 + 20 * i, 14);
      const { comment, times } = await readVideo(Uint8Array.from(made.bytes));
      expect(JSON.parse(comment!)).to.deep.equal(metadata);
      for (const [i, time] of times.entries()) expect(time).to.be.closeTo(i / 5, 1e-3);
    });
  }

  it('spends more on higher quality', async () => {
    for (const { format } of [{ format: 'mp4' }, { format: 'webm' }] as const) {
      const sizes = [];
      for (const quality of [10, 60, 100])
        sizes.push((await encode([3, 64, 64], { format, quality })).bytes.length);
      expect(sizes, format).to.deep.equal([...sizes].sort((a, b) => a - b));
    }
  });

  it('loads the encoder in WebAssembly only where the browser has none', async () => {
    const { loaded, bytes } = await encode([2, 64, 64], {}, { loads: true });
    const { codec } = await readVideo(Uint8Array.from(bytes));
    expect(loaded.length === 0, codec).to.equal(/^avc1\.(64|42e0)/.test(codec));
    expect(codec).to.match(/^avc1/);
  });

  it('writes GIF', async () => {
    const made = await encode([3, 35, 21], { format: 'gif', fps: 10, metadata }, { has: false });
    const file = Buffer.from(made.bytes);
    expect(made.type).to.equal('image/gif');
    const { pages, delay, loop, width, pageHeight } = await sharp(file, { pages: -1 }).metadata();
    expect({ pages, delay, loop, width, pageHeight }).to.deep.equal({
      ...{ pages: 3, delay: [100, 100, 100], loop: 0, width: 35, pageHeight: 21 },
    });
    expect(JSON.parse(gifComment(file)!)).to.deep.equal(metadata);
    const pixels = await sharp(file, { pages: -1 }).removeAlpha().raw().toBuffer();
    for (const i of [0, 1, 2])
      expect(pixels[(i * 21 + 10) * 35 * 3]).to.be.closeTo(40 + 20 * i, 10);
  });

  it('says what it cannot encode', async () => {
    const none = { has: false };
    expect((await encode([1, 8, 8], { format: 'mp4' }, none)).error).to.equal(
      'This browser has no encoder for .mp4 at this size. Pass `loadH264Encoder`.',
    );
    expect((await encode([1, 8, 8], { format: 'webm' }, { ...none, loads: true })).error).to.equal(
      'This browser has no encoder for .webm at this size. Use mp4 or gif.',
    );
    expect((await encode([1, 8, 8], { format: 'avi' } as object)).error).to.equal(
      '`format` has to be one of mp4, webm, gif but is avi.',
    );
    expect((await encode([0, 8, 8], {})).error).to.contain('There are no frames to write.');
    expect((await encode([1, 8, 8], { quality: 0 })).error).to.contain(
      '`quality` has to be a number from 1 to 100 but is 0.',
    );
  });

  it('stops by its signal', async () => {
    for (const format of ['mp4', 'webm', 'gif'] as const) {
      const { error } = await encode([200, 64, 64], { format }, { aborts: true });
      expect(error, format).to.equal('enough');
    }
  });

  it('tells what it can encode', async () => {
    const can = (format: string) =>
      page.evaluate(
        (name) => Reflect.get(window, 'canEncodeVideo')(name, { width: 64, height: 64 }),
        format,
      );
    expect([await can('mp4'), await can('webm'), await can('gif')]).to.deep.equal([
      ...[true, true, true],
    ]);
  });
});
