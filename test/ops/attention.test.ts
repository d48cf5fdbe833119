/** Attention against its formula in double precision, and in slices against the whole. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { dryRun } from '../../src/memory/shapes/dryRun.ts';
import { attendInSlices, attention, queryScale, temporalAttention } from '../../src/ops/index.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { inputValues } from '../harness/nameHash.ts';
import { expectSame, named } from './random.ts';

const TOLERANCE = 1e-5;

interface Matrix {
  rows: number;
  at: (row: number, channel: number) => number;
}

/** `softmax(q k^T / sqrt(d)) v` of one head in double precision, row by row. */
function attendExactly(q: Matrix, k: Matrix, v: Matrix, d: number): number[][] {
  const dot = (i: number, j: number) =>
    Array.from({ length: d }, (_, c) => q.at(i, c) * k.at(j, c)).reduce((sum, x) => sum + x, 0);
  return Array.from({ length: q.rows }, (_, i) => {
    const scores = Array.from({ length: k.rows }, (_, j) => dot(i, j) / Math.sqrt(d));
    const most = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((sum, w) => sum + w, 0);
    return Array.from(
      { length: d },
      (_, c) => weights.reduce((sum, w, j) => sum + w * v.at(j, c), 0) / total,
    );
  });
}

/** Tensors as `attention` wants them. */
const projectionsOf = ([q, k, v]: tf.Tensor[], d: number) => ({
  q: () => tf.mul(q, queryScale(d)),
  k: () => k,
  v: () => v,
});

describe('attention', () => {
  it('equals its formula, head by head', async () => {
    const [b, n, m, heads, d] = [2, 5, 7, 3, 4];
    const shapes = { q: [b, n, heads * d], k: [b, m, heads * d], v: [b, m, heads * d] };
    const values = Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, inputValues(name, shape, -3, 3).data]),
    );
    const matrix = (name: 'q' | 'k' | 'v', item: number, head: number): Matrix => ({
      rows: shapes[name][1]!,
      at: (row, channel) =>
        values[name]![(item * shapes[name][1]! + row) * heads * d + head * d + channel]!,
    });
    const expected = new Float64Array(b * n * heads * d);
    for (let item = 0; item < b; item++) {
      for (let head = 0; head < heads; head++) {
        const rows = attendExactly(
          matrix('q', item, head),
          matrix('k', item, head),
          matrix('v', item, head),
          d,
        );
        for (const [i, row] of rows.entries())
          expected.set(row, (item * n + i) * heads * d + head * d);
      }
    }
    const inputs = (['q', 'k', 'v'] as const).map((name) =>
      named<tf.Tensor3D>(name, shapes[name], -3, 3),
    );
    const ours = attention(projectionsOf(inputs, d), heads);
    expect(ours.shape).to.deep.equal(shapes.q);
    expect(relativeL2(await ours.data(), expected)).to.be.at.most(TOLERANCE);
    tf.dispose([ours, ...inputs]);
  });

  it('over frames equals attention with the pixels in front, as diffusers arranges them', async () => {
    const [batch, frames, n, heads, c] = [2, 3, 5, 2, 8];
    const inputs = ['q', 'k', 'v'].map((name) =>
      named<tf.Tensor3D>(name, [batch * frames, n, c], -2, 2),
    );
    const moved = (x: tf.Tensor) =>
      tf.reshape(tf.transpose(tf.reshape(x, [batch, frames, n, c]), [0, 2, 1, 3]), [
        batch * n,
        frames,
        c,
      ]) as tf.Tensor3D;
    await expectSame(
      () => temporalAttention(projectionsOf(inputs, c / heads), heads, frames),
      () => {
        const out = attention(projectionsOf(inputs.map(moved), c / heads), heads);
        return tf.reshape(tf.transpose(tf.reshape(out, [batch, n, frames, c]), [0, 2, 1, 3]), [
          batch * frames,
          n,
          c,
        ]);
      },
    );
    tf.dispose(inputs);
  });
});

describe('attention in slices', () => {
  /**
   * Bytes of scores against a budget: several matrices, one, a part of one, and a single row at a
   * time; and one matrix alone.
   */
  const cases: [g: number, n: number, m: number, budget: number][] = [
    [7, 6, 5, 3 * 6 * 5 * 4],
    [7, 6, 5, 6 * 5 * 4],
    [3, 10, 8, 4 * 8 * 4],
    [2, 5, 8, 1],
    [1, 10, 8, 3 * 8 * 4],
    [3, 70, 66, 32 * 66 * 4],
  ];
  for (const [g, n, m, budget] of cases) {
    it(`of ${g} matrices of ${n}x${m} scores in ${budget} bytes`, async () => {
      const inputs = [named('q', [g, n, 4]), named('k', [g, m, 4]), named('v', [g, m, 4])];
      const [q, k, v] = inputs as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
      await expectSame(
        () => attendInSlices(q, k, v, budget),
        () => attendInSlices(q, k, v),
      );
      const { kernels } = await tf.profile(() => tf.tidy(() => attendInSlices(q, k, v, budget)));
      const scores = kernels
        .filter(({ name }) => name === 'Softmax')
        .flatMap(({ outputShapes }) => outputShapes);
      const rows = Math.max(budget, m * 4);
      expect(scores.length, 'slices').to.be.above(1);
      for (const shape of scores)
        expect(4 * tf.util.sizeFromShape(shape as number[]), `bytes of [${shape}]`).to.be.at.most(
          rows,
        );
      tf.dispose(inputs);
    });
  }

  it('takes as many matrices at a time as one dispatch of WebGPU does', () => {
    const { largestBytes } = dryRun('webgpu', (input) => {
      const [q, k, v] = [0, 1, 2].map(() => input(70_000, 8, 2) as tf.Tensor3D);
      return attendInSlices(q, k, v);
    });
    expect(largestBytes, 'the scores').to.equal(65535 * 8 * 8 * 4);
  });

  it('computes scores within the largest tensor that the device takes', async () => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => named<tf.Tensor3D>(name, [4, 64, 8]));
    const whole = attendInSlices(q, k, v);
    const backend = tf.backend() as { tensorBytes?: number };
    const { tensorBytes } = backend;
    backend.tensorBytes = 64 * 64 * 4 + 100; // one matrix of scores
    try {
      const { kernels } = await tf.profile(() => attendInSlices(q, k, v));
      const largest = kernels.flatMap(({ outputShapes }) => outputShapes as number[][]);
      const most = Math.max(...largest.map((shape) => 4 * tf.util.sizeFromShape(shape)));
      expect(most).to.be.at.most(backend.tensorBytes);
      await expectSame(
        () => attendInSlices(q, k, v),
        () => whole,
      );
    } finally {
      backend.tensorBytes = tensorBytes;
    }
  });
});
