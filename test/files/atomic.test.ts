import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { writeAtomically, writeFolderAtomically } from '../../src/files/atomic.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svd-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: Error) => error.message,
  );

describe('writeAtomically', () => {
  it('replaces a file, through a link too', async () => {
    await writeFile(join(folder, 'target'), 'old');
    await symlink(join(folder, 'target'), join(folder, 'link'));
    await writeAtomically(join(folder, 'link'), (temporary) => writeFile(temporary, 'new'));
    expect(await readFile(join(folder, 'target'), 'utf8')).to.equal('new');
    expect(await readdir(folder)).to.deep.equal(['link', 'target']);
  });

  it('leaves the old file and nothing else when writing fails', async () => {
    await writeFile(join(folder, 'target'), 'old');
    const failing = writeAtomically(join(folder, 'target'), async (temporary) => {
      await writeFile(temporary, 'half');
      throw new Error('the writer failed');
    });
    expect(await messageOf(failing)).to.equal('the writer failed');
    expect(await readFile(join(folder, 'target'), 'utf8')).to.equal('old');
    expect(await readdir(folder)).to.deep.equal(['target']);
  });

  it('says which place the system refused', async () => {
    const failing = writeAtomically(join(folder, 'nowhere', 'a.mp4'), (temporary) =>
      writeFile(temporary, ''),
    );
    expect(await messageOf(failing)).to.match(
      /nowhere\/a\.mp4" could not be written \(ENOENT.*\)\. Free space there or choose another place\./,
    );
  });
});

describe('writeFolderAtomically', () => {
  const fill = (text: string) => async (temporary: string) => {
    await writeFile(join(temporary, text), text);
  };

  it('makes a folder, and replaces one', async () => {
    await writeFolderAtomically(join(folder, 'frames/'), fill('one'));
    expect(await readdir(join(folder, 'frames'))).to.deep.equal(['one']);
    await writeFolderAtomically(join(folder, 'frames/'), fill('two'));
    expect(await readdir(join(folder, 'frames'))).to.deep.equal(['two']);
    expect(await readdir(folder)).to.deep.equal(['frames']);
  });

  it('leaves the old folder and nothing else when writing fails', async () => {
    await writeFolderAtomically(join(folder, 'frames'), fill('one'));
    const failing = writeFolderAtomically(join(folder, 'frames'), async (temporary) => {
      await fill('half')(temporary);
      throw new Error('the writer failed');
    });
    expect(await messageOf(failing)).to.equal('the writer failed');
    expect(await readdir(join(folder, 'frames'))).to.deep.equal(['one']);
    expect(await readdir(folder)).to.deep.equal(['frames']);
  });
});
