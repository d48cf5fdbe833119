/** Functions in a row: what they return, what they free, and their gradient. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { sequential, silu } from '../../src/ops/index.ts';
import { expectSame, named } from './random.ts';

describe('sequential', () => {
  let x: tf.Tensor;
  let other: tf.Tensor;

  beforeEach(() => {
    x = named('x', [2, 3]);
    other = named('other', [2, 3]);
  });
  afterEach(() => tf.dispose([x, other]));

  const double = (h: tf.Tensor) => tf.mul(h, 2);

  it('applies its functions in order', async () => {
    await expectSame(
      () => sequential(x, double, silu, (h) => tf.add(h, other)),
      () => tf.add(silu(double(x)), other),
    );
  });

  it('frees each result once the next exists, and nothing of the caller', () => {
    const before = tf.memory().numTensors;
    const seen: tf.Tensor[] = [];
    const watched = (h: tf.Tensor) => {
      expect(seen.slice(1, -1).every(({ isDisposed }) => isDisposed)).to.equal(true);
      seen.push(h);
      return tf.add(h, 1);
    };
    const y = sequential(x, watched, watched, watched, watched);
    expect(seen.map(({ isDisposed }) => isDisposed)).to.deep.equal([false, true, true, true]);
    y.dispose();
    expect(sequential(x)).to.equal(x);
    expect(
      sequential(
        x,
        double,
        (h) => h,
        () => other,
        () => x,
      ),
    ).to.equal(x);
    expect([x, other].map(({ isDisposed }) => isDisposed)).to.deep.equal([false, false]);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('has the gradient of its functions', async () => {
    const gradient = (f: (x: tf.Tensor) => tf.Tensor) => () => tf.grad(f)(x);
    await expectSame(
      gradient((h) => sequential(h, double, silu, tf.square)),
      gradient((h) => tf.square(silu(double(h)))),
    );
  });
});
