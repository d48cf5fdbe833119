/** Loading in a sandboxed frame, which has no storage, in headless Chromium. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import * as esbuild from 'esbuild';
import { type Browser, chromium } from 'playwright-core';
import { patience } from '../harness/patience.ts';
import { serve, type TestServer } from './serve.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Opens the model beside the page, and tells its parent of what it has read, or the error. */
const program = `
import '@tensorflow/tfjs';
import { openUrl } from '${root}src/browser.ts';
const storage = (() => { try { return typeof caches; } catch { return 'refused'; } })();
const open = async () => {
  const model = await openUrl('.');
  return (await model.weights('vae')).names().length;
};
const tell = (result) => parent.postMessage({ storage, result }, '*');
open().then(tell, (error) => tell(error.message));`;

describe('a sandboxed frame', () => {
  let server: TestServer;
  let browser: Browser;
  const scratch = mkdtempSync(join(tmpdir(), 'svd-sandbox-'));

  before(async () => {
    await esbuild.build({
      stdin: { contents: program, resolveDir: root },
      outfile: join(scratch, 'program.js'),
      bundle: true,
      format: 'esm',
      target: 'es2022',
      logLevel: 'warning',
    });
    writeFileSync(join(scratch, 'frame.html'), '<script type="module" src="program.js"></script>');
    writeFileSync(
      join(scratch, 'index.html'),
      `<script>onmessage = ({ data }) => { globalThis.told = data; };</script>
       <iframe sandbox="allow-scripts" src="frame.html"></iframe>`,
    );
    server = await serve(scratch, join(root, 'weights/tiny'));
    server.headers = { 'Access-Control-Allow-Origin': '*' };
    const args = ['--no-sandbox', '--disable-dev-shm-usage'];
    const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
    browser = await chromium.launch({ executablePath, args });
  });
  after(async () => {
    await browser?.close();
    server?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it('reads a model without the cache', async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(patience);
    await page.goto(server.address);
    await page.waitForFunction(() => 'told' in globalThis);
    const told = await page.evaluate(() => (globalThis as unknown as { told: unknown }).told);
    expect(told).to.have.property('storage', 'refused');
    expect(told).to.have.property('result').that.is.above(100);
  });
});
