/** Control characters of names, values and answers never reach the terminal. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { openSafetensors, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { reach } from '../../../src/checkpoints/web/files.ts';
import { expectError, fixture } from '../../checkpoints/files.ts';
import { svd, workFolder } from '../runs.ts';

/** Clears the screen, begins a line of its own, runs from right to left. */
const HOSTILE = 'a\u001b[2J\nb\u009b1mc\u202ed';
const SHOWN = 'a\\u001b[2J\\u000ab\\u009b1mc\\u202ed';
/** In the name of a file; systems disagree on line feeds there. */
const NAME = HOSTILE.replace('\n', '');
const NAME_SHOWN = SHOWN.replace('\\u000a', '');

const model = fixture('model');
const unetWeights = 'unet/diffusion_pytorch_model.safetensors';

describe('what commands print', () => {
  let work: Awaited<ReturnType<typeof workFolder>>;
  before(async () => {
    work = await workFolder();
  });
  after(() => work.remove());

  /** Runs `svd` and expects only visible characters. */
  async function visible(...args: string[]): Promise<string> {
    const { stdout, stderr } = await svd(...args);
    expect(stdout + stderr).to.not.match(/[^\P{Cc}\n]|\u202e/u);
    return stdout + stderr;
  }

  /** A copy of a model with one config that has another value. */
  async function withConfig(name: string, file: string, change: object): Promise<string> {
    const folder = work.path(name);
    await cp(model, folder, { recursive: true });
    const path = join(folder, file);
    await writeFile(
      path,
      JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...change }),
    );
    return folder;
  }

  it('shows names of folders and files', async () => {
    const folder = work.path(NAME);
    await cp(model, folder, { recursive: true });
    const texts = await Promise.all([
      visible('info', '--model', folder),
      visible('info', '--model', folder, '--json'),
      visible('generate', `${NAME}.png`, '--output', work.path('a.gif')),
      visible('convert', folder, work.path(`${NAME}.safetensors`), '--to', 'original', '--quiet'),
    ]);
    expect(texts[0]).to.match(/^a\\u001b\[2Jb\\u009b1mc\\u202ed, in the format diffusers/);
    expect(JSON.parse(texts[1]).checkpoint.id).to.equal(NAME);
    expect(texts[2]).to.include(`svd: `).and.include(NAME_SHOWN);
    expect(texts[3]).to.include(NAME_SHOWN);
  });

  it('shows values of configs and names of tensors', async () => {
    const config = await withConfig('config', 'image_encoder/config.json', { hidden_act: HOSTILE });
    const index = await withConfig('index', 'model_index.json', { _class_name: HOSTILE });
    const tensors = work.path('tensors');
    await cp(model, tensors, { recursive: true });
    const file = await openSafetensors(join(model, unetWeights));
    const [first, ...others] = await Promise.all(
      file.names().map(async (name) => [name, { ...file.info(name), data: await file.read(name) }]),
    );
    await file.close();
    await writeSafetensors(
      join(tensors, unetWeights),
      Object.fromEntries([[HOSTILE, first[1]], ...others]),
    );
    const texts = await Promise.all(
      [config, index, tensors].map((path) => visible('info', '--model', path)),
    );
    const quoted = '"a\\u001b[2J\\nb\\u009b1mc\\u202ed"';
    expect(texts[0]).to.include(`hidden_act is ${quoted}, not silu`);
    expect(texts[1]).to.include(`holds a model for ${quoted}, not for`);
    expect(texts[2].replace(/\s+/g, '')).to.include('\\u001b[2J\\u000ab\\u009b1mc\\u202ed');
  });

  it('shows options, commands and names of models', async () => {
    const texts = await Promise.all([
      visible('info', `--${HOSTILE}`),
      visible(HOSTILE),
      visible('download', `org/${HOSTILE}`),
      visible('info', '--model', `org/${HOSTILE}`, '--cache-dir', work.path('cache')),
    ]);
    for (const text of texts) {
      expect(text).to.include(SHOWN);
      expect(text.trimEnd().split('\n')).to.have.lengthOf(1);
    }
  });

  it('shows what servers answer', async () => {
    const server = createServer((_, response) => response.writeHead(500, 'a\u009b1m').end());
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    const { port } = server.address() as AddressInfo;
    const message = await expectError(() => reach(`http://localhost:${port}/`, {}), 'answers 500');
    expect(message).to.include('500 a\\u009b1m.');
    server.close();
    await mkdir(work.path('page'));
    await writeFile(work.path('page/model_index.json'), `{"a": ${HOSTILE}`);
    expect(await visible('info', '--model', work.path('page'))).to.include('line 1, column 7');
  });
});
