/**
 * Layers inside TensorFlow.js models: sequential and functional, called, predicted with, saved and
 * loaded.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  Conv2d,
  Downsample2D,
  FeedForward,
  GroupNormalization,
  LayerNorm,
  Linear,
  ResnetBlock2D,
  SpatioTemporalResBlock,
  TemporalResnetBlock,
  TransformerSpatioTemporalModel,
  Upsample2D,
} from '../../src/layers/index.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { inputValues } from '../harness/nameHash.ts';
import { throughStorage } from '../harness/storage.ts';

const named = (name: string, shape: number[]) => tf.tensor(inputValues(name, shape).data, shape);

async function expectSame(a: tf.Tensor, b: tf.Tensor): Promise<void> {
  expect(a.shape).to.deep.equal(b.shape);
  expect(relativeL2(await a.data(), await b.data())).to.be.at.most(1e-6);
  tf.dispose([a, b]);
}

describe('layers in a sequential model', () => {
  const model = () =>
    tf.sequential({
      layers: [
        new Linear({ inFeatures: 6, outFeatures: 8, inputShape: [5, 6] }),
        new LayerNorm({ numChannels: 8 }),
        new FeedForward({ dim: 8, dimOut: 4 }),
        tf.layers.dense({ units: 2 }),
      ],
    });

  it('stand between other layers', async () => {
    const before = tf.memory().numTensors;
    const sequential = model();
    expect(sequential.outputs[0]!.shape).to.deep.equal([null, 5, 2]);
    const x = named('x', [3, 5, 6]);
    const expected = tf.tidy(() =>
      sequential.layers.reduce((h: tf.Tensor, layer) => layer.apply(h) as tf.Tensor, x),
    );
    await expectSame(sequential.predict(x) as tf.Tensor, expected);
    expect(sequential.countParams()).to.equal(
      6 * 8 + 8 + 2 * 8 + (8 * 64 + 64) + (32 * 4 + 4) + (4 * 2 + 2),
    );
    sequential.dispose();
    x.dispose();
    expect(tf.memory().numTensors - before).to.equal(0);
  });

  it('come back from storage with their weights', async () => {
    const sequential = model();
    const loaded = await throughStorage(sequential);
    expect(loaded.weights.map(({ shape }) => shape)).to.deep.equal(
      sequential.weights.map(({ shape }) => shape),
    );
    const x = named('x', [3, 5, 6]);
    await expectSame(loaded.predict(x) as tf.Tensor, sequential.predict(x) as tf.Tensor);
    sequential.dispose();
    loaded.dispose();
    x.dispose();
  });

  it('work on pictures', async () => {
    const sequential = tf.sequential({
      layers: [
        new Conv2d({ inChannels: 3, outChannels: 8, padding: 1, inputShape: [8, 12, 3] }),
        new GroupNormalization({ numChannels: 8, numGroups: 4 }),
        new ResnetBlock2D({ inChannels: 8, outChannels: 16, groups: 4 }),
        new Downsample2D({ channels: 16 }),
      ],
    });
    expect(sequential.outputs[0]!.shape).to.deep.equal([null, 4, 6, 16]);
    const y = tf.tidy(() => sequential.predict(named('x', [2, 8, 12, 3])) as tf.Tensor);
    expect(y.shape).to.deep.equal([2, 4, 6, 16]);
    y.dispose();
    sequential.dispose();
  });
});

describe('layers in a functional model', () => {
  const numFrames = 2;

  /** A model of two inputs whose layers are told the number of frames. */
  function video() {
    const [x, temb, context] = [
      tf.input({ shape: [4, 4, 32] }),
      tf.input({ shape: [16] }),
      tf.input({ shape: [1, 8] }),
    ];
    const layers = [
      new SpatioTemporalResBlock({ inChannels: 32, tembChannels: 16 }),
      new TransformerSpatioTemporalModel({
        inChannels: 32,
        numAttentionHeads: 2,
        attentionHeadDim: 16,
        crossAttentionDim: 8,
      }),
      new TemporalResnetBlock({ inChannels: 32 }),
    ] as const;
    const h = layers[0].apply([x, temb], { numFrames }) as tf.SymbolicTensor;
    const attended = layers[1].apply([h, context], { numFrames }) as tf.SymbolicTensor;
    const y = layers[2].apply(attended, { numFrames }) as tf.SymbolicTensor;
    return { layers, model: tf.model({ inputs: [x, temb, context], outputs: y }) };
  }

  const inputs = () =>
    [named('x', [4, 4, 4, 32]), named('temb', [4, 16]), named('context', [4, 1, 8])] as const;

  it('take several inputs and the number of frames', async () => {
    const { layers, model } = video();
    expect(model.outputs[0]!.shape).to.deep.equal([null, 4, 4, 32]);
    const [x, temb, context] = inputs();
    const direct = () =>
      tf.tidy(() => {
        const h = layers[0].call([x, temb], { numFrames });
        return layers[2].call(layers[1].call([h, context], { numFrames }), { numFrames });
      });
    await expectSame(model.predict([x, temb, context], { batchSize: 4 }) as tf.Tensor, direct());
    await expectSame(model.apply([x, temb, context]) as tf.Tensor, direct());
    tf.dispose([x, temb, context]);
    model.dispose();
  });

  it('come back from storage with the number of frames', async () => {
    const { model } = video();
    const loaded = await throughStorage(model);
    const [x, temb, context] = inputs();
    const outputs = [model, loaded].map(
      (one) => one.predict([x, temb, context], { batchSize: 4 }) as tf.Tensor,
    );
    await expectSame(outputs[0]!, outputs[1]!);
    tf.dispose([x, temb, context]);
    model.dispose();
    loaded.dispose();
  });

  it('know the size that an upsampler is told', () => {
    const x = tf.input({ shape: [3, 4, 8] });
    const y = new Upsample2D({ channels: 8 }).apply(x, { outputSize: [5, 7] });
    const model = tf.model({
      inputs: x,
      outputs: new Conv2d({ inChannels: 8, outChannels: 2 }).apply(y),
    });
    expect(model.outputs[0]!.shape).to.deep.equal([null, 3, 5, 2]); // a 3x3 kernel without padding
    const frames = tf.zeros([1, 3, 4, 8]);
    const predicted = model.predict(frames) as tf.Tensor;
    expect(predicted.shape).to.deep.equal([1, 3, 5, 2]);
    tf.dispose([frames, predicted]);
    model.dispose();
  });

  it('mix as many frames as each place says where one layer stands in several', async () => {
    const layer = new TemporalResnetBlock({ inChannels: 32 });
    const x = tf.input({ shape: [2, 2, 32] });
    const y = layer.apply(layer.apply(x, { numFrames: 1 }), { numFrames: 2 }) as tf.SymbolicTensor;
    const model = tf.model({ inputs: x, outputs: y });
    const frames = named('frames', [2, 2, 2, 32]);
    const expected = tf.tidy(() =>
      layer.apply(layer.apply(frames, { numFrames: 1 }), { numFrames: 2 }),
    );
    await expectSame(model.predict(frames) as tf.Tensor, expected);
    frames.dispose();
    model.dispose();
  });
});
