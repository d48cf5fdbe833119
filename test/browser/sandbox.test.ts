/** Loading in a sandboxed frame, which has no storage, in headless Chromium. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Browser } from 'playwright-core';
import { patience } from '../harness/patience.ts';
import { launch, root } from './pageUnderTest.ts';
import { bundleProgram } from './program.ts';
import { serve, type TestServer } from './serve.ts';

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
    await bundleProgram(program, scratch, 'frame.html');
    writeFileSync(
      join(scratch, 'index.html'),
      `<script>onmessage = ({ data }) => { globalThis.told = data; };</script>
       <iframe sandbox="allow-scripts" src="frame.html"></iframe>`,
    );
    server = await serve(scratch, join(root, 'weights/tiny'));
    server.headers = { 'Access-Control-Allow-Origin': '*' };
    browser = await launch();
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
