import { expect } from 'chai';
import sharp from 'sharp';
import { encodeGif, encodeWebp } from '../../../src/media/video/animation.ts';

const side = 24;

/** A grey picture, brighter by `step` in its upper half. */
function picture(step: number) {
  const data = new Uint8Array(side * side * 3).fill(100);
  return { width: side, height: side, data: data.fill(100 + step, 0, data.length / 2) };
}

describe('animations', () => {
  const encoders = {
    webp: (...[f, fps]: Args) => encodeWebp(f, fps, 80),
    gif: (...[f, fps]: Args) => encodeGif(f, fps, 256),
  };
  type Args = [frames: Parameters<typeof encodeGif>[0], fps: number];

  for (const [format, encode] of Object.entries(encoders)) {
    const cases = {
      'all equal': [0, 0, 0, 0],
      'partly equal': [0, 0, 40, 40, 40, 0],
      'almost equal': [0, 1, 2, 3, 4, 5, 6, 7],
    };
    for (const [name, steps] of Object.entries(cases)) {
      it(`.${format} keeps frames that are ${name}, and their durations`, async () => {
        const file = await encode(steps.map(picture), 10);
        const { pages, delay, loop, pageHeight } = await sharp(file, { pages: -1 }).metadata();
        expect({ pages, loop, pageHeight }).to.deep.equal({
          ...{ pages: steps.length, loop: 0, pageHeight: side },
        });
        expect(delay).to.deep.equal(steps.map(() => 100));
        const options = { pages: -1 };
        const pixels = await sharp(file, options).removeAlpha().raw().toBuffer();
        steps.forEach((step, i) => {
          const value = pixels[i * side * side * 3 + 3 * side * 3 + 3 * 3]!;
          expect(Math.abs(value - 100 - step), `frame ${i}`).to.be.at.most(
            format === 'gif' ? 5 : 2,
          );
        });
      });
    }
  }

  it('.webp of one frame is a still picture', async () => {
    const file = await encodeWebp([picture(0)], 7, 80, '{}');
    const { pages, exif } = await sharp(file, { pages: -1 }).metadata();
    expect(pages ?? 1).to.equal(1);
    expect(exif!.toString('latin1')).to.contain('{}');
  });

  it('.webp loops, blends nothing, and says what it has', async () => {
    const file = Buffer.from(await encodeWebp([picture(0), picture(0)], 7, 80, '{}'));
    expect(file.toString('latin1', 0, 4)).to.equal('RIFF');
    expect(file.readUInt32LE(4)).to.equal(file.length - 8);
    expect(file.toString('latin1', 8, 16)).to.equal('WEBPVP8X');
    expect(file[20]).to.equal(0x0a); // animation and EXIF
    expect(file.toString('latin1').match(/ANIM|ANMF|EXIF/g)).to.deep.equal([
      ...['ANIM', 'ANMF', 'ANMF', 'EXIF'],
    ]);
  });
});
