/**
 * Normalisations against their formulas in double precision, also where the mean is large against
 * the deviation.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { groupNorm, layerNorm, useFormulations } from '../../src/ops/index.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { testFormulation } from '../setup.ts';
import { expectSame, named } from './random.ts';

const TOLERANCE = 1e-5;

/** Normalises the entries of `x` that share the key `groupOf` gives them, in double precision. */
function normalise(
  x: ArrayLike<number>,
  groupOf: (index: number) => number,
  eps: number,
): number[] {
  const groups = new Map<number, { sum: number; count: number; squares: number }>();
  const values = Array.from(x);
  const group = (i: number) => {
    const key = groupOf(i);
    if (!groups.has(key)) groups.set(key, { sum: 0, count: 0, squares: 0 });
    return groups.get(key)!;
  };
  for (const [i, value] of values.entries()) {
    group(i).sum += value;
    group(i).count++;
  }
  const centred = values.map((value, i) => value - group(i).sum / group(i).count);
  for (const [i, value] of centred.entries()) group(i).squares += value ** 2;
  return centred.map((value, i) => value / Math.sqrt(group(i).squares / group(i).count + eps));
}

/**
 * Float32 keeps about seven digits of a value; the rest of a deviation on top of a large mean is
 * gone before we see it.
 */
const means = { 'mean 0': 0, 'mean 50': 50, 'mean -1000': -1000 };

describe('groupNorm', () => {
  for (const [what, mean] of Object.entries(means)) {
    for (const [shape, groups, eps] of [
      [[2, 6, 5, 12], 4, 1e-5],
      [[3, 8, 6], 6, 1e-6],
      [[1, 2, 12, 10, 32], 32, 1e-6],
    ] as [number[], number, number][]) {
      it(`of [${shape}] in ${groups} groups, ${what}`, async () => {
        const channels = shape.at(-1)!;
        const perItem = tf.util.sizeFromShape(shape) / shape[0]!;
        const x = named('x', shape, mean - 2, mean + 2);
        const [gain, bias] = [
          named<tf.Tensor1D>('gain', [channels], 0.5, 1.5),
          named<tf.Tensor1D>('bias', [channels]),
        ];
        const groupOf = (i: number) =>
          Math.floor(i / perItem) * groups + Math.floor((i % channels) / (channels / groups));
        const [values, gains, biases] = await Promise.all([x.data(), gain.data(), bias.data()]);
        const expected = normalise(values, groupOf, eps).map(
          (v, i) => v * gains[i % channels]! + biases[i % channels]!,
        );
        const ours = groupNorm(x, gain, bias, groups, eps);
        expect(ours.shape).to.deep.equal(shape);
        expect(relativeL2(await ours.data(), expected)).to.be.at.most(
          mean === 0 ? TOLERANCE : TOLERANCE * 10,
        );
        tf.dispose([x, gain, bias, ours]);
      });
    }
  }

  it('is the same with plain formulations', async () => {
    const x = named('x', [2, 16, 24, 64], -1, 2);
    const [gain, bias] = [named<tf.Tensor1D>('gain', [64]), named<tf.Tensor1D>('bias', [64])];
    await expectSame(
      () => groupNorm(x, gain, bias, 32, 1e-5),
      () => {
        useFormulations('plain');
        try {
          return groupNorm(x, gain, bias, 32, 1e-5);
        } finally {
          useFormulations(testFormulation);
        }
      },
    );
    tf.dispose([x, gain, bias]);
  });
});

describe('layerNorm', () => {
  for (const [what, mean] of Object.entries(means)) {
    it(`over the last axis, ${what}`, async () => {
      const shape = [2, 5, 33];
      const x = named('x', shape, mean - 2, mean + 2);
      const [gain, bias] = [
        named<tf.Tensor1D>('gain', [33], 0.5, 1.5),
        named<tf.Tensor1D>('bias', [33]),
      ];
      const [values, gains, biases] = await Promise.all([x.data(), gain.data(), bias.data()]);
      const expected = normalise(values, (i) => Math.floor(i / 33), 1e-5).map(
        (v, i) => v * gains[i % 33]! + biases[i % 33]!,
      );
      const ours = layerNorm(x, gain, bias, 1e-5);
      expect(ours.shape).to.deep.equal(shape);
      expect(relativeL2(await ours.data(), expected)).to.be.at.most(
        mean === 0 ? TOLERANCE : TOLERANCE * 10,
      );
      tf.dispose([x, gain, bias, ours]);
    });
  }
});
