import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import type { RgbImage } from '../../../src/media/image.ts';
import { loadImage } from '../../../src/media/pictures/loadImage.ts';
import { exportToVideo } from '../../../src/media/video/exportVideo.ts';
import { decodeByFfmpeg, hasFfmpeg, readVideo } from './readVideo.ts';

/** A soft pattern that moves by two pixels a frame. */
function frames(count: number, width: number, height: number): RgbImage[] {
  return Array.from({ length: count }, (_, f) => {
    const data = new Uint8Array(width * height * 3);
    for (let i = 0; i < data.length; i++) {
      const pixel = Math.floor(i / 3);
      data[i] =
        128 +
        100 *
          Math.sin(((pixel % width) + 2 * f) / 9 + (i % 3)) *
          Math.cos(Math.floor(pixel / width) / 7);
    }
    return { width, height, data };
  });
}

/** The types of the boxes at the top of an MP4 file. */
function boxes(file: Buffer): string[] {
  const types = [];
  for (let at = 0; at < file.length; at += file.readUInt32BE(at))
    types.push(file.toString('latin1', at + 4, at + 8));
  return types;
}

/** Mean absolute difference of bytes. */
function meanDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).to.equal(b.length);
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}

const joined = (images: RgbImage[]) => Buffer.concat(images.map(({ data }) => data));

describe('exportToVideo', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-export-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function exported(
    name: string,
    images: RgbImage[],
    options?: Parameters<typeof exportToVideo>[2],
  ): Promise<Buffer> {
    const path = join(folder, name);
    await exportToVideo(images, path, options);
    return readFile(path);
  }

  describe('.mp4', () => {
    const builtin = (
      name: string,
      images: RgbImage[],
      options: Parameters<typeof exportToVideo>[2] = {},
    ) => exported(name, images, { encoder: 'builtin', ...options });

    it('is H.264 with its index first, the right size, count, rate and colours', async () => {
      const file = await builtin('video.mp4', frames(9, 64, 48));
      expect(boxes(file)).to.deep.equal(['ftyp', 'moov', 'mdat']);
      const { codec, size, times, duration, colorSpace } = await readVideo(file);
      expect({ codec, size, colorSpace }).to.deep.equal({
        codec: 'avc1.42000a', // Baseline
        size: [64, 48],
        colorSpace: {
          ...{ primaries: 'bt709', transfer: 'iec61966-2-1', matrix: 'smpte170m' },
          fullRange: false,
        },
      });
      expect(times).to.deep.equal(Array.from({ length: 9 }, (_, i) => i / 7));
      expect(duration).to.be.closeTo(9 / 7, 1e-9);
    });

    it('lists the key frames', async () => {
      const file = await builtin('long.mp4', frames(130, 32, 32), { fps: 30 });
      expect((await readVideo(file)).keyFrames).to.deep.equal([0, 60, 120]);
    });

    it('keeps rates that are no whole numbers', async () => {
      for (const fps of [0.1, 23.976, 29.97, 240]) {
        const file = await builtin('film.mp4', frames(3, 16, 16), { fps });
        const { times, duration } = await readVideo(file);
        for (const [i, time] of [...times, duration].entries())
          expect(time, `${fps}`).to.be.closeTo(i / fps, 1e-6);
      }
    });

    it('makes odd sizes even, and writes a single frame of one pixel', async () => {
      for (const [width, height, even] of [
        [35, 21, [36, 22]],
        [1, 1, [2, 2]],
      ] as const) {
        const { size } = await readVideo(await builtin('odd.mp4', frames(1, width, height)));
        expect(size).to.deep.equal(even);
      }
    });

    it('has the same bytes whenever it is made', async () => {
      const images = frames(3, 16, 16);
      const first = await builtin('first.mp4', images);
      const { now } = Date;
      Date.now = () => now() + 1e7;
      try {
        expect(await builtin('second.mp4', images)).to.deep.equal(first);
      } finally {
        Date.now = now;
      }
    });

    it('spends more on higher quality', async () => {
      const images = frames(4, 64, 64);
      const sizes = [];
      for (const quality of [10, 50, 80, 100])
        sizes.push((await builtin('quality.mp4', images, { quality })).length);
      expect(sizes).to.deep.equal([...sizes].sort((a, b) => a - b));
      expect(sizes[3]).to.be.above(2 * sizes[0]!);
    });

    it('keeps metadata as the comment', async () => {
      const metadata = { seed: '42', model: 'é' };
      const file = await builtin('comment.mp4', frames(2, 16, 16), { metadata });
      expect(JSON.parse((await readVideo(file)).comment!)).to.deep.equal(metadata);
    });

    it('looks like the frames in a player', async function () {
      if (!hasFfmpeg) this.skip();
      const images = frames(9, 64, 48);
      const decoded = decodeByFfmpeg(await builtin('seen.mp4', images));
      expect(meanDifference(decoded, joined(images))).to.be.below(4);
    });

    it('encodes several videos at the same time', async () => {
      const files = await Promise.all(
        [3, 4, 5].map((count) => builtin(`video-${count}.mp4`, frames(count, 32, 32))),
      );
      const videos = await Promise.all(files.map(readVideo));
      expect(videos.map(({ packets }) => packets.length)).to.deep.equal([3, 4, 5]);
    });

    it('leaves the handling of uncaught errors as it was', async () => {
      await builtin('errors.mp4', frames(1, 16, 16));
      const handlers = ['uncaughtException', 'unhandledRejection'].flatMap((event) =>
        process.rawListeners(event).map(String),
      );
      expect(
        handlers.filter((handler) => handler.includes('throw A') || handler.includes('onAbort')),
      ).to.deep.equal([]);
    });
  });

  for (const ending of ['webp', 'gif'] as const) {
    it(`.${ending}: writes every frame, the duration and the metadata`, async () => {
      const images = frames(6, 50, 30);
      const file = await exported(`animation.${ending}`, images, {
        fps: 7,
        metadata: { seed: '42', model: 'é"\n' },
      });
      const { pages, delay, loop, width, pageHeight, exif } = await sharp(file, {
        pages: -1,
      }).metadata();
      expect({ pages, loop, width, pageHeight }).to.deep.equal({
        pages: 6,
        loop: 0,
        width: 50,
        pageHeight: 30,
      });
      expect(delay!.reduce((sum, ms) => sum + ms, 0)).to.equal(ending === 'gif' ? 860 : 857);
      const decoded = await sharp(file, { pages: -1 }).removeAlpha().raw().toBuffer();
      expect(meanDifference(decoded, joined(images))).to.be.below(4);
      const text = (ending === 'gif' ? file : exif!).toString('latin1');
      expect(JSON.parse(text.match(/\{"seed.*?\}/)![0])).to.deep.equal({
        seed: '42',
        model: 'é"\n',
      });
    });
  }

  it('.gif: keeps frames that are alike, and a comment of any length', async () => {
    const [image] = frames(1, 20, 20) as [RgbImage];
    const file = await exported('still.gif', [image, image, image], {
      metadata: { text: 'x'.repeat(1000) },
    });
    expect((await sharp(file, { pages: -1 }).metadata()).pages).to.equal(3);
    // 1000 letters in blocks of 255
    expect(file.toString('latin1').split('x'.repeat(240))).to.have.length.of.at.least(5);
    expect((await loadImage(file)).width).to.equal(20);
  });

  describe('a folder', () => {
    it('gets one PNG picture per frame, equal to it, with the metadata', async () => {
      const images = frames(3, 20, 12);
      await exportToVideo(images, join(folder, 'frames/'), { metadata: { seed: '42' } });
      expect(await readdir(join(folder, 'frames'))).to.deep.equal([
        '0000.png',
        '0001.png',
        '0002.png',
      ]);
      for (const [i, image] of images.entries())
        expect(await loadImage(join(folder, `frames/000${i}.png`))).to.deep.equal(image);
      const { exif } = await sharp(join(folder, 'frames/0001.png')).metadata();
      expect(exif!.toString('latin1')).to.include('{"seed":"42"}');
    });

    it('replaces an earlier, longer video', async () => {
      await exportToVideo(frames(4, 8, 8), join(folder, 'again/'));
      await exportToVideo(frames(2, 8, 8), join(folder, 'again/'));
      expect(await readdir(join(folder, 'again'))).to.deep.equal(['0000.png', '0001.png']);
    });

    it('refuses what are no frames, no path and no settings', async () => {
      const frame = { width: 2, height: 2, data: new Uint8Array(12) };
      const say = (frames: unknown, path: unknown = 'a.gif', options = {}) =>
        exportToVideo(frames as never, path as string, options).catch(
          (error: Error) => error.message,
        );
      const empty = { width: 0, height: 0, data: new Uint8Array() };
      for (const wrong of [null, 'x', [null], [{}], [empty]])
        expect(await say(wrong)).to.include('The frames have to be a list of pictures');
      expect(await say([frame], 5)).to.include('`exportToVideo` takes a path or name');
      expect(await say([frame], 'a.gif', { metadata: { seed: 1n } })).to.include(
        '`metadata` has to be an object of strings but is an Object.',
      );
    });

    it('may be there, empty', async () => {
      await mkdir(join(folder, 'empty'));
      await exportToVideo(frames(1, 8, 8), join(folder, 'empty/'));
      expect(await readdir(join(folder, 'empty'))).to.deep.equal(['0000.png']);
    });
  });

  describe('refuses', () => {
    const refuses = (
      what: string,
      images: RgbImage[],
      name: string,
      options: Parameters<typeof exportToVideo>[2],
      message: string | RegExp,
    ) =>
      it(what, async () => {
        const before = await readdir(folder);
        const error = await exportToVideo(images, join(folder, name), options).catch(
          (reason: Error) => reason,
        );
        expect(error)
          .to.be.an('error')
          .with.property('message')
          .that.matches(typeof message === 'string' ? new RegExp(message) : message);
        expect(await readdir(folder)).to.deep.equal(before);
      });
    const two = frames(2, 8, 8);
    const short = { width: 8, height: 8, data: new Uint8Array(100) };

    refuses('no frames', [], 'no.mp4', {}, 'There are no frames to write');
    refuses(
      'frames of different sizes',
      [...two, ...frames(1, 8, 6)],
      'no.mp4',
      {},
      'have to be 8 x 8 pixels like the first, but frame 2 is 8 x 6',
    );
    refuses(
      'frames without all their bytes',
      [short],
      'no.mp4',
      {},
      'Frame 0 of 8 x 8 pixels has to have 192 bytes but has 100',
    );
    refuses(
      'a rate of 0',
      two,
      'no.mp4',
      { fps: 0 },
      '`fps` has to be a number from 0.1 to 240 but is 0',
    );
    refuses(
      'a rate that is not a number',
      two,
      'no.webp',
      { fps: Number.NaN },
      '`fps` has to be a number from 0.1 to 240 but is NaN',
    );
    refuses(
      'a rate that GIF cannot show',
      two,
      'no.gif',
      { fps: 60 },
      '`fps` has to be a number from 0.1 to 50 but is 60',
    );
    refuses(
      'an impossible quality',
      two,
      'no.mp4',
      { quality: 101 },
      '`quality` has to be a number from 1 to 100 but is 101',
    );
    refuses(
      'an unknown option',
      two,
      'no.mp4',
      { frames_per_second: 7 } as object,
      '`exportToVideo` has no option `frames_per_second`.',
    );
    refuses(
      'an unknown ending',
      two,
      'no.avi',
      {},
      /"[^"]*no\.avi" ends in none of the known ways\. Use \.mp4, \.webm, \.webp, \.gif/,
    );
    refuses('an ending for tensors', two, 'no.safetensors', {}, 'is for tensors, not for pictures');
    refuses('a missing folder', two, 'nowhere/no.mp4', {}, 'there is no folder');
  });

  for (const ending of ['.mp4', '.webp', '.gif', '/']) {
    it(`keeps the earlier output ${ending} when it is aborted`, async () => {
      const path = join(folder, `aborted${ending}`);
      await exportToVideo(frames(2, 8, 8), path);
      const read = () => readFile(ending === '/' ? join(path, '0000.png') : path);
      const [before, names] = [await read(), await readdir(folder)];
      const controller = new AbortController();
      const { signal } = controller;
      const running = exportToVideo(frames(40, 64, 64), path, { signal });
      setTimeout(() => controller.abort(new Error('enough')), 2);
      expect(await running.catch((error: Error) => error.message)).to.equal('enough');
      expect(await read()).to.deep.equal(before);
      expect(await readdir(folder)).to.deep.equal(names);
    });
  }

  it('overwrites an earlier file', async () => {
    await writeFile(join(folder, 'old.webp'), 'old');
    expect(
      (await sharp(await exported('old.webp', frames(2, 8, 8)), { pages: -1 }).metadata()).pages,
    ).to.equal(2);
  });
});
