import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { writeAtomically } from '../../../src/files/writing/atomic.ts';
import { exportToVideo } from '../../../src/media/video/exportVideo.ts';
import { checkOutput, outputFormat } from '../../../src/media/video/output.ts';

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
    const formats = [
      'a.mp4',
      'b.C.MP4',
      'a.webm',
      'a.webp',
      'a.gif',
      'a.safetensors',
      'a/',
      'a.mp4/',
    ].map((path) => outputFormat(path));
    expect(formats).to.deep.equal([
      'mp4',
      'mp4',
      'webm',
      'webp',
      'gif',
      'safetensors',
      'png',
      'png',
    ]);
  });

  it('may be said instead, but not against the ending', () => {
    expect(outputFormat('frames', 'png')).to.equal('png');
    expect(outputFormat('a.part', 'gif')).to.equal('gif');
    expect(outputFormat('A.GIF', 'gif')).to.equal('gif');
    expect(() => outputFormat('a.mp4', 'gif')).to.throw(
      'The output "a.mp4" ends with .mp4, but the format is gif. Use another ending, or leave out ' +
        'the format.',
    );
  });

  it('is MP4 for standard output, devices and pipes', () => {
    expect(['-', '/dev/null'].map((path) => outputFormat(path))).to.deep.equal(['mp4', 'mp4']);
    expect(outputFormat('-', 'webp')).to.equal('webp');
  });

  it('lists the endings when a path has none of them', () => {
    for (const path of ['', 'video', 'video.avi', 'mp4', 'video.mp4.part']) {
      expect(() => outputFormat(path)).to.throw(
        `"${path}" ends in none of the known ways. Use .mp4, .webm, .webp, .gif, .safetensors, or / for`,
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
    const frame = { width: 2, height: 2, data: new Uint8Array(12) };
    await exportToVideo([frame], join(folder, 'frames/'));
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

  it('refuses names that the file system does not take', async () => {
    const long = 'a'.repeat(252);
    for (const name of [`${long}.mp4`, `${long}aaaa/`])
      expect(await messageOf(checkOutput(join(folder, name)))).to.match(
        /cannot be written: its name is too long for the file system\. Use another path\./,
      );
    await checkOutput(join(folder, `${long.slice(1)}.mp4`));
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('refuses links that lead nowhere', async () => {
    await symlink('loop.mp4', join(folder, 'loop.mp4'));
    await symlink('nowhere/a.mp4', join(folder, 'lost.mp4'));
    await symlink('new.mp4', join(folder, 'fine.mp4'));
    expect(await messageOf(checkOutput(join(folder, 'loop.mp4')))).to.match(
      /cannot be written: it is a link to itself\./,
    );
    expect(await messageOf(checkOutput(join(folder, 'lost.mp4')))).to.match(
      /cannot be written: there is no folder .*nowhere\. Create it first\./,
    );
    await checkOutput(join(folder, 'fine.mp4'));
  });

  it('accepts devices and pipes, and refuses disks and sockets', async function () {
    if (process.platform !== 'linux') this.skip();
    await checkOutput('/dev/null');
    await checkOutput('/dev/full', 'gif');
    execFileSync('mkfifo', [join(folder, 'pipe.mp4')]);
    await checkOutput(join(folder, 'pipe.mp4'));
    const server = createServer().listen(join(folder, 'socket.mp4'));
    await once(server, 'listening');
    expect(await messageOf(checkOutput(join(folder, 'socket.mp4')))).to.match(
      /socket\.mp4" is a socket\. Use the name of a file\./,
    );
    server.close();
  });

  it('refuses what the system keeps from being written', async function () {
    if (process.platform !== 'linux') this.skip();
    for (const path of ['/proc/self/a.mp4', '/sys/a.gif'])
      expect(await messageOf(checkOutput(path))).to.match(
        /cannot be written: the folder .* is not writable \(.*\)\. Use another path\./,
      );
  });

  it('refuses a file that is protected, unless the user may write everything', async function () {
    if (process.getuid?.() === 0) this.skip();
    await writeFile(join(folder, 'a.mp4'), '', { mode: 0o400 });
    expect(await messageOf(checkOutput(join(folder, 'a.mp4')))).to.match(/permission is denied/);
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
