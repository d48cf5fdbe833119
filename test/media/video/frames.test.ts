import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { exportToVideo } from '../../../src/media/video/exportVideo.ts';

describe('a folder of frames', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-frames-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const path = (name: string) => join(folder, name);
  const frame = (grey: number) => ({ width: 4, height: 4, data: new Uint8Array(48).fill(grey) });
  const messageOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'no error',
      (error: Error) => error.message,
    );
  const picture = () =>
    sharp({ create: { width: 4, height: 4, channels: 3, background: 'red' } })
      .png()
      .toBuffer();

  it('is refused if it holds pictures of somebody else, by whatever name', async () => {
    const others = {
      '0007.png': await picture(),
      '0001.png': Buffer.from('no picture'),
      '00000001.png': await sharp(await picture())
        .withExif({ IFD0: { Software: 'another program', ImageDescription: '{"seed":1}' } })
        .png()
        .toBuffer(),
    };
    for (const [name, bytes] of Object.entries(others)) {
      await mkdir(path('own'));
      await exportToVideo([frame(1)], path('own/'));
      await writeFile(path(`own/${name}`), bytes);
      expect(await messageOf(exportToVideo([frame(2)], path('own/')))).to.match(
        new RegExp(
          `own/" holds "${name}", which is not a frame that this program has written, and ` +
            'frames would replace it\\. Use a new or an empty folder\\.',
        ),
      );
      expect(await readFile(path(`own/${name}`))).to.deep.equal(bytes);
      await rm(path('own'), { recursive: true });
    }
  });

  it('is refused without waiting for a pipe that has the name of a frame', async function () {
    if (process.platform === 'win32') this.skip();
    await mkdir(path('own'));
    execFileSync('mkfifo', [path('own/0000.png')]);
    expect(await messageOf(exportToVideo([frame(1)], path('own/')))).to.contain(
      'holds "0000.png", which is not a frame that this program has written',
    );
  });

  it('is written by two at once, and holds the frames of one', async () => {
    const videos = [1, 2].map((grey) => Array(20).fill(frame(grey)));
    await Promise.all(videos.map((frames) => exportToVideo(frames, path('new/'))));
    expect(await readdir(path('new'))).to.have.length(20);
    expect(await readdir(folder)).to.deep.equal(['new']);
  });

  it('is replaced if its frames carry settings, those of earlier versions too', async () => {
    await mkdir(path('frames'));
    const settings = JSON.stringify({ images: 'a', seeds: '[1]', fps: '7', version: '0.2.0' });
    const earlier = sharp(await picture()).withExif({ IFD0: { ImageDescription: settings } });
    await earlier.png().toFile(path('frames/0000.png'));
    await exportToVideo([frame(1)], path('frames/'), { metadata: { seed: '1' } });
    await exportToVideo([frame(2)], path('frames/'));
    const pixels = await sharp(path('frames/0000.png')).raw().toBuffer();
    expect(pixels[0]).to.equal(2);
  });

  it('keeps what systems leave in it', async () => {
    await exportToVideo([frame(1), frame(1)], path('frames/'));
    const left = ['.DS_Store', '.hidden', 'Thumbs.db', 'desktop.ini'];
    for (const name of left) await writeFile(path(`frames/${name}`), name);
    await mkdir(path('frames/.git'));
    await exportToVideo([frame(2)], path('frames/'));
    expect(await readdir(path('frames'))).to.have.members([...left, '.git', '0000.png']);
    expect(await readFile(path('frames/.hidden'), 'utf8')).to.equal('.hidden');
  });

  it('stays the same folder, behind its link', async () => {
    await mkdir(path('real'), { mode: 0o700 });
    const { ino } = await stat(path('real'));
    await symlink('real', path('link'));
    for (const grey of [1, 2]) await exportToVideo([frame(grey)], path('link/'));
    expect(await stat(path('real'))).to.include({ ino, mode: 0o40700 });
    expect(await readdir(folder)).to.deep.equal(['link', 'real']);
  });

  it('is made where a link leads to nothing', async () => {
    await symlink('new', path('link'));
    await exportToVideo([frame(1)], path('link/'));
    expect(await readdir(path('new'))).to.deep.equal(['0000.png']);
  });
});
