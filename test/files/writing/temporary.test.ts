import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import { hiddenName, temporaryIn, withTemporary } from '../../../src/files/writing/temporary.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svd-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

const nothing = () => withTemporary(folder, async () => {});

/** The number of a process that has ended. */
const dead = () => spawnSync(process.execPath, ['--version']).pid;

/** The name of something temporary that a process with another number would have. */
const nameFor = (pid: number) =>
  basename(temporaryIn(folder)).replace(`-${process.pid}-`, `-${pid}-`);

describe('withTemporary', () => {
  it('removes what it gave a path for, whatever it is and however it ends', async () => {
    await withTemporary(folder, (path) => writeFile(path, ''));
    const failing = withTemporary(folder, async (path) => {
      await mkdir(path);
      await writeFile(join(path, 'half'), '');
      throw new Error('enough');
    });
    expect(await failing.catch((error: Error) => error.message)).to.equal('enough');
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('removes what killed processes have left, and nothing of those that run', async () => {
    const kept = [nameFor(process.ppid), basename(temporaryIn(folder)), '.svd-notes', 'a.tmp'];
    for (const name of kept) await writeFile(join(folder, name), '');
    await writeFile(join(folder, nameFor(dead())), '');
    await mkdir(join(folder, nameFor(dead())));
    await nothing();
    expect(await readdir(folder)).to.have.members(kept);
  });

  it('removes what an earlier process with the same number has left', async () => {
    const path = temporaryIn(folder);
    await writeFile(path, '');
    await utimes(path, 1e9, 1e9);
    await nothing();
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('removes what other machines have left after a day', async () => {
    const other = (name: string) => basename(name).replace(/^\.svd-.{8}/, '.svd-00000000');
    const [old, young] = [other(temporaryIn(folder)), other(temporaryIn(folder))];
    for (const name of [old, young]) await writeFile(join(folder, name), '');
    await utimes(join(folder, old), 1e9, 1e9);
    await nothing();
    expect(await readdir(folder)).to.deep.equal([young]);
  });

  it('keeps both folders of a process that was killed while one replaced the other', async () => {
    const name = nameFor(dead());
    const both = [name, `${name}.old`];
    for (const each of both) await mkdir(join(folder, each));
    await nothing();
    expect(await readdir(folder)).to.have.members(both);
    await rename(join(folder, name), join(folder, 'target'));
    await nothing();
    expect(await readdir(folder)).to.deep.equal(['target']);
  });
});

describe('hiddenName', () => {
  it('is no longer than file systems take', async () => {
    expect(hiddenName('model', '.partial')).to.equal('.model.partial');
    const name = hiddenName('é'.repeat(127), '.partial');
    await writeFile(join(folder, name), '');
    await stat(join(folder, name));
    expect(name).to.not.equal(hiddenName('e'.repeat(255), '.partial'));
  });
});
