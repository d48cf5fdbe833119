/** One reader for the JSON of the disk and the web. */
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Json, jsonOf } from '../../../src/checkpoints/configs/json.ts';
import { readJson } from '../../../src/checkpoints/configs/jsonFile.ts';
import { memoryBytes } from '../../../src/checkpoints/safetensors/reader.ts';
import { WebFiles } from '../../../src/checkpoints/web/files.ts';
import { serve } from '../../browser/serve.ts';
import { expectError, fixture, inTemporaryFolder } from '../files.ts';

const read = (bytes: Uint8Array | string): Promise<Json> =>
  jsonOf(memoryBytes(Buffer.from(bytes), 'unet/config.json'));

const utf16 = (text: string, bigEndian: boolean) => {
  const bytes = Buffer.from(text, 'utf16le');
  return bigEndian ? bytes.swap16() : bytes;
};

describe('JSON files', () => {
  it('may have a byte order mark, and be in UTF-16', async () => {
    const text = '{ "num_frames": 25, "name": "Größe \u{1f680}" }';
    const encoded = [
      ...[text, `\ufeff${text}`].map((one) => Buffer.from(one)),
      ...[text, `\ufeff${text}`].map((one) => utf16(one, false)),
      ...[text, `\ufeff${text}`].map((one) => utf16(one, true)),
    ];
    for (const bytes of encoded) expect(await read(bytes)).to.deep.equal(JSON.parse(text));
  });

  it('say in one sentence what they are instead', async () => {
    const wrong: [content: Uint8Array | string, why: string][] = [
      ['', 'is empty'],
      [' \n', 'is empty'],
      ['\ufeff', 'is empty'],
      ['<!doctype html><title>Sign in</title>', 'is a web page, not JSON'],
      [
        '\n<?xml version="1.0"?><Error/>',
        'is an XML text, such as a message of a server, not JSON',
      ],
      ['{"num_frames": 25,\n "sample', 'is not valid JSON: it ends too early'],
      ['{"num_frames": 25,\n}', 'is not valid JSON: line 2, column 1 is wrong'],
      ['[25]', 'has to hold a JSON object'],
      ['null', 'has to hold a JSON object'],
      [Uint8Array.of(0x7b, 0xff, 0x7d), 'is not text in UTF-8'],
      [new Uint8Array(64), 'is not valid JSON'],
      ['['.repeat(1e6), 'is nested more deeply than 64 levels'],
    ];
    for (const [content, why] of wrong)
      await expectError(() => read(content), `unet/config.json ${why}`, 'download it again.');
    await expectError(
      () => read('version https://git-lfs.github.com/spec/v1\noid'),
      'unet/config.json is a Git LFS pointer, not JSON: fetch the file itself by `git lfs pull`.',
    );
  });

  it('are refused on the disk before a large one is read', () =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, 'config.json');
      await writeFile(path, '');
      await truncate(path, 2 ** 27);
      await expectError(() => readJson(path), path, `has ${2 ** 27} bytes`, 'right one');
      await mkdir(join(folder, 'folder'));
      await expectError(() => readJson(join(folder, 'folder')), 'not a file');
      await expectError(() => readJson(join(folder, 'nothing')), 'does not exist');
    }));

  it('are the same from the web', () =>
    inTemporaryFolder(async (folder) => {
      const config = await readFile(fixture('model/unet/config.json'));
      await writeFile(join(folder, 'marked.json'), Buffer.concat([Buffer.from('\ufeff'), config]));
      await writeFile(join(folder, 'page.json'), '<html></html>');
      const server = await serve(folder);
      try {
        expect(await new WebFiles().json(`${server.address}marked.json`)).to.deep.equal(
          JSON.parse(config.toString()),
        );
        await expectError(
          () => new WebFiles().json(`${server.address}page.json`),
          `${server.address}page.json cannot be downloaded: the server answers with a web page`,
        );
      } finally {
        await server.close();
      }
    }));
});
