import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { REFERENCES } from '../../../../src/media/video/encoders/h264.ts';
import { h264Level, withLevel } from '../../../../src/media/video/encoders/h264Level.ts';
import { exportToVideo } from '../../../../src/media/video/exportVideo.ts';
import { readVideo } from '../readVideo.ts';

/** The level of a stream whose frames take `bytes` bytes each. */
const levelOf = (width: number, height: number, fps: number, bytes = 1, count = 300) =>
  h264Level({ width, height, bytes: Array(count).fill(bytes) }, fps, 1);

describe('h264Level', () => {
  it('grows with the size of the frames', () => {
    expect(levelOf(176, 144, 7)).to.equal(10);
    expect(levelOf(352, 288, 7)).to.equal(11);
    expect(levelOf(720, 480, 7)).to.equal(22);
    expect(levelOf(1024, 576, 7)).to.equal(31);
    expect(levelOf(1920, 1080, 7)).to.equal(40);
    expect(levelOf(4096, 2160, 7)).to.equal(51);
    expect(levelOf(8192, 4320, 7)).to.equal(60);
  });

  it('grows with their rate, as the standard says of macroblocks per second', () => {
    // 1024 x 576 pixels are 2304 macroblocks
    const rates = { 7: 31, 30: 31, 46: 31, 47: 32, 60: 32, 93: 32, 94: 40, 106: 40, 107: 42 };
    for (const [fps, level] of Object.entries(rates))
      expect(levelOf(1024, 576, Number(fps)), fps).to.equal(level);
    expect(levelOf(1024, 576, 240)).to.equal(50);
    expect(levelOf(1920, 1080, 60)).to.equal(42);
    expect(levelOf(64, 64, 240)).to.equal(12);
  });

  it('counts parts of macroblocks as whole ones, and limits the longer side', () => {
    expect(levelOf(1280, 720, 30)).to.equal(31);
    expect(levelOf(1281, 720, 30)).to.equal(32);
    expect(levelOf(16 * 29, 16, 7)).to.equal(11);
    expect(levelOf(16 * 28, 16, 7)).to.equal(10);
  });

  it('grows with the bits per second, wherever they are in the video', () => {
    expect(levelOf(64, 64, 25, 64_000 / 8 / 25)).to.equal(10);
    expect(levelOf(64, 64, 25, 64_000 / 8 / 25 + 1)).to.equal(11);
    const bytes = Array.from({ length: 100 }, (_, i) => (i === 60 ? 50_000 : 1));
    expect(h264Level({ width: 64, height: 64, bytes }, 25, 1)).to.equal(13);
  });

  it('is the highest there is for what fits in none', () => {
    expect(levelOf(16384, 16384, 240)).to.equal(62);
  });
});

describe('withLevel', () => {
  it('changes the record and every parameter set in it', () => {
    const sets = [...[0, 4, 0x67, 66, 192, 10], ...[0, 5, 0x67, 66, 192, 10, 9]];
    const record = Uint8Array.of(1, 66, 192, 10, 0xff, 0xe2, ...sets, 1, 0, 1, 0x68);
    expect([...withLevel(record, 42)]).to.deep.equal([
      ...[1, 66, 192, 42, 0xff, 0xe2],
      ...[0, 4, 0x67, 66, 192, 42],
      ...[0, 5, 0x67, 66, 192, 42, 9],
      ...[1, 0, 1, 0x68],
    ]);
  });
});

/** Reads the unsigned exponential Golomb codes of the bits of `bytes`. */
function golombCodes(bytes: Uint8Array, count: number): number[] {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let at = 0;
  return Array.from({ length: count }, () => {
    const zeros = bits.indexOf('1', at) - at;
    const value = Number.parseInt(bits.slice(at + zeros, at + 2 * zeros + 1), 2) - 1;
    at += 2 * zeros + 1;
    return value;
  });
}

describe('the level of an MP4 file', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-level-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function configurationOf(width: number, height: number, fps: number) {
    const path = join(folder, 'clip.mp4');
    const frame = { width, height, data: new Uint8Array(width * height * 3) };
    await exportToVideo([frame, frame], path, { fps, encoder: 'builtin' });
    return (await readVideo(await readFile(path))).description;
  }

  it('is that of its size and rate', async () => {
    for (const [width, height, fps, level] of [
      [64, 64, 7, 10],
      [320, 576, 56, 30],
      [320, 576, 60, 31],
      [320, 576, 240, 32],
    ] as const) {
      const configuration = await configurationOf(width, height, fps);
      expect(configuration[3], `${fps}`).to.equal(level);
      expect(configuration[11], `${fps}`).to.equal(level);
    }
  });

  it('is enough for the pictures that frames refer to', async () => {
    const set = (await configurationOf(64, 64, 7)).subarray(8 + 4);
    // id of the set, bits of the frame number, type of the order (2 has no fields), references
    const [, , order, references] = golombCodes(set, 4);
    expect({ order, references }).to.deep.equal({ order: 2, references: REFERENCES });
  });
});
