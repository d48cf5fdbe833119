/** Layers that stand in several places, or in several models, each with its own call arguments. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  type CallArgs,
  TemporalConv,
  UpBlockSpatioTemporal,
  Upsample2D,
} from '../../src/layers/index.ts';
import { fillByName, inputValues } from '../harness/nameHash.ts';
import { throughStorage } from '../harness/storage.ts';
import { testBackend } from '../setup.ts';

const picture = () => tf.input({ shape: [4, 4, 8] });
const frames = (count = 8) =>
  tf.tensor(inputValues('frames', [count, 4, 4, 8]).data, [count, 4, 4, 8]);

/** Runs `model` on `x` at once, and expects the values of `expected`. */
async function expectSame(model: tf.LayersModel, x: tf.Tensor, expected: tf.Tensor) {
  const y = model.predict(x, { batchSize: 8 }) as tf.Tensor;
  expect(y.shape).to.deep.equal(expected.shape);
  expect(await y.data()).to.deep.equal(await expected.data());
  tf.dispose(y);
}

describe('one layer in several places', () => {
  it('upsamples to the size of each place, as the model declares, also after saving', async () => {
    const before = tf.memory().numTensors;
    const up = new Upsample2D({ channels: 8 });
    const input = picture();
    const small = up.apply(input, { outputSize: [7, 9] });
    const twice = up.apply(input);
    const large = up.apply(small, { outputSize: [11, 13] });
    const model = tf.model({ inputs: input, outputs: [large, twice] });
    const x = frames(2);
    const expected = tf.tidy(() => [
      up.apply(up.apply(x, { outputSize: [7, 9] }), { outputSize: [11, 13] }),
      up.apply(x),
    ]);
    const loaded = await throughStorage(model);
    for (const one of [model, loaded]) {
      expect(one.outputs.map(({ shape }) => shape.slice(1, 3))).to.deep.equal([
        [11, 13],
        [8, 8],
      ]);
      const outputs = one.predict(x) as tf.Tensor[];
      for (const [i, output] of outputs.entries())
        expect(await output.data()).to.deep.equal(await expected[i]!.data());
      tf.dispose(outputs);
    }
    tf.dispose([x, expected]);
    // TensorFlow.js counts each place as a use of the layer.
    for (const layer of [up, loaded.layers.at(-1)!])
      while (layer.dispose().refCountAfterDispose > 0);
    expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
  });

  it('mixes clips of different length, in one model and in several', async () => {
    const conv = new TemporalConv({ inChannels: 8, outChannels: 8 });
    const x = frames();
    const modelOf = (...calls: CallArgs[]) => {
      const input = picture();
      const outputs = calls.reduce((h, kwargs) => conv.apply(h, kwargs), input);
      return tf.model({ inputs: input, outputs });
    };
    const eager = (...lengths: number[]) =>
      tf.tidy(() => lengths.reduce<tf.Tensor>((h, numFrames) => conv.apply(h, { numFrames }), x));
    const models = [[2], [4], [8, 2]].map((lengths) => ({
      model: modelOf(...lengths.map((numFrames) => ({ numFrames }))),
      expected: eager(...lengths),
    }));
    for (const { model, expected } of [...models, ...models]) await expectSame(model, x, expected);
    for (const { model, expected } of models)
      await expectSame(await throughStorage(model), x, expected);
  });

  it('keeps its call arguments in a model inside another model', async () => {
    const up = new Upsample2D({ name: 'up', channels: 8 });
    const input = picture();
    const inner = tf.model({ inputs: input, outputs: up.apply(input, { outputSize: [5, 6] }) });
    const outer = tf.sequential({
      layers: [tf.layers.inputLayer({ inputShape: [4, 4, 8] }), inner, tf.layers.flatten()],
    });
    expect(outer.outputs[0]!.shape).to.deep.equal([null, 5 * 6 * 8]);
    const x = frames(2);
    const expected = tf.tidy(() => tf.reshape(up.apply(x, { outputSize: [5, 6] }), [2, 5 * 6 * 8]));
    await expectSame(outer, x, expected);
    // The same layer elsewhere, with another size.
    const other = picture();
    const wide = tf.model({ inputs: other, outputs: up.apply(other, { outputSize: [9, 9] }) });
    expect(inner.computeOutputShape([null, 4, 4, 8])).to.deep.equal([null, 5, 6, 8]);
    expect(wide.computeOutputShape([null, 4, 4, 8])).to.deep.equal([null, 9, 9, 8]);
    await expectSame(outer, x, expected);
  });

  it('gives nothing of a place to calls outside of models', () => {
    const up = new Upsample2D({ channels: 8 });
    const conv = new TemporalConv({ inChannels: 8, outChannels: 8 });
    const input = picture();
    const placed = conv.apply(up.apply(input, { outputSize: [5, 6] }), { numFrames: 2 });
    const model = tf.model({ inputs: input, outputs: placed });
    expect(up.computeOutputShape([2, 4, 4, 8])).to.deep.equal([2, 8, 8, 8]);
    tf.tidy(() => {
      const x = frames(2);
      expect(up.apply(x).shape).to.deep.equal([2, 8, 8, 8]);
      expect((model.predict(x) as tf.Tensor).shape).to.deep.equal([2, 5, 6, 8]);
      expect(up.apply(x).shape).to.deep.equal([2, 8, 8, 8]);
      expect(() => conv.apply(x)).to.throw('but is undefined');
      // A model that fails half-way.
      expect(() => model.predict(frames(3))).to.throw('divides the batch of 3 frames but is 2.');
      expect(up.apply(x).shape).to.deep.equal([2, 8, 8, 8]);
    });
    model.dispose();
  });

  it('has call arguments that a call of the whole model overrides', () => {
    const conv = new TemporalConv({ inChannels: 8, outChannels: 8 });
    const input = picture();
    const model = tf.model({ inputs: input, outputs: conv.apply(input, { numFrames: 2 }) });
    tf.tidy(() => {
      const x = frames(6);
      const [all, expected] = [
        model.apply(x, { numFrames: 6 } as never) as tf.Tensor,
        conv.apply(x, { numFrames: 6 }),
      ];
      expect(all.dataSync()).to.deep.equal(expected.dataSync());
    });
    model.dispose();
  });

  it('has them in training, also in a copy whose frozen part stays as it was', async function () {
    if (testBackend === 'wasm') this.skip(); // it has no gradients of convolutions
    const conv = new TemporalConv({ name: 'conv', inChannels: 8, outChannels: 8 });
    const up = new Upsample2D({ name: 'up', channels: 8 });
    const input = picture();
    const mixed = conv.apply(conv.apply(input, { numFrames: 2 }), { numFrames: 4 });
    const sized = up.apply(up.apply(mixed, { outputSize: [5, 6] }), { outputSize: [7, 3] });
    const model = tf.model({ inputs: input, outputs: sized });
    for (const layer of [conv, up]) await fillByName(layer);
    up.trainable = false;
    const loaded = await throughStorage(model);
    const [x, y] = [frames(), tf.ones([8, 7, 3, 8])];
    for (const one of [model, loaded]) {
      const weightsOf = (name: string) =>
        Promise.all(one.getLayer(name).weights.map((weight) => weight.read().data()));
      const [frozen, free] = [await weightsOf('up'), await weightsOf('conv')];
      one.compile({ optimizer: tf.train.sgd(1e-3), loss: 'meanSquaredError' });
      const { history } = await one.fit(x, y, {
        ...{ epochs: 3, batchSize: 8, shuffle: false, verbose: 0 },
      });
      expect(history.loss!.at(-1)).to.be.below(history.loss![0] as number);
      expect(await weightsOf('up')).to.deep.equal(frozen);
      expect(await weightsOf('conv')).not.to.deep.equal(free);
    }
    tf.dispose([x, y]);
  });

  it('takes its size in an up block, too', async () => {
    const block = new UpBlockSpatioTemporal({
      ...{ inChannels: 32, prevOutputChannel: 32, outChannels: 32, tembChannels: 8 },
    });
    const inputs = [[4, 4, 32], [8], [4, 4, 32]].map((shape) => tf.input({ shape }));
    const outputs = [
      block.apply(inputs, { numFrames: 2, upsampleSize: [7, 5] }),
      block.apply(inputs, { numFrames: 1 }),
    ];
    const model = tf.model({ inputs, outputs });
    expect(model.outputs.map(({ shape }) => shape.slice(1, 3))).to.deep.equal([
      [7, 5],
      [8, 8],
    ]);
    tf.tidy(() => {
      const tensors = inputs.map(({ shape }) => tf.ones([2, ...(shape.slice(1) as number[])]));
      const shapes = (model.predict(tensors) as tf.Tensor[]).map(({ shape }) => shape);
      expect(shapes).to.deep.equal([
        [2, 7, 5, 32],
        [2, 8, 8, 32],
      ]);
    });
    model.dispose();
  });
});
