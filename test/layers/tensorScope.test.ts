/** What a `TensorScope` frees, and when. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { Conv2d, type Steps, TensorScope } from '../../src/layers/index.ts';
import { UNetMidBlock2D } from '../../src/models/index.ts';

describe('TensorScope', () => {
  const conv = new Conv2d({ name: 'conv', inChannels: 32, outChannels: 32, padding: 1 });
  const block = new UNetMidBlock2D({ name: 'mid_block', inChannels: 32 });

  function* pass(x: tf.Tensor): Steps<tf.Tensor> {
    using scope = new TensorScope();
    const h = yield* scope.run(conv, [x]);
    const doubled = yield* scope.run(conv, () => [tf.mul(h, 2)]);
    return scope.release(yield* scope.run(block, [doubled]));
  }

  let x: tf.Tensor;
  let before: number;

  beforeEach(() => {
    conv.build();
    block.build();
    x = tf.ones([1, 4, 6, 32]);
    before = tf.memory().numTensors;
  });

  afterEach(() => x.dispose());
  after(() => {
    conv.dispose();
    block.dispose();
  });

  it('runs layers as steps and stepwise blocks in their own', () => {
    const paths = tf.tidy(() => [...pass(x)]);
    const parts = ['resnets.0', 'attentions.0', 'resnets.1'].map((name) => `mid_block.${name}`);
    expect(paths).to.deep.equal(['conv', 'conv', ...parts]);
  });

  it('frees what it holds when the computation ends, wherever it is stopped', () => {
    for (let finished = 0; finished < 5; finished++) {
      const steps = pass(x);
      for (let i = 0; i <= finished; i++) steps.next();
      steps.return(x);
      expect(tf.memory().numTensors, `stopped in step ${finished}`).to.equal(before);
    }
  });

  it('frees what it holds when the computation fails', () => {
    const kept: tf.Tensor[] = [];
    const fail = () => {
      using scope = new TensorScope();
      kept.push(scope.keep(tf.ones([2])));
      kept.push(scope.tidy(() => tf.add(kept[0]!, 1)));
      throw new Error('stop');
    };
    expect(fail).to.throw('stop');
    expect(kept.map((tensor) => tensor.isDisposed)).to.deep.equal([true, true]);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('hands over what it releases, and frees only what it holds', () => {
    const result = (() => {
      using scope = new TensorScope();
      const once = scope.tidy(() => tf.add(x, 1));
      scope.free(x);
      const twice = scope.replace(
        once,
        scope.tidy(() => tf.add(once, 1)),
      );
      expect(once.isDisposed).to.equal(true);
      expect(scope.replace(twice, twice).isDisposed).to.equal(false);
      return scope.release(twice);
    })();
    expect(x.isDisposed).to.equal(false);
    expect(result.isDisposed).to.equal(false);
    result.dispose();
    expect(tf.memory().numTensors).to.equal(before);
  });
});
