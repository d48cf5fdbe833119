/** Work in slices against the same work at once. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { inSlices, sliceBytes } from '../../src/ops/index.ts';
import { expectSame, named } from './random.ts';

describe('inSlices', () => {
  /** Entries, and how many of them fit into the budget at a time. */
  const cases: [n: number, atOnce: number, slices: number[]][] = [
    [6, 3, [3, 3]],
    [7, 3, [3, 3, 1]],
    [7, 4, [4, 3]],
    [3, 0, [1, 1, 1]],
    [3, 3, [3]],
  ];
  for (const [n, atOnce, slices] of cases) {
    it(`computes ${n} entries, ${atOnce} of which fit, in slices of ${slices}`, async () => {
      const inputs = [named('x', [n, 4, 3]), named('y', [n, 3])];
      const seen: number[] = [];
      const work = ([x, y]: tf.Tensor[]) => tf.add(tf.sum(tf.square(x), 1), y);
      const tensors = tf.memory().numTensors;
      await expectSame(
        () =>
          inSlices(inputs, atOnce === 0 ? 2 * sliceBytes() : sliceBytes() / atOnce, (parts) => {
            seen.push(parts[0].shape[0]);
            return work(parts);
          }),
        () => work(inputs),
      );
      expect(seen.slice(0, slices.length)).to.deep.equal(slices);
      expect(tf.memory().numTensors).to.equal(tensors);
      tf.dispose(inputs);
    });
  }
});
