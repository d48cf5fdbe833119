/** The built page in headless Chromium, for each test anew. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Metafile } from 'esbuild';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { convertCheckpoint } from '../../converters/index.ts';
import { buildPage } from '../../examples/browser/build.ts';
import { writeLargeModel } from './largeModel.ts';
import { record } from './recording.ts';
import { serve, type TestServer } from './serve.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));
export const picture = join(root, 'examples/pictures/rocket.jpg');

/** As root, which has no sandbox, and where shared memory is small. */
export function launch(...flags: string[]): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-dev-shm-usage', ...flags];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
}

/** With WebGPU, in software. */
export const launchWithGpu = (...flags: string[]): Promise<Browser> =>
  launch(
    '--enable-unsafe-webgpu',
    '--use-webgpu-adapter=swiftshader',
    '--enable-features=Vulkan',
    ...flags,
  );

let built: ReturnType<typeof buildPage> | undefined;

/** A folder for the page until the end of the process: others build it at the same time. */
function pageFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'svd-page-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export class PageUnderTest {
  server!: TestServer;
  /** A server of another site, which has the model as TensorFlow.js artifacts. */
  elsewhere!: TestServer;
  browser!: Browser;
  page!: Page;
  metafile!: Metafile;
  /** What the page or its worker has tried against the content security policy. */
  violations: string[] = [];
  readonly scratch = mkdtempSync(join(tmpdir(), 'svd-page-'));

  /** Opens everything for the tests of a `describe`, and the page for each of them. */
  constructor() {
    before(async () => {
      built ??= buildPage(pageFolder());
      const { folder, metafile } = await built;
      this.metafile = metafile;
      const artifacts = join(this.scratch, 'artifacts');
      await convertCheckpoint(join(root, 'weights/tiny'), artifacts, {
        ...{ to: 'tfjs', shardSize: 500_000 },
      });
      cpSync(artifacts, join(this.scratch, 'elsewhere'), { recursive: true });
      writeLargeModel(join(this.scratch, 'large'));
      this.server = await serve(folder, this.scratch);
      this.elsewhere = await serve(join(this.scratch, 'elsewhere'));
      this.browser = await launch();
    });
    after(async () => {
      await this.browser?.close();
      this.server?.close();
      this.elsewhere?.close();
      rmSync(this.scratch, { recursive: true, force: true });
    });
    beforeEach(async () => {
      await this.open(this.browser);
      this.server.requests = [];
    });
    afterEach(async () => {
      await this.page.close();
      expect(this.violations, 'violations of the policy').to.deep.equal([]);
    });
  }

  /** Opens the page, with all its settings, in a tab of its own. */
  async open(
    where: Browser | BrowserContext,
    options: Parameters<Browser['newPage']>[0] = {},
  ): Promise<void> {
    this.page = await (where as Browser).newPage(options);
    await record(this.page);
    this.violations = [];
    this.page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) this.violations.push(message.text());
    });
    await this.visit();
  }

  async visit(): Promise<void> {
    await this.page.goto(this.server.address);
    await this.page.click('summary');
  }

  async fill(values: Record<string, string>): Promise<void> {
    for (const [name, value] of Object.entries(values))
      await this.page.fill(`[name=${name}]`, value);
  }

  async start(
    file: string | { name: string; mimeType: string; buffer: Buffer } = picture,
  ): Promise<void> {
    await this.page.setInputFiles('#file', file);
    await this.page.click('#start:enabled');
  }

  /** Waits for the question before a download, and gives what it says. */
  async asked(): Promise<Record<string, string>> {
    await this.page.waitForSelector('dialog[open]');
    return this.page.$$eval('dialog dd', (all) =>
      Object.fromEntries(
        all.map(({ id, textContent }) => [id.replace('question-', ''), textContent]),
      ),
    );
  }

  /** Waits for a status that matches, or for an error, which has to match. */
  async ended(text: RegExp): Promise<void> {
    const settled = (source: string) => {
      const errors = Array.from(document.querySelectorAll('.error'), (error) => error.textContent);
      const status = document.getElementById('status')!.textContent!;
      return errors.join('') || (new RegExp(source).test(status) ? status : false);
    };
    const found = await this.page.waitForFunction(settled, text.source);
    expect(await found.jsonValue()).to.match(text);
  }

  /** Waits for an error beside a field, which is shown and belongs to it. */
  async refused(field: string, text: RegExp): Promise<void> {
    await this.ended(text);
    expect(await this.page.isVisible(`#${field}-error`), `error of ${field}`).to.equal(true);
    const input = this.page.locator(`[name=${field}]`);
    expect(await input.getAttribute('aria-invalid')).to.equal('true');
    expect((await input.getAttribute('aria-describedby'))!.split(' ')[0]).to.equal(
      `${field}-error`,
    );
    expect(await this.page.isVisible('#start')).to.equal(true);
  }

  /** Makes a small video, of the same form. */
  async works(): Promise<void> {
    const small = { numInferenceSteps: '1', numFrames: '2', width: '32', height: '32' };
    await this.fill({ model: './model', ...small });
    await this.page.click('#start:enabled');
    await this.ended(/^Done/);
  }

  /** Starts a long call, and gives its worker when it computes. */
  async computing() {
    await this.page.selectOption('[name=backend]', 'wasm');
    await this.fill({ numInferenceSteps: '500', numFrames: '2', width: '32', height: '32' });
    await this.start();
    await this.ended(/^Sampling [1-9]/);
    return this.page.workers()[0]!;
  }
}
