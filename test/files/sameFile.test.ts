import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { fileKey } from '../../src/files/sameFile.ts';

describe('fileKey', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-files-'));
    await mkdir(join(folder, 'below'));
    await writeFile(join(folder, 'a'), '');
    await writeFile(join(folder, 'b'), '');
    await link(join(folder, 'a'), join(folder, 'hard'));
    await symlink('a', join(folder, 'soft'));
    await symlink('below', join(folder, 'way'));
    await symlink('new', join(folder, 'dangling'));
  });
  after(() => rm(folder, { recursive: true }));

  const keyOf = (name: string) => fileKey(`${folder}/${name}`);

  it('is that of the file, by whatever name', async () => {
    for (const name of ['hard', 'soft', './a', 'below/../a', 'way/../a'])
      expect(await keyOf(name), name).to.equal(await keyOf('a'));
    expect(await keyOf('b')).to.not.equal(await keyOf('a'));
  });

  it('is that of the place where a file will be', async () => {
    expect(await keyOf('dangling')).to.equal(await keyOf('new'));
    expect(await keyOf('way/new')).to.equal(await keyOf('below/new'));
    expect(await keyOf('NEW')).to.equal(await keyOf('new'));
    expect(await keyOf('caf\u00e9')).to.equal(await keyOf('cafe\u0301'));
    expect(await keyOf('newer')).to.not.equal(await keyOf('new'));
  });

  it('leaves out devices, where nothing is lost', async function () {
    if (process.platform === 'win32') this.skip();
    expect(await fileKey('/dev/null')).to.equal(undefined);
  });
});
