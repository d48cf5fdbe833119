import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { FloatArray } from '../../src/media/image.ts';
import { loadImage } from '../../src/media/pictures/loadImage.ts';
import {
  gaussianKernel,
  resizeLanczos,
  resizeNearest,
  resizeWithAntialiasing,
} from '../../src/media/resample.ts';
import { inputPicture, uniforms } from '../harness/nameHash.ts';
import { decodeFloats, type EncodedFloats, largestDifference } from './numbers.ts';

interface Antialiased {
  name: string;
  from: [number, number];
  to: [number, number];
  output: EncodedFloats;
}

const FOLDER = 'test/fixtures/media';
const numbers = JSON.parse(readFileSync(`${FOLDER}/resizing.json`, 'utf8'));
const goldens = JSON.parse(readFileSync('test/fixtures/svd-goldens.json', 'utf8'));

describe('resizeLanczos', () => {
  for (const [width, height] of [
    [64, 48],
    [31, 17],
    [120, 90],
    [83, 61],
    [83, 30],
    [40, 61],
    [1, 1],
    [300, 2],
    [90, 60],
    [73, 40],
    [73, 41],
  ] as const) {
    it(`returns Pillow's bytes for a photograph of 83 x 61 at ${width} x ${height}`, async () => {
      const input = await loadImage(`${FOLDER}/resampled/input.png`);
      expect(resizeLanczos(input, width, height)).to.deep.equal(
        await loadImage(`${FOLDER}/resampled/${width}x${height}.png`),
      );
    });
  }

  for (const [sizes, expected] of Object.entries<{
    sum: number;
    row0_first4: number[][];
    last: number[][];
    mid: number[];
  }>(goldens.pil_lanczos)) {
    it(`returns the reference numbers for noise, ${sizes}`, () => {
      const [fromWidth, fromHeight, width, height] = sizes.match(/\d+/g)!.map(Number) as [
        number,
        number,
        number,
        number,
      ];
      const input = inputPicture('lanczos.img', fromWidth, fromHeight);
      const { data } = resizeLanczos(input, width, height);
      const pixel = (y: number, x: number) => [
        ...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
      ];
      expect(data.reduce((sum, value) => sum + value, 0)).to.equal(expected.sum);
      expect([0, 1, 2, 3].map((x) => pixel(0, x))).to.deep.equal(expected.row0_first4);
      expect([width - 2, width - 1].map((x) => pixel(height - 1, x))).to.deep.equal(expected.last);
      expect(pixel(height >> 1, width >> 1)).to.deep.equal(expected.mid);
    });
  }

  it('copies when the size stays', () => {
    const input = inputPicture('copy', 5, 4);
    const result = resizeLanczos(input, 5, 4);
    expect(result).to.deep.equal(input);
    expect(result.data).not.to.equal(input.data);
  });

  it('refuses impossible sizes', () => {
    const input = inputPicture('copy', 5, 4);
    for (const [width, height] of [
      [0, 4],
      [5, -1],
      [2.5, 4],
      [5, Number.NaN],
    ] as const) {
      expect(() => resizeLanczos(input, width, height)).to.throw(
        /have to be positive integers but are/,
      );
    }
  });
});

describe('resizeNearest', () => {
  for (const { from, to, indices } of numbers.nearest as {
    from: number;
    to: number;
    indices: number[];
  }[]) {
    it(`picks torch's indices from ${from} to ${to}, along both axes`, () => {
      const data = Float32Array.from({ length: from }, (_, i) => i);
      expect([...resizeNearest({ data, shape: [1, 1, from, 1] }, [1, to]).data]).to.deep.equal(
        indices,
      );
      expect([...resizeNearest({ data, shape: [1, from, 1, 1] }, [to, 1]).data]).to.deep.equal(
        indices,
      );
    });
  }

  it('keeps pictures and channels apart', () => {
    const input = { data: Float32Array.from({ length: 16 }, (_, i) => i), shape: [2, 2, 2, 2] };
    const { data, shape } = resizeNearest(input, [1, 4]);
    expect(shape).to.deep.equal([2, 1, 4, 2]);
    expect([...data]).to.deep.equal([0, 1, 0, 1, 2, 3, 2, 3, 8, 9, 8, 9, 10, 11, 10, 11]);
  });

  it('refuses an array without four axes', () => {
    expect(() => resizeNearest({ data: new Float32Array(12), shape: [2, 2, 3] }, [1, 1])).to.throw(
      /shape \[N, H, W, C\] but its shape is \[2, 2, 3\]/,
    );
  });
});

describe('resizeWithAntialiasing', () => {
  for (const { name, from, to, output } of numbers.antialiased as Antialiased[]) {
    it(`equals diffusers from ${from.join(' x ')} to ${to.join(' x ')}`, () => {
      const result = resizeWithAntialiasing(channelsLast(name, 2, 3, ...from), to);
      const expected = decodeFloats(output);
      expect(result.shape).to.deep.equal(expected.shape);
      expect(largestDifference(result.data, expected.data)).to.be.below(2e-6);
    });
  }

  for (const [sizes, expected] of Object.entries<Record<string, unknown>>(goldens.misc).filter(
    ([key]) => key.startsWith('('),
  )) {
    it(`returns the reference numbers, ${sizes}`, () => {
      const [h, w, height, width] = sizes.match(/\d+/g)!.map(Number) as [
        number,
        number,
        number,
        number,
      ];
      const { kernel_x, kernel_y, out } = expected as {
        kernel_x: number[];
        kernel_y: number[];
        out: Record<string, number & number[]>;
      };
      expect(largestDifference(gaussianKernel(w, width), kernel_x)).to.be.below(1e-7);
      expect(largestDifference(gaussianKernel(h, height), kernel_y)).to.be.below(1e-7);
      const result = channelsFirst(
        resizeWithAntialiasing(channelsLast('resize.x', 1, 3, h, w), [height, width]),
      );
      const half = result.length >> 1;
      expect(result.length).to.equal(out.numel);
      expect(result.reduce((sum, value) => sum + value, 0)).to.be.closeTo(out.sum!, 1e-3);
      expect(result.reduce((sum, value) => sum + Math.abs(value), 0)).to.be.closeTo(
        out.abs_sum!,
        1e-2,
      );
      expect(largestDifference(result.slice(0, 8), out.first8!)).to.be.below(2e-6);
      expect(largestDifference(result.slice(half, half + 4), out.mid4!)).to.be.below(2e-6);
      expect(largestDifference(result.slice(-4), out.last4!)).to.be.below(2e-6);
    });
  }

  it('refuses pictures that cannot be mirrored', () => {
    for (const [h, w] of [
      [1, 5],
      [5, 1],
      [1, 1],
    ] as const) {
      const input = { data: new Float32Array(h * w * 3), shape: [1, h, w, 3] };
      expect(() => resizeWithAntialiasing(input, [4, 4])).to.throw(
        `A picture of ${w} x ${h} pixels is too small`,
      );
    }
  });
});

/** The numbers named `name`, made for [N, C, H, W], as [N, H, W, C]. */
function channelsLast(name: string, n: number, c: number, h: number, w: number): FloatArray {
  const values = uniforms(name, n * c * h * w);
  const data = new Float32Array(values.length);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < c; k++) {
      for (let p = 0; p < h * w; p++)
        data[(i * h * w + p) * c + k] = values[(i * c + k) * h * w + p]!;
    }
  }
  return { data, shape: [n, h, w, c] };
}

/** One picture [1, H, W, C] in the order [1, C, H, W]. */
function channelsFirst({ data, shape }: FloatArray): number[] {
  const c = shape[3]!;
  return Array.from({ length: c }, (_, k) => [...data.filter((_, i) => i % c === k)]).flat();
}
