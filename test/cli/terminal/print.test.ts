/** Control characters of names, values and answers never reach the terminal. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { convert } from '../../../converters/main.ts';
import { openSafetensors, writeSafetensors } from '../../../src/checkpoints/index.ts';
import { headOf } from '../../../src/checkpoints/web/receive.ts';
import { download } from '../../../src/cli/download.ts';
import { info } from '../../../src/cli/info.ts';
import { joinValues } from '../../../src/cli/terminal/arguments.ts';
import { commandOf, type Subcommand } from '../../../src/cli/terminal/command.ts';
import { printNote } from '../../../src/cli/terminal/print.ts';
import { messageOf } from '../../../src/text/messages.ts';
import { expectError } from '../../checkpoints/files.ts';
import { folderWithModel, svd } from '../runs.ts';

/** Clears the screen, begins a line of its own, runs from right to left. */
const HOSTILE = 'a\u001b[2J\nb\u009b1mc\u202ed';
const SHOWN = 'a\\u001b[2J\\u000ab\\u009b1mc\\u202ed';
/** In the name of a file; systems disagree on line feeds there. */
const NAME = HOSTILE.replace('\n', '');
const NAME_SHOWN = SHOWN.replace('\\u000a', '');

/** Runs a command and expects only visible characters on the terminal. */
async function visible(definition: Subcommand, ...args: string[]): Promise<string> {
  let text = '';
  const { log } = console;
  const { write } = process.stderr;
  console.log = (line: string) => {
    text += `${line}\n`;
  };
  process.stderr.write = (part: unknown) => {
    text += part;
    return true;
  };
  try {
    const command = commandOf(definition, () => {});
    await command.parseAsync(joinValues(args, definition.options), { from: 'user' });
  } catch (error) {
    printNote(messageOf(error), 'error');
  } finally {
    console.log = log;
    process.stderr.write = write;
  }
  expect(text).to.not.match(/[^\P{Cc}\n]|\u202e/u);
  return text;
}

describe('what commands print', () => {
  const work = folderWithModel();

  const small = ['--height', '16', '--width', '16', '--num-frames', '1'];

  /** A copy of the model, one of whose configs has another value. */
  async function withConfig(name: string, file: string, change: object): Promise<string> {
    const folder = work.path(name);
    await cp(work.path('model'), folder, { recursive: true });
    const path = join(folder, file);
    const json = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...json, ...change }));
    return folder;
  }

  it('shows names of folders and files', async () => {
    const folder = await withConfig(NAME, 'vae/config.json', {});
    expect(await visible(info, '--model', folder, ...small)).to.match(
      /^a\\u001b\[2Jb\\u009b1mc\\u202ed, in the format diffusers/,
    );
    const json = await visible(info, '--model', folder, ...small, '--json');
    expect(JSON.parse(json).checkpoint.id).to.equal(NAME);
    const path = work.path(`${NAME}.safetensors`);
    expect(await visible(convert, folder, path, '--to', 'original', '--quiet')).to.equal(
      `${work.path(NAME_SHOWN)}.safetensors\n`,
    );
    expect(await visible(info, '--model', work.path(`${NAME}/x`))).to.include(`${NAME_SHOWN}/x`);
  });

  it('shows values of configs and names of tensors', async () => {
    const config = await withConfig('config', 'image_encoder/config.json', { hidden_act: HOSTILE });
    const index = await withConfig('index', 'model_index.json', { _class_name: HOSTILE });
    const quoted = '"a\\u001b[2J\\nb\\u009b1mc\\u202ed"';
    expect(await visible(info, '--model', config)).to.include(`hidden_act is ${quoted}, not silu`);
    expect(await visible(info, '--model', index)).to.include(
      `holds a model for ${quoted}, not for`,
    );
    const tensors = await withConfig('tensors', 'vae/config.json', {});
    const path = join(tensors, 'image_encoder/model.safetensors');
    const source = await openSafetensors(path);
    const own = source.names().map(async (name) => {
      const { shape } = source.info(name);
      return [name, { dtype: 'F32', shape, data: await source.read(name) }] as const;
    });
    const surplus = { dtype: 'F32' as const, shape: [1], data: new Float32Array(1) };
    const all = Object.fromEntries(await Promise.all(own));
    await source.close();
    await writeSafetensors(path, { ...all, [HOSTILE]: surplus });
    const text = await visible(info, '--model', tensors, ...small);
    expect(text.replace(/\s+/g, '')).to.include(SHOWN);
  });

  it('shows options, commands and names of models', async () => {
    const texts = [
      await visible(info, `--${HOSTILE}`),
      await visible(download, `org/${HOSTILE}`),
      await visible(info, '--model', `org/${HOSTILE}`, '--cache-dir', work.path('cache')),
    ];
    const { stderr } = await svd(HOSTILE);
    for (const text of [...texts, stderr]) {
      expect(text)
        .to.match(/^error: .*\.\n$/)
        .and.include(SHOWN);
    }
  });

  it('shows what servers answer', async () => {
    const text = Buffer.from('a\u202eb').toString('latin1');
    const server = createServer((_, response) => response.writeHead(500, text).end());
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    const { port } = server.address() as AddressInfo;
    const message = await expectError(() => headOf(`http://localhost:${port}/`), 'answers 500');
    expect(message).to.include('500 a\\u202eb.');
    server.close();
    await mkdir(work.path('page'));
    await writeFile(work.path('page/model_index.json'), `{"a": ${HOSTILE}`);
    expect(await visible(info, '--model', work.path('page'))).to.include('line 1, column 7');
  });
});
