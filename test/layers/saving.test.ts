/** What survives saving a model of layers: what is frozen, computed in, and given at the start. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  AlphaBlender,
  type AnyBlock,
  Block,
  FeedForward,
  type LayerArgs,
  Linear,
  SpatioTemporalResBlock,
} from '../../src/layers/index.ts';
import { AutoencoderKLTemporalDecoder } from '../../src/models/index.ts';
import { layerSamples, modelOf } from '../harness/layerSamples.ts';
import { throughStorage } from '../harness/storage.ts';
import { testBackend } from '../setup.ts';

/** A layer and all inside it. */
const all = (layer: AnyBlock): AnyBlock[] => [layer, ...layer.children.flatMap(all)];

const stateOf = (layer: AnyBlock) =>
  all(layer).map(({ name, trainable, computeDtype }) => ({ name, trainable, computeDtype }));

/** The layer after it has been written to a configuration, and after that was JSON. */
function copies(layer: AnyBlock): AnyBlock[] {
  const Class = layer.constructor as unknown as typeof Linear;
  const config = JSON.parse(JSON.stringify(layer.getConfig()));
  const [once, twice] = [Class.fromConfig(Class, config), new Class(config)] as AnyBlock[];
  return [once!, twice!, Class.fromConfig(Class, once!.getConfig()) as AnyBlock];
}

const trainableNames = (model: tf.LayersModel) =>
  model.trainableWeights.map(({ originalName }) => originalName).sort();

/** Saves and loads a model of one layer. */
async function reloaded(
  model: tf.LayersModel,
): Promise<{ model: tf.LayersModel; layer: AnyBlock }> {
  const loaded = await throughStorage(model);
  return { model: loaded, layer: loaded.layers.at(-1) as AnyBlock };
}

const video = (block: AnyBlock) => {
  const input = tf.input({ shape: [4, 4, 32] });
  return tf.model({ inputs: input, outputs: block.apply(input, { numFrames: 2 }) as never });
};

describe('saved layers', () => {
  for (const [name, sample] of Object.entries(layerSamples)) {
    it(`${name}: keep what is frozen inside them, at any depth`, async () => {
      const before = tf.memory().numTensors;
      const layer = sample.make('mine');
      const model = modelOf(sample, layer);
      // Every third layer frozen, and in each of them the first one thawed.
      for (const [i, inner] of all(layer).slice(1).entries()) {
        if (i % 3 !== 0) continue;
        inner.trainable = false;
        if (inner.children[0]) inner.children[0].trainable = true;
      }
      const state = stateOf(layer);
      for (const copy of copies(layer)) expect(stateOf(copy)).to.deep.equal(state);
      const { model: loaded, layer: twin } = await reloaded(model);
      expect(stateOf(twin)).to.deep.equal(state);
      expect(trainableNames(loaded)).to.deep.equal(trainableNames(model));
      model.dispose();
      loaded.dispose();
      expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
    });
  }

  it('keep what is thawed inside of a frozen one', async () => {
    const block = new SpatioTemporalResBlock({ inChannels: 32 });
    const model = video(block);
    block.trainable = false;
    all(block).at(-1)!.trainable = true;
    expect(model.trainableWeights).to.have.lengthOf(1);
    const { model: loaded, layer } = await reloaded(model);
    expect(trainableNames(loaded)).to.deep.equal(trainableNames(model));
    expect(stateOf(layer)).to.deep.equal(stateOf(block));
    for (const one of [model, loaded]) one.dispose();
  });

  it('say nothing of the layers inside them that are as they were made', () => {
    const block = new SpatioTemporalResBlock({ name: 'mine', inChannels: 32 });
    const config = { name: 'mine', trainable: true, inChannels: 32 };
    expect(block.getConfig()).to.deep.equal(config);
    block.trainable = false;
    expect(block.getConfig()).to.deep.equal({ ...config, trainable: false });
    block.trainable = true;
    block.children[0]!.trainable = false;
    expect(block.getConfig()).to.have.property('sublayers').with.lengthOf(1);
    block.trainable = true;
    expect(block.getConfig()).to.deep.equal(config);
  });

  it('keep frozen weights out of an optimizer that takes all variables', async function () {
    if (testBackend === 'wasm') this.skip(); // slow on neither, and enough on one
    const block = new Linear({ inFeatures: 2, outFeatures: 2, inputShape: [2], trainable: false });
    const loaded = await throughStorage(tf.sequential({ layers: [block] }));
    const values = () => Promise.all(loaded.weights.map((weight) => weight.read().data()));
    const before = await values();
    const free = tf.variable(tf.scalar(1));
    const x = tf.ones([1, 2]);
    const optimizer = tf.train.sgd(0.1);
    optimizer.minimize(() => tf.sum(tf.mul(loaded.apply(x) as tf.Tensor, free)) as tf.Scalar);
    expect(await values()).to.deep.equal(before);
    tf.dispose([free, x]);
    loaded.dispose();
  });

  it('keep what they and the layers inside compute in', async () => {
    const block = new SpatioTemporalResBlock({ inChannels: 32 });
    const model = video(block);
    block.computeDtype = 'float16';
    block.children[0]!.computeDtype = 'bfloat16';
    block.children[1]!.children[0]!.computeDtype = 'float32';
    for (const copy of copies(block)) expect(stateOf(copy)).to.deep.equal(stateOf(block));
    const { model: loaded, layer } = await reloaded(model);
    expect(stateOf(layer)).to.deep.equal(stateOf(block));
    for (const one of [model, loaded]) one.dispose();
  });

  it('compute in what their constructor is given, but for what has its own', () => {
    const linear = new Linear({ inFeatures: 2, outFeatures: 2, computeDtype: 'float16' });
    expect(linear.computeDtype).to.equal('float16');
    for (const forceUpcast of [true, false]) {
      const vae = new AutoencoderKLTemporalDecoder({
        ...{ blockOutChannels: [32], forceUpcast, computeDtype: 'bfloat16' },
      });
      const types = vae.children.map((child) => child.computeDtype);
      const encoding = forceUpcast ? 'float32' : 'bfloat16';
      expect(types).to.deep.equal([encoding, 'bfloat16', encoding]);
      vae.children[0]!.computeDtype = 'float16';
      for (const copy of copies(vae)) expect(stateOf(copy)).to.deep.equal(stateOf(vae));
    }
    expect(
      () => new Linear({ inFeatures: 2, outFeatures: 2, computeDtype: 'half' as 'float16' }),
    ).to.throw('`computeDtype` has to be one of float32, float16, bfloat16 but is half.');
  });

  it('keep words that TensorFlow.js rewrites', async () => {
    const args = { mergeStrategy: 'learned_with_images' } as const;
    const blender = new AlphaBlender({ alpha: 0.25, ...args });
    const inputs = [tf.input({ shape: [2] }), tf.input({ shape: [2] })];
    const loaded = await throughStorage(tf.model({ inputs, outputs: blender.apply(inputs) }));
    expect((loaded.layers.at(-1) as AlphaBlender).args).to.include(args);
    loaded.dispose();
    blender.dispose();
    const block = new SpatioTemporalResBlock({ inChannels: 32, ...args });
    const { model, layer } = await reloaded(video(block));
    expect((layer as SpatioTemporalResBlock).args).to.include(args);
    model.dispose();
    block.dispose();
  });
});

describe('initial weights', () => {
  const weights = () => [tf.tensor2d([[2, 3]]), tf.tensor1d([4, 5])];
  const valuesOf = (tensors: tf.Tensor[]) => tensors.map((tensor) => [...tensor.dataSync()]);
  const expected = [
    [2, 3],
    [4, 5],
  ];

  it('are those of the layer, built by a model, a call or by hand, and are saved', async () => {
    const before = tf.memory().numTensors;
    const given = weights();
    const make = () =>
      new Linear({ inFeatures: 1, outFeatures: 2, inputShape: [1], weights: given });
    const inModel = make();
    const model = tf.sequential({ layers: [inModel] });
    const [called, built] = [make(), make()];
    const x = tf.ones([1, 1]);
    tf.dispose([called.apply(x), x]);
    built.build();
    for (const layer of [inModel, called, built]) {
      expect(valuesOf(layer.getWeights())).to.deep.equal(expected);
      expect(layer.getConfig()).not.to.have.property('weights');
      expect(layer.args).not.to.have.property('weights');
    }
    const loaded = await throughStorage(model);
    expect(valuesOf(loaded.getWeights())).to.deep.equal(expected);
    for (const one of [model, loaded, called, built]) one.dispose();
    expect(valuesOf(given)).to.deep.equal(expected);
    tf.dispose(given);
    expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
  });

  for (const [name, sample] of Object.entries(layerSamples)) {
    it(`${name}: takes what another one has`, async () => {
      const [one, Class] = [sample.make('one'), sample.make('x').constructor as typeof Linear];
      one.build();
      const before = tf.memory().numTensors;
      const other = new Class({ ...one.args, name: 'other', weights: one.getWeights() } as never);
      const model = modelOf(sample, other);
      expect(valuesOf(other.getWeights())).to.deep.equal(valuesOf(one.getWeights()));
      const loaded = await throughStorage(model);
      expect(valuesOf(loaded.getWeights())).to.deep.equal(valuesOf(one.getWeights()));
      for (const used of [model, loaded]) used.dispose();
      expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
      one.dispose();
    });
  }

  it('are those of a layer inside another one', () => {
    class Outer extends Block<LayerArgs & { given: tf.Tensor[] }> {
      static className = 'Outer';
      readonly inner = this.child(
        new Linear({ name: 'inner', inFeatures: 1, outFeatures: 2, weights: this.args.given }),
      );
      protected override forward([x]: tf.Tensor[]): tf.Tensor {
        return this.inner.call(x);
      }
    }
    const given = weights();
    const outer = new Outer({ given });
    outer.build();
    expect(valuesOf(outer.getWeights())).to.deep.equal(expected);
    outer.dispose();
    tf.dispose(given);
  });

  it('have to be as many and of the same shapes', () => {
    const given = weights();
    const make = (inFeatures: number, list: tf.Tensor[]) =>
      new FeedForward({ dim: inFeatures, weights: list });
    expect(() => make(4, given).build()).to.throw('weight list of length 2');
    tf.dispose(given);
  });
});
