import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { writeAtomically } from '../../src/files/atomic.ts';
import { checkOutput, outputFormat } from '../../src/media/output.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svd-output-'));
});
afterEach(() => rm(folder, { recursive: true }));

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: Error) => error.message,
  );

describe('outputFormat', () => {
  it('follows from the ending, in any case of letters', () => {
    const formats = ['a.mp4', 'b.C.MP4', 'a.webp', 'a.gif', 'a.safetensors', 'a/', 'a.mp4/'].map(
      outputFormat,
    );
    expect(formats).to.deep.equal(['mp4', 'mp4', 'webp', 'gif', 'safetensors', 'png', 'png']);
  });

  it('lists the endings when a path has none of them', () => {
    for (const path of ['', 'video', 'video.avi', 'mp4', 'video.mp4.part']) {
      expect(() => outputFormat(path)).to.throw(
        `"${path}" ends in none of the known ways. Use .mp4, .webp, .gif, .safetensors, or / for`,
      );
    }
  });
});

describe('checkOutput', () => {
  it('accepts files and folders that can be written, and creates nothing', async () => {
    for (const name of ['a.mp4', 'a.webp', 'a.gif', 'a.safetensors', 'a/'])
      await checkOutput(join(folder, name));
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('accepts an earlier output', async () => {
    await writeFile(join(folder, 'a.mp4'), 'old');
    await mkdir(join(folder, 'frames'));
    await writeFile(join(folder, 'frames', '0000.png'), 'old');
    await checkOutput(join(folder, 'a.mp4'));
    await checkOutput(join(folder, 'frames/'));
    expect(await readFile(join(folder, 'a.mp4'), 'utf8')).to.equal('old');
  });

  it('refuses what cannot be written, each with its reason', async () => {
    await writeFile(join(folder, 'file'), '');
    await mkdir(join(folder, 'folder.mp4'));
    await mkdir(join(folder, 'documents'));
    await writeFile(join(folder, 'documents', 'letter.txt'), '');
    const reasons = {
      'video.mov': /ends in none of the known ways/,
      'nowhere/a.mp4': /cannot be written: there is no folder .*nowhere\. Create it first\./,
      'nowhere/frames/': /cannot be written: there is no folder .*nowhere\. Create it first\./,
      'file/a.mp4': /cannot be written: .*file is not a folder\. Use another path\./,
      'file/': /file\/" is a file, not a folder\. Use another folder\./,
      'folder.mp4': /folder\.mp4" is a folder\. Use the name of a file/,
      'documents/':
        /documents\/" holds "letter\.txt", and frames would replace it all\. Use a new or an empty folder\./,
    };
    for (const [name, reason] of Object.entries(reasons))
      expect(await messageOf(checkOutput(join(folder, name)))).to.match(reason);
  });

  it('refuses a folder that the system keeps from being written', async () => {
    // The kernel's own folders refuse every user, the superuser too.
    expect(await messageOf(checkOutput('/proc/self/nowhere.d/a.mp4'))).to.match(
      /there is no folder/,
    );
    expect(
      await messageOf(writeAtomically('/proc/self/a.mp4', (temporary) => writeFile(temporary, ''))),
    ).to.match(/could not be written \(E/);
  });
});
