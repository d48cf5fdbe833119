import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { makeFolder } from '../../src/files/makeFolder.ts';

describe('makeFolder', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'folder-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('makes a folder and those around it, or leaves it as it is', async () => {
    for (const path of ['a/b/c', 'a/b/c', 'a/d/', '.']) {
      await makeFolder(join(folder, path));
      expect((await stat(join(folder, path))).isDirectory()).to.equal(true);
    }
    await makeFolder('/');
  });

  it('is refused by a file in its place or above it', async () => {
    await writeFile(join(folder, 'file'), '');
    for (const [path, code] of [
      ['file', 'EEXIST'],
      ['file/a', 'ENOTDIR'],
      ['file/a/b', 'ENOTDIR'],
    ])
      expect(await makeFolder(join(folder, path!)).catch((error) => error.code)).to.equal(code);
  });

  it('ends where the system has no place for folders', async function () {
    if (process.platform !== 'linux') this.skip();
    for (const path of ['/proc/svd-none', '/proc/svd-none/a/b'])
      expect(await makeFolder(path).catch((error) => error.code)).to.equal('ENOENT');
  });
});
