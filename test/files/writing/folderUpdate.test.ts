/** Folders whose files are replaced all at once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { finishUpdate, updateFolder } from '../../../src/files/writing/folderUpdate.ts';
import { fuzzCases } from '../../harness/fuzz.ts';

let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'svd-update-'));
  folder = join(root, 'model');
});
afterEach(() => rm(root, { recursive: true }));

const files = async (path: string) =>
  (await readdir(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();

const write = (text: string) => async (collected: string) => {
  await mkdir(join(collected, 'unet'));
  await writeFile(join(collected, 'unet/weights'), text);
  return { written: ['unet/weights'], removed: ['unet/shard'] };
};

describe('updateFolder', () => {
  it('makes a folder, then replaces, removes and keeps files', async () => {
    await updateFolder(folder, write('old'));
    for (const name of ['unet/shard', 'unet/other', 'README.md'])
      await writeFile(join(folder, name), 'mine');
    await updateFolder(folder, write('new'));
    expect(await readFile(join(folder, 'unet/weights'), 'utf8')).to.equal('new');
    expect(await files(folder)).to.deep.equal(['README.md', 'unet/other', 'unet/weights']);
    expect(await readdir(folder)).to.have.members(['README.md', 'unet']);
    expect(await readdir(root)).to.deep.equal(['model']);
  });

  it('leaves what was there and nothing else when collecting fails', async () => {
    const fail = async () => {
      throw new Error('enough');
    };
    const failed = () => updateFolder(folder, fail).catch((error) => error.message);
    expect(await failed()).to.equal('enough');
    expect(await readdir(root)).to.deep.equal([]);
    await updateFolder(folder, write('old'));
    expect(await failed()).to.equal('enough');
    expect(await readdir(folder)).to.deep.equal(['unet']);
  });

  it('removes what killed processes have left, and nothing of those that run', async () => {
    const dead = 2 ** 22 + 1; // more than any process number
    const left = ['.svd-saving-', `.model.svd-saving-`];
    await mkdir(join(root, `${left[1]}${dead}-a`), { recursive: true });
    await mkdir(join(root, `${left[1]}${process.ppid}-a`));
    await updateFolder(folder, write('old'));
    expect(await readdir(root)).to.have.members(['model', `${left[1]}${process.ppid}-a`]);
    await mkdir(join(folder, `${left[0]}${dead}-a/unet`), { recursive: true });
    await mkdir(join(folder, `${left[0]}${process.pid}-a`));
    await updateFolder(folder, write('new'));
    expect(await readdir(folder)).to.deep.equal(['unet']);
  });

  it('ends what was interrupted while files were moved', async () => {
    await updateFolder(folder, write('old'));
    await writeFile(join(folder, 'unet/shard'), 'old');
    await mkdir(join(folder, '.svd-saved/vae'), { recursive: true });
    await writeFile(join(folder, '.svd-saved/vae/weights'), 'new');
    // unet/weights has been moved
    const list = { written: ['unet/weights', 'vae/weights'], removed: ['unet/shard'] };
    await writeFile(join(folder, '.svd-saved/files.json'), JSON.stringify(list));
    await finishUpdate(folder);
    expect(await files(folder)).to.deep.equal(['unet/weights', 'vae/weights']);
    expect(await readdir(folder)).to.have.members(['unet', 'vae']);
  });

  it('follows no list out of the folder', async () => {
    await updateFolder(folder, write('old'));
    await writeFile(join(root, 'mine'), 'mine');
    await symlink(root, join(folder, 'link'));
    await mkdir(join(folder, '.svd-saved'));
    const lists = ['../mine', 'link/mine', join(root, 'mine'), 'a/../../mine', '..', 'a\0b', 3]
      .map((path) => JSON.stringify({ written: [], removed: [path] }))
      .concat('{', 'null', '{"written": 1}');
    for (const list of lists) {
      await writeFile(join(folder, '.svd-saved/files.json'), list);
      const message = await finishUpdate(folder).catch((error) => error.message);
      expect(message, list).to.include('.svd-saved does not list files of its folder. Remove it.');
    }
    expect(await readFile(join(root, 'mine'), 'utf8')).to.equal('mine');
  });

  it('holds the old files or the new ones whenever it is killed @slow', async () => {
    const program = fileURLToPath(new URL('updateInProcess.ts', import.meta.url));
    for (let kill = 0; kill < fuzzCases(5); kill++) {
      const child = spawn(process.execPath, ['--import', 'tsx', program, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout!, 'data');
      await new Promise((resolve) => setTimeout(resolve, (kill * 7) % 40));
      child.kill('SIGKILL');
      await once(child, 'exit');
      await finishUpdate(folder);
      const found = (await files(folder)).filter((name) => !name.startsWith('.'));
      const single = ['index', 'unet/single', 'vae/config'];
      const shards = ['index', 'unet/1-of-2', 'unet/2-of-2', 'vae/config'];
      const texts = await Promise.all(found.map((name) => readFile(join(folder, name), 'utf8')));
      expect(new Set(texts).size, found.join()).to.equal(1);
      expect(found).to.deep.equal(Number(texts[0]) % 2 === 0 ? shards : single);
    }
    await updateFolder(folder, write('new'));
    expect((await readdir(folder)).filter((name) => name.startsWith('.'))).to.deep.equal([]);
  });
});
