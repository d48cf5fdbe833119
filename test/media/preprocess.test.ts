import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { FloatArray, RgbImage } from '../../src/media/image.ts';
import {
  CLIP_MEAN,
  CLIP_STD,
  clipPixelValues,
  framesToImages,
  vaePixelValues,
} from '../../src/media/preprocess.ts';
import { inputPicture, uniforms } from '../harness/nameHash.ts';
import { warningsOf } from '../harness/warnings.ts';
import { decodeFloats, type EncodedFloats, largestDifference } from './numbers.ts';

const numbers = JSON.parse(readFileSync('test/fixtures/media/resizing.json', 'utf8'));
const small: RgbImage = inputPicture('media.small', 20, 15);
const large: RgbImage = inputPicture('media.large', 70, 50);

/** The numbers named `name`, made for [1, 3, H, W], as [1, H, W, 3]. */
function values(name: string, height: number, width: number, low: number): FloatArray {
  const planes = uniforms(name, 3 * height * width);
  const data = Float32Array.from(
    planes,
    (_, i) => low + ((planes[(i % 3) * height * width + Math.floor(i / 3)]! + 1) / 2) * (1 - low),
  );
  return { data, shape: [1, height, width, 3] };
}

function expectEqual(result: FloatArray, golden: EncodedFloats, tolerance: number): void {
  const expected = decodeFloats(golden);
  expect(result.shape).to.deep.equal(expected.shape);
  expect(largestDifference(result.data, expected.data)).to.be.at.most(tolerance);
}

describe('clipPixelValues', () => {
  it('equals diffusers for pictures', () => {
    expectEqual(clipPixelValues([small], 24), numbers.clip['media.small'], 1e-5);
    expectEqual(clipPixelValues([large], 24), numbers.clip['media.large'], 1e-5);
  });

  it('takes pictures of different sizes in one list', () => {
    const both = clipPixelValues([small, large]);
    expect(both.shape).to.deep.equal([2, 224, 224, 3]);
    const half = 224 * 224 * 3;
    expect(both.data.slice(0, half)).to.deep.equal(clipPixelValues([small]).data);
    expect(both.data.slice(half)).to.deep.equal(clipPixelValues([large]).data);
  });

  it('resizes values like the picture that they come from', () => {
    const data = Float32Array.from(large.data, (byte) => byte / 255);
    expect(clipPixelValues({ data, shape: [1, 50, 70, 3] }, 24)).to.deep.equal(
      clipPixelValues([large], 24),
    );
  });

  it('only normalises values of the right size, as diffusers does', () => {
    const input = values('media.values', 10, 10, 0);
    const { data } = clipPixelValues(input, 10);
    expect(
      largestDifference(
        data,
        input.data.map((value, i) => (value - CLIP_MEAN[i % 3]!) / CLIP_STD[i % 3]!),
      ),
    ).to.be.below(1e-6);
  });

  it('uses the mean and standard deviation given', () => {
    const input = { data: new Float32Array(12).fill(0.75), shape: [1, 2, 2, 3] };
    expect([
      ...clipPixelValues(input, 2, [0.25, 0.5, 0.75], [0.5, 0.25, 1]).data.slice(0, 3),
    ]).to.deep.equal([1, 1, 0]);
  });

  it('refuses an empty list, tiny pictures and values of another shape', () => {
    expect(() => clipPixelValues([])).to.throw('There is no picture in the list');
    expect(() => clipPixelValues([{ width: 1, height: 4, data: new Uint8Array(12) }])).to.throw(
      '1 x 4 pixels is too small',
    );
    expect(() => clipPixelValues({ data: new Float32Array(16), shape: [1, 2, 2, 4] })).to.throw(
      '[N, H, W, 3] but their shape is [1, 2, 2, 4]',
    );
    expect(() => clipPixelValues({ data: new Float32Array(11), shape: [1, 2, 2, 3] })).to.throw(
      'have to be 12 numbers but are 11',
    );
  });
});

describe('vaePixelValues', () => {
  it('equals diffusers for pictures, bit for bit', () => {
    expectEqual(vaePixelValues([small], 24, 32), numbers.vae['media.small'], 0);
    expectEqual(vaePixelValues([large], 24, 32), numbers.vae['media.large'], 0);
  });

  it('joins pictures of different sizes', () => {
    const both = vaePixelValues([large, small], 24, 32);
    expect(both.shape).to.deep.equal([2, 24, 32, 3]);
    expect(both.data.slice(24 * 32 * 3)).to.deep.equal(vaePixelValues([small], 24, 32).data);
  });

  it('equals diffusers for values', () => {
    expectEqual(vaePixelValues(values('media.values', 10, 12, 0), 24, 16), numbers.vae_values, 0);
  });

  it('takes values below 0 as signed, with a warning, as diffusers does', async () => {
    let result: FloatArray | undefined;
    const warnings = await warningsOf(() => {
      result = vaePixelValues(values('media.signed', 10, 12, -1), 24, 16);
    });
    expectEqual(result!, numbers.vae_signed, 0);
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.match(/down to -0\.99.*taken as values in \[-1, 1\]/);
  });

  it('refuses an empty list, impossible sizes and values of another shape', () => {
    expect(() => vaePixelValues([], 8, 8)).to.throw('There is no picture in the list');
    expect(() => vaePixelValues([small], 0, 8)).to.throw(
      'have to be positive integers but are 0 and 8',
    );
    expect(() => vaePixelValues({ data: new Float32Array(12), shape: [2, 2, 3] }, 8, 8)).to.throw(
      'their shape is [2, 2, 3]',
    );
  });
});

describe('framesToImages', () => {
  it('rounds as diffusers does, ties included', () => {
    const steps = decodeFloats(numbers.bytes.values).data;
    const data = Float32Array.from(
      { length: steps.length * 3 },
      (_, i) => steps[Math.floor(i / 3)]!,
    );
    const [[image]] = framesToImages({ data, shape: [1, 1, 1, steps.length, 3] }) as [[RgbImage]];
    expect([...image.data.filter((_, i) => i % 3 === 0)]).to.deep.equal(numbers.bytes.bytes);
  });

  it('splits videos and frames', () => {
    const data = Float32Array.from({ length: 2 * 3 * 1 * 2 * 3 }, (_, i) => i / 255);
    const videos = framesToImages({ data, shape: [2, 3, 1, 2, 3] });
    expect(videos.map((frames) => frames.length)).to.deep.equal([3, 3]);
    expect(videos[1]![2]).to.deep.equal({
      width: 2,
      height: 1,
      data: Uint8Array.of(30, 31, 32, 33, 34, 35),
    });
  });

  it('refuses another shape', () => {
    expect(() => framesToImages({ data: new Float32Array(12), shape: [1, 2, 2, 3] })).to.throw(
      '[B, F, H, W, 3] but their shape is [1, 2, 2, 3]',
    );
  });
});
