import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  replaceFilesIn,
  writeAtomically,
  writeFolderAtomically,
} from '../../../src/files/writing/atomic.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svd-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

const path = (name: string) => join(folder, name);
const textWriter = (text: string) => (temporary: string) => writeFile(temporary, text);
const modeOf = async (name: string) => (await stat(path(name))).mode & 0o7777;

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: Error) => error.message,
  );

describe('writeAtomically', () => {
  it('replaces a file, through a link too', async () => {
    await writeFile(path('target'), 'old');
    await symlink(path('target'), path('link'));
    await writeAtomically(path('link'), textWriter('new'));
    expect(await readFile(path('target'), 'utf8')).to.equal('new');
    expect(await readdir(folder)).to.deep.equal(['link', 'target']);
  });

  it('writes through links that lead to nothing yet', async () => {
    await mkdir(path('below'));
    await symlink('below/second', path('first'));
    await symlink('target', path('below/second'));
    await writeAtomically(path('first'), textWriter('new'));
    expect((await lstat(path('first'))).isSymbolicLink()).to.equal(true);
    expect((await lstat(path('below/second'))).isSymbolicLink()).to.equal(true);
    expect(await readFile(path('below/target'), 'utf8')).to.equal('new');
  });

  it('leaves the old file and nothing else when writing fails', async () => {
    await writeFile(path('target'), 'old');
    const failing = writeAtomically(path('target'), async (temporary) => {
      await writeFile(temporary, 'half');
      throw new Error('the writer failed');
    });
    expect(await messageOf(failing)).to.equal('the writer failed');
    expect(await readFile(path('target'), 'utf8')).to.equal('old');
    expect(await readdir(folder)).to.deep.equal(['target']);
  });

  it('keeps the mode of a file, and shows nothing of it to others before', async () => {
    await writeFile(path('target'), 'old');
    await chmod(path('target'), 0o640);
    await writeAtomically(path('target'), async (temporary) => {
      expect((await stat(temporary)).mode & 0o777).to.equal(0o600);
      await writeFile(temporary, 'new');
    });
    expect(await modeOf('target')).to.equal(0o640);
  });

  it('gives a new file the usual mode', async () => {
    await writeFile(path('usual'), '');
    await writeAtomically(path('target'), textWriter('new'));
    expect(await modeOf('target')).to.equal(await modeOf('usual'));
  });

  it('keeps the owner of a file', async function () {
    if (process.getuid?.() !== 0) this.skip();
    await writeFile(path('target'), 'old');
    await chown(path('target'), 1234, 2345);
    await writeAtomically(path('target'), textWriter('new'));
    expect(await stat(path('target'))).to.include({ uid: 1234, gid: 2345 });
  });

  it('leaves the other name of a file what it was', async () => {
    await writeFile(path('target'), 'old');
    await link(path('target'), path('backup'));
    await writeAtomically(path('target'), textWriter('new'));
    expect(await readFile(path('backup'), 'utf8')).to.equal('old');
  });

  it('takes names as long as the file system does', async () => {
    const name = 'é'.repeat(127);
    await writeAtomically(path(name), textWriter('new'));
    expect(await readdir(folder)).to.deep.equal([name]);
    expect(await messageOf(writeAtomically(path(`${name}éé`), textWriter('')))).to.match(
      /could not be written \(ENAMETOOLONG: name too long\)/,
    );
  });

  it('writes through a pipe, whether it is read already or not', async () => {
    execFileSync('mkfifo', [path('pipe')]);
    const text = 'frame '.repeat(100_000); // more than a pipe holds
    for (const delay of [0, 100]) {
      const writing = writeAtomically(path('pipe'), textWriter(text));
      await new Promise((resolve) => setTimeout(resolve, delay));
      expect((await readFile(path('pipe'), 'utf8')) === text).to.equal(true);
      await writing;
    }
    expect((await lstat(path('pipe'))).isFIFO()).to.equal(true);
    expect(await readdir(folder)).to.deep.equal(['pipe']);
  });

  it('waits for the reader of a pipe no longer than until the signal', async () => {
    execFileSync('mkfifo', [path('pipe')]);
    const controller = new AbortController();
    const writing = writeAtomically(path('pipe'), textWriter('new'), controller.signal);
    setTimeout(() => controller.abort(new Error('enough')), 20);
    expect(await messageOf(writing)).to.equal('enough');
    expect(await readdir(folder)).to.deep.equal(['pipe']);
  });

  it('writes through a device and says that it is full', async function () {
    if (process.platform !== 'linux') this.skip();
    await writeAtomically('/dev/null', textWriter('new'));
    await symlink('/dev/full', path('full.mp4'));
    expect(await messageOf(writeAtomically(path('full.mp4'), textWriter('new')))).to.match(
      /full\.mp4" could not be written \(ENOSPC: no space left on device\)\. Free space/,
    );
    expect((await stat('/dev/full')).isCharacterDevice()).to.equal(true);
    expect((await stat('/dev/null')).isCharacterDevice()).to.equal(true);
  });

  it('says which place the system refused', async () => {
    const failing = writeAtomically(path('nowhere/a.mp4'), textWriter(''));
    expect(await messageOf(failing)).to.match(
      /nowhere\/a\.mp4" could not be written \(ENOENT.*\)\. Choose another place\./,
    );
  });
});

const fill = (text: string) => async (temporary: string) => {
  await writeFile(join(temporary, text), text);
};

describe('writeFolderAtomically', () => {
  it('makes a folder, and replaces one', async () => {
    await writeFolderAtomically(path('frames/'), fill('one'));
    expect(await readdir(path('frames'))).to.deep.equal(['one']);
    await chmod(path('frames'), 0o700);
    await writeFolderAtomically(path('frames/'), fill('two'));
    expect(await readdir(path('frames'))).to.deep.equal(['two']);
    expect(await modeOf('frames')).to.equal(0o700);
    expect(await readdir(folder)).to.deep.equal(['frames']);
  });

  it('leaves the old folder and nothing else when writing fails', async () => {
    await writeFolderAtomically(path('frames'), fill('one'));
    const failing = writeFolderAtomically(path('frames'), async (temporary) => {
      await fill('half')(temporary);
      throw new Error('the writer failed');
    });
    expect(await messageOf(failing)).to.equal('the writer failed');
    expect(await readdir(path('frames'))).to.deep.equal(['one']);
    expect(await readdir(folder)).to.deep.equal(['frames']);
  });
});

describe('replaceFilesIn', () => {
  const isFrame = (name: string) => name.startsWith('frame');

  it('replaces the files that it is told, and keeps the others and the folder', async () => {
    await mkdir(path('frames'));
    for (const name of ['frame1', 'frame2', '.hidden']) await writeFile(path(`frames/${name}`), '');
    await chmod(path('frames'), 0o700);
    const { ino } = await stat(path('frames'));
    await replaceFilesIn(path('frames'), isFrame, fill('frame1'));
    expect(await readdir(path('frames'))).to.deep.equal(['.hidden', 'frame1']);
    expect(await readFile(path('frames/frame1'), 'utf8')).to.equal('frame1');
    expect((await stat(path('frames'))).ino).to.equal(ino);
    expect(await modeOf('frames')).to.equal(0o700);
  });

  it('replaces nothing when writing fails', async () => {
    await mkdir(path('frames'));
    await writeFile(path('frames/frame1'), 'old');
    const failing = replaceFilesIn(path('frames'), isFrame, async (temporary) => {
      await fill('frame1')(temporary);
      throw new Error('the writer failed');
    });
    expect(await messageOf(failing)).to.equal('the writer failed');
    expect(await readFile(path('frames/frame1'), 'utf8')).to.equal('old');
    expect(await readdir(path('frames'))).to.deep.equal(['frame1']);
  });
});
