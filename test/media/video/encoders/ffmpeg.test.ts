import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect } from 'chai';
import type { RgbImage } from '../../../../src/media/image.ts';
import { writePackets } from '../../../../src/media/video/container.ts';
import { encodeH264 } from '../../../../src/media/video/encoders/h264.ts';
import { chooseEncoder } from '../../../../src/media/video/encoders/node.ts';
import { nodeEncoder } from '../../../../src/media/video/encoders/nodeEncoder.ts';
import { exportToVideo } from '../../../../src/media/video/exportVideo.ts';
import { readMetadata } from '../../../../src/media/video/readMetadata.ts';
import { decodeByFfmpeg, hasFfmpeg, readVideo } from '../readVideo.ts';

/** A soft pattern that moves by two pixels a frame. */
const frames = (count: number, width = 64, height = 48): RgbImage[] =>
  Array.from({ length: count }, (_, f) => ({
    width,
    height,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
      return 128 + 100 * Math.sin((x + 2 * f) / 9 + (i % 3)) * Math.cos(y / 7);
    }),
  }));

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: Error) => error.message,
  );

const ENCODERS = ' V....D libx264      H.264\n V..... libvpx-vp9   VP9\n';

describe('ffmpeg', () => {
  const { PATH } = process.env;
  let folder: string;
  let warnings: string[];
  const { warn } = console;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-ffmpeg-'));
    await mkdir(join(folder, 'bin'));
    warnings = [];
    console.warn = (message: string) => warnings.push(message);
  });
  afterEach(() => {
    process.env.PATH = PATH;
    console.warn = warn;
    return rm(folder, { recursive: true });
  });

  /** Puts a program `ffmpeg` first, which lists `encoders` and else runs the shell's `script`. */
  async function fake(script: string, encoders = ENCODERS): Promise<void> {
    const program = join(folder, 'bin', 'ffmpeg');
    const list = `[ "$1" = -encoders ] && printf '${encoders}' && echo 'ffmpeg version 9.9' >&2 && exit 0`;
    await writeFile(program, `#!/bin/sh\n${list}\n${script}\n`);
    await chmod(program, 0o755);
    process.env.PATH = `${join(folder, 'bin')}${delimiter}${PATH}`;
  }

  /** Leaves no program at all. */
  function none(): void {
    process.env.PATH = join(folder, 'bin');
  }

  const path = (name: string) => join(folder, name);

  describe('a program in its place', () => {
    before(function () {
      if (process.platform === 'win32') this.skip();
    });

    it('gets the frames, and its own are put into the file', async () => {
      const images = frames(3);
      const made = await encodeH264(nodeEncoder(), images, { fps: 7, quality: 50 });
      await writeFile(path('made.mp4'), await writePackets(made, { format: 'mp4', fps: 7 }));
      await fake(
        `echo "$@" > ${path('arguments')}; cat > ${path('planes')}; cat ${path('made.mp4')}`,
      );
      await exportToVideo(images, path('a.mp4'), { fps: 7, metadata: { seed: '1' } });
      expect(await readMetadata(path('a.mp4'))).to.deep.equal({ seed: '1' });
      const { packets } = await readVideo(await readFile(path('a.mp4')));
      expect(packets.map(({ data }) => [...data])).to.deep.equal(
        made.packets.map(({ data }) => [...data]),
      );
      expect((await readFile(path('planes'))).length).to.equal((3 * 64 * 48 * 3) / 2);
      expect(await readFile(path('arguments'), 'utf8')).to.match(
        /-video_size 64x48 -framerate 7000\/1000 .*-c:v libx264 .*-crf 20\.4 /,
      );
    });

    it('is named with its version', async () => {
      await fake('');
      expect(await chooseEncoder('mp4')).to.deep.equal({
        ...{ encoder: 'ffmpeg', encoderVersion: 'ffmpeg 9.9 libx264' },
      });
      expect(await chooseEncoder('webm', 'ffmpeg')).to.deep.equal({
        ...{ encoder: 'ffmpeg', encoderVersion: 'ffmpeg 9.9 libvpx-vp9' },
      });
    });

    it('says in one sentence why it fails, and leaves nothing', async () => {
      await fake("cat > /dev/null; echo '[libx264 @ 0x55] broken\n[vost] more' >&2; exit 187");
      for (const [name, wayOut] of [
        ['a.mp4', 'use the built-in encoder'],
        ['a.webm', 'write .mp4, which needs none'],
      ])
        expect(await messageOf(exportToVideo(frames(2), path(name)))).to.equal(
          `ffmpeg failed (broken). You can also ${wayOut}.`,
        );
      await fake('exit 3');
      expect(await messageOf(exportToVideo(frames(40), path('a.mp4')))).to.contain(
        'ffmpeg failed (3).',
      );
      await fake('kill -9 $$');
      expect(await messageOf(exportToVideo(frames(40), path('a.mp4')))).to.contain(
        'ffmpeg failed (SIGKILL).',
      );
      expect(await readdir(folder)).to.deep.equal(['bin']);
    });

    it('is not believed when it writes nothing, or too little', async () => {
      await fake('cat > /dev/null');
      expect(await messageOf(exportToVideo(frames(2), path('a.mp4')))).to.match(
        /ffmpeg wrote no video\. You can also/,
      );
      const made = await encodeH264(nodeEncoder(), frames(1), { fps: 7, quality: 50 });
      await writeFile(path('made.mp4'), await writePackets(made, { format: 'mp4', fps: 7 }));
      await fake(`cat > /dev/null; cat ${path('made.mp4')}`);
      expect(await messageOf(exportToVideo(frames(2), path('a.mp4')))).to.contain(
        'ffmpeg wrote 1 frames instead of 2.',
      );
    });

    it('is killed by the signal', async () => {
      await fake(`echo $$ > ${path('pid')}; exec sleep 1000`);
      const controller = new AbortController();
      const { signal } = controller;
      const running = messageOf(exportToVideo(frames(2), path('a.mp4'), { signal }));
      let pid = '';
      while (!pid) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        pid = await readFile(path('pid'), 'utf8').catch(() => '');
      }
      controller.abort(new Error('enough'));
      expect(await running).to.equal('enough');
      const isThere = () => spawnSync('kill', ['-0', pid.trim()]).status === 0;
      while (isThere()) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(await readdir(folder)).to.deep.equal(['bin', 'pid']);
    });

    it('is passed over in words when it lacks the encoder', async () => {
      await fake('exit 1', ' V..... libvpx-vp9   VP9\n');
      expect(await chooseEncoder('mp4')).to.deep.equal({ encoder: 'builtin' });
      expect(warnings).to.deep.equal([
        'the built-in encoder makes the video: ffmpeg 9.9 has no encoder libx264',
      ]);
      expect(await messageOf(chooseEncoder('mp4', 'ffmpeg'))).to.equal(
        'ffmpeg is needed, but ffmpeg 9.9 has no encoder libx264. Install ffmpeg, or use the ' +
          'built-in encoder.',
      );
      await fake('exit 1', ' V..... libx264   H.264\n');
      expect(await messageOf(exportToVideo(frames(1), path('a.webm')))).to.equal(
        'ffmpeg is needed, but ffmpeg 9.9 has no encoder libvpx-vp9. Install ffmpeg, or write ' +
          '.mp4, which needs none.',
      );
    });
  });

  it('may be missing', async () => {
    none();
    expect(await chooseEncoder('mp4')).to.deep.equal({ encoder: 'builtin' });
    await exportToVideo(frames(1), path('a.mp4'));
    expect(warnings).to.deep.equal([]);
    expect(
      await messageOf(exportToVideo(frames(1), path('b.mp4'), { encoder: 'ffmpeg' })),
    ).to.equal(
      'ffmpeg is needed, but there is no program ffmpeg. Install ffmpeg, or use the built-in ' +
        'encoder.',
    );
    expect(await messageOf(exportToVideo(frames(1), path('a.webm')))).to.equal(
      'ffmpeg is needed, but there is no program ffmpeg. Install ffmpeg, or write .mp4, which ' +
        'needs none.',
    );
  });

  it('is needed for WebM, and encodes nothing else', async () => {
    const builtin = { encoder: 'builtin' } as const;
    expect(await messageOf(exportToVideo(frames(1), path('a.webm'), builtin))).to.equal(
      'The built-in encoder writes no WebM. Use ffmpeg, or write .mp4.',
    );
    const ffmpeg = { encoder: 'ffmpeg' } as const;
    expect(await messageOf(exportToVideo(frames(1), path('a.gif'), ffmpeg))).to.equal(
      'ffmpeg encodes MP4 and WebM, but the format is gif.',
    );
  });

  describe('the real one', () => {
    before(function () {
      if (!hasFfmpeg) this.skip();
    });

    async function exported(
      name: string,
      images: RgbImage[],
      options?: Parameters<typeof exportToVideo>[2],
    ): Promise<Buffer> {
      await exportToVideo(images, path(name), options);
      return readFile(path(name));
    }

    for (const [ending, codec] of [
      ['mp4', /^avc1\.64/],
      ['webm', /^vp09\.00/],
    ] as const) {
      it(`.${ending}: has the frames, their size, rate and colours, and the metadata`, async () => {
        const images = frames(9, 35, 21);
        const metadata = { seed: '42', model: 'é' };
        const file = await exported(`a.${ending}`, images, { fps: 23.976, metadata });
        const video = await readVideo(file);
        expect(video.codec).to.match(codec);
        expect(video.size).to.deep.equal([36, 22]);
        expect(video.colorSpace).to.include({ primaries: 'bt709', fullRange: false });
        for (const [i, time] of [...video.times, video.duration].entries())
          expect(time).to.be.closeTo(i / 23.976, 1e-3);
        expect(await readMetadata(path(`a.${ending}`))).to.deep.equal(metadata);
        const decoded = decodeByFfmpeg(file);
        expect(decoded.length).to.equal(9 * 36 * 22 * 3);
        const differences = images.flatMap(({ data }, f) =>
          Array.from(data, (value, i) => {
            const [x, y] = [Math.floor(i / 3) % 35, Math.floor(i / 3 / 35)];
            return Math.abs(value - decoded[((f * 22 + y) * 36 + x) * 3 + (i % 3)]!);
          }),
        );
        expect(differences.reduce((sum, x) => sum + x, 0) / differences.length).to.be.below(5);
      });

      it(`.${ending}: has the same bytes each time, and more for higher quality`, async () => {
        const images = frames(4);
        const [a, b] = [
          await exported(`a.${ending}`, images),
          await exported(`b.${ending}`, images),
        ];
        expect(a).to.deep.equal(b);
        const sizes = [];
        for (const quality of [1, 30, 60, 100])
          sizes.push((await exported(`q.${ending}`, images, { quality })).length);
        expect(sizes).to.deep.equal([...sizes].sort((x, y) => x - y));
      });
    }

    it('makes smaller files than the built-in encoder', async () => {
      const images = frames(12, 160, 96);
      const ffmpeg = await exported('a.mp4', images, { encoder: 'ffmpeg' });
      const builtin = await exported('b.mp4', images, { encoder: 'builtin' });
      expect(ffmpeg.length).to.be.below(builtin.length);
    });
  });
});
