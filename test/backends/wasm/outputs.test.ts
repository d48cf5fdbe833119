/** The wasm backend refuses what it would answer with memory that nobody has written to. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { testBackend } from '../../setup.ts';

const picture = () => tf.ones<tf.Rank.R4>([1, 2, 2, 3]);
const filter = (size: number) => tf.ones<tf.Rank.R4>([size, size, 3, 3]);

/** Operations without a right answer, and a part of what is said. */
const cases: Record<string, [() => tf.Tensor, string]> = {
  'a part beyond the end': [
    () => tf.slice(tf.ones([4, 2]), [3, 0], [2, 2]),
    'cannot compute Slice: a tensor of shape [4,2] has no part of shape [2,2] at [3,0].',
  ],
  'a filter larger than its input': [
    () => tf.conv2d(picture(), filter(5), 1, 'valid'),
    'cannot make a tensor of shape [1,-2,-2,3]: an input may be smaller than the kernel that runs ' +
      'over it.',
  ],
  'a fused filter larger than its input': [
    () => tf.fused.conv2d({ x: picture(), filter: filter(9), strides: 1, pad: 'valid' }),
    'cannot make a tensor of shape [1,-6,-6,3]',
  ],
  'a window larger than its input': [
    () => tf.avgPool(picture(), 5, 1, 'valid'),
    'cannot make a tensor of shape [1,-2,-2,3]',
  ],
  'a size that is no number': [
    () => tf.image.resizeNearestNeighbor(picture(), [Number.NaN, 2]),
    'cannot make a tensor of shape [1,NaN,2,3]',
  ],
  'negative padding': [() => tf.pad(tf.ones([4]), [[-1, 0]]), 'its paddings are [-1,0].'],
  'the mean of nothing': [
    () => tf.mean(tf.zeros([2, 0, 3]), 1),
    'cannot compute Mean: a tensor of shape [2,0,3] has no values.',
  ],
  'the sum of nothing': [() => tf.sum(tf.zeros([0])), 'cannot compute Sum'],
  'the largest of nothing': [() => tf.max(tf.zeros([0])), 'cannot compute Max'],
  'products over nothing': [() => tf.matMul(tf.zeros([2, 0]), tf.zeros([0, 2])), 'has no values'],
  'a bias of another width': [
    () => tf.fused.matMul({ a: tf.ones([2, 2]), b: tf.ones([2, 3]), bias: tf.ones([1]) }),
    'cannot compute _FusedMatMul: a bias of shape [1] does not fit 3 outputs.',
  ],
  'a choice between two types': [
    () => tf.where(tf.tensor1d([1, 0], 'bool'), tf.tensor1d([1, 2], 'int32'), tf.ones([2])),
    'cannot compute Select: it chooses between int32 and float32.',
  ],
};

describe('the wasm backend', () => {
  for (const [what, [compute, message]] of Object.entries(cases)) {
    it(`refuses ${what}`, function () {
      if (testBackend !== 'wasm') this.skip();
      const before = tf.memory().numTensors;
      expect(() => tf.tidy(() => void compute())).to.throw(message);
      expect(tf.memory().numTensors).to.equal(before);
    });
  }

  it('still takes tensors without values where the result has none or is known', async function () {
    if (testBackend !== 'wasm') this.skip();
    const results = tf.tidy(() => [
      tf.concat([tf.zeros([0, 2]), tf.ones([1, 2])]),
      tf.pad(tf.zeros([0]), [[1, 1]]),
      tf.slice(tf.ones([3]), [3], [0]),
    ]);
    expect(results.map((tensor) => Array.from(tensor.dataSync()))).to.deep.equal([
      [1, 1],
      [0, 0],
      [],
    ]);
    tf.dispose(results);
  });
});
