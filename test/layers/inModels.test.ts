/**
 * Every layer in other people's models: sequential, functional, eager, inside their layers, saved,
 * listed, frozen and trained.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { AnyBlock, CallArgs } from '../../src/layers/index.ts';
import * as layers from '../../src/layers/index.ts';
import * as models from '../../src/models/index.ts';
import {
  BATCH,
  type LayerSample,
  layerSamples,
  modelOf,
  sampleInputs,
} from '../harness/layerSamples.ts';
import { fillByName } from '../harness/nameHash.ts';
import { throughStorage } from '../harness/storage.ts';
import { testBackend } from '../setup.ts';

const abstract = ['Block', 'StepwiseBlock', 'TransformerBlock', 'WeightedLayer'];
const networks = [
  'AutoencoderKLTemporalDecoder',
  'CLIPVisionModelWithProjection',
  'UNetSpatioTemporalConditionModel',
];
const trains = ['tensorflow', 'cpu'].includes(testBackend);

const valuesOf = (tensors: tf.Tensor | tf.Tensor[]) =>
  Promise.all([tensors].flat().map((tensor) => tensor.data()));
const oneOrAll = <T>(list: T[]): T | T[] => (list.length === 1 ? list[0]! : list);

/**
 * A layer of somebody else, which knows nothing of `Block`: it doubles what the layer inside gives.
 */
class Doubled extends tf.layers.Layer {
  static className = 'Doubled';
  private readonly inner: tf.layers.Layer;
  private readonly kwargs: CallArgs;

  constructor(config: {
    name?: string;
    inner: tf.serialization.ConfigDict;
    kwargs: CallArgs;
  }) {
    super({ name: config.name });
    const { className, config: inner } = config.inner as {
      className: string;
      config: tf.serialization.ConfigDict;
    };
    const [Class, fromConfig] = tf.serialization.SerializationMap.getMap().classNameMap[className]!;
    this.inner = fromConfig(Class, inner) as tf.layers.Layer;
    this.kwargs = config.kwargs;
  }
  override build(inputShape: tf.Shape | tf.Shape[]): void {
    this.inner.build(inputShape);
    this.built = true;
  }
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor | tf.Tensor[] {
    return tf.tidy(() =>
      oneOrAll(
        [this.inner.apply(inputs, { ...this.kwargs }) as tf.Tensor | tf.Tensor[]]
          .flat()
          .map((y) => tf.mul(y, 2)),
      ),
    );
  }
  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape | tf.Shape[] {
    return this.inner.computeOutputShape(inputShape);
  }
  override get trainableWeights(): tf.LayerVariable[] {
    return this.inner?.trainableWeights ?? [];
  }
  override set trainableWeights(_: tf.LayerVariable[]) {}
  override get nonTrainableWeights(): tf.LayerVariable[] {
    return this.inner?.nonTrainableWeights ?? [];
  }
  override set nonTrainableWeights(_: tf.LayerVariable[]) {}
  override getConfig(): tf.serialization.ConfigDict {
    const inner = { className: this.inner.getClassName(), config: this.inner.getConfig() };
    return { ...super.getConfig(), inner, kwargs: this.kwargs as tf.serialization.ConfigDict };
  }
}
tf.serialization.registerClass(Doubled);

/** The same layer, told at construction what `sample` tells it in calls. */
async function toldAtConstruction(layer: AnyBlock, { kwargs }: LayerSample): Promise<AnyBlock> {
  const Class = layer.constructor as tf.serialization.SerializableConstructor<AnyBlock>;
  const told = new Class({ ...layer.getConfig(), ...kwargs } as tf.serialization.ConfigDict);
  await fillByName(told);
  return told;
}

/** A `tf.sequential` of one layer. */
const sequentialOf = ({ shapes }: LayerSample, layer: tf.layers.Layer) =>
  tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: shapes[0]! }), layer] });

/** Trains a model towards noise for a few steps and gives the loss of each. */
async function train(model: tf.LayersModel, inputs: tf.Tensor[], steps = 2): Promise<number[]> {
  const target = tf.randomNormal(
    [BATCH, ...(model.outputs[0]!.shape.slice(1) as number[])],
    0,
    1,
    'float32',
    7,
  );
  model.compile({ optimizer: tf.train.sgd(1e-2), loss: 'meanSquaredError' });
  const { history } = await model.fit(oneOrAll(inputs), target, {
    epochs: steps,
    batchSize: BATCH,
    shuffle: false,
    verbose: 0,
  });
  target.dispose();
  return history.loss as number[];
}

async function filled(
  name: string,
): Promise<{ layer: AnyBlock; sample: LayerSample; inputs: tf.Tensor[] }> {
  const sample = layerSamples[name]!;
  const layer = sample.make('mine');
  await fillByName(layer);
  return { layer, sample, inputs: sampleInputs(sample) };
}

describe('every layer in a model', () => {
  it('has a sample', () => {
    const classes = Object.values<unknown>({ ...layers, ...models }).filter(
      (value) => typeof value === 'function' && value.prototype instanceof tf.layers.Layer,
    );
    const names = (classes as { name: string }[])
      .map(({ name }) => name)
      .filter((name) => ![...abstract, ...networks].includes(name));
    expect(Object.keys(layerSamples).sort()).to.deep.equal(names.sort());
  });

  for (const name of Object.keys(layerSamples)) {
    it(`${name}: eager, functional and sequential agree, and come back from storage bit by bit`, async () => {
      const { layer, sample, inputs } = await filled(name);
      const before = tf.memory().numTensors;
      const eager = layer.apply(inputs, sample.kwargs);
      const expected = await valuesOf(eager);
      const made = [modelOf(sample, layer)];
      if (sample.shapes.length === 1 && Object.keys(sample.kwargs).length === 0)
        made.push(sequentialOf(sample, layer));
      const loaded = await throughStorage(made.at(-1)!);
      for (const model of [...made, loaded]) {
        const outputs = model.predict(oneOrAll(inputs), { batchSize: BATCH });
        expect(await valuesOf(outputs)).to.deep.equal(expected);
        tf.dispose(outputs);
      }
      loaded.dispose();
      tf.dispose(eager);
      expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
      tf.dispose(inputs);
      layer.dispose();
    });

    it(
      `${name}: told \`numFrames\` at construction, it needs no call arguments, in ` +
        '`tf.sequential` or elsewhere',
      async function () {
        const { layer, sample, inputs } = await filled(name);
        if (sample.kwargs.numFrames === undefined) this.skip();
        const expected = await valuesOf(tf.tidy(() => layer.apply(inputs, sample.kwargs)));
        const told = await toldAtConstruction(layer, sample);
        const model =
          sample.shapes.length === 1
            ? sequentialOf(sample, told)
            : modelOf({ ...sample, kwargs: {} }, told);
        const loaded = await throughStorage(model);
        const eager = tf.tidy(() => told.apply(inputs));
        const predicted = [model, loaded].map((one) =>
          one.predict(oneOrAll(inputs), { batchSize: BATCH }),
        );
        for (const outputs of [eager, ...predicted])
          expect(await valuesOf(outputs)).to.deep.equal(expected);
        // A call may still say otherwise.
        const alone = tf.tidy(() => told.apply(inputs, { numFrames: 1 }));
        expect(await valuesOf(alone)).not.to.deep.equal(expected);
        for (const used of [model, loaded]) used.dispose();
        tf.dispose([inputs, eager, predicted, alone]);
        layer.dispose();
      },
    );

    it(`${name}: its weights are listed under the layer's name and their keys`, () => {
      const sample = layerSamples[name]!;
      // Built by the model and built before: the names are the same, or a checkpoint in one would
      // not fit the other.
      for (const early of [false, true]) {
        const layer = sample.make('mine');
        if (early) layer.build();
        const model = modelOf(sample, layer);
        const lines: string[] = [];
        model.summary(400, undefined, (line) => lines.push(line));
        expect(lines.join('\n')).to.contain(`mine (stable-video-diffusion-tfjs>${name})`);
        const names = layer.parameters().map(({ key }) => `mine/${key}`.replaceAll('.', '/'));
        expect(
          model.weights.map((weight) => weight.originalName.replaceAll('.', '/')).sort(),
        ).to.deep.equal(names.sort());
        model.dispose();
      }
    });

    it(`${name}: inside another layer, it computes and is saved as well`, async () => {
      const { layer, sample, inputs } = await filled(name);
      const outer = new Doubled({
        name: 'outer',
        inner: { className: layer.getClassName(), config: layer.getConfig() },
        kwargs: sample.kwargs,
      });
      const model = modelOf({ ...sample, kwargs: {} }, outer);
      outer.setWeights(layer.getWeights());
      const doubled = tf.tidy(() =>
        [layer.apply(inputs, sample.kwargs)].flat().map((y) => tf.mul(y, 2)),
      );
      const loaded = await throughStorage(model);
      for (const one of [model, loaded]) {
        const outputs = one.predict(oneOrAll(inputs), { batchSize: BATCH });
        expect(await valuesOf(outputs)).to.deep.equal(await valuesOf(doubled));
        tf.dispose(outputs);
        expect(one.weights.every((weight) => weight.originalName.startsWith('outer/'))).to.equal(
          true,
        );
      }
      for (const one of [model, loaded]) tf.dispose(one.weights.map((weight) => weight.read()));
      tf.dispose([inputs, doubled]);
      layer.dispose();
    });

    it(`${name}: training lowers a loss, and leaves it alone while it is frozen`, async function () {
      // Timesteps has no weights.
      if (!trains || name === 'Timesteps') this.skip();
      const { layer, sample, inputs } = await filled(name);
      const before = await valuesOf(layer.getWeights());
      // TensorFlow.js cannot add the losses of outputs of different sizes: the last one depends on
      // all weights.
      const whole = modelOf(sample, layer);
      const model = tf.model({ inputs: whole.inputs, outputs: whole.outputs.at(-1)! });
      const losses = await train(model, inputs);
      expect(losses.at(-1)).to.be.below(losses[0]!);
      const after = await valuesOf(layer.getWeights());
      expect(after).not.to.deep.equal(before);

      layer.trainable = false;
      const dense = tf.layers.dense({ units: 2 }).apply(model.outputs) as tf.SymbolicTensor;
      const frozen = tf.model({ inputs: model.inputs, outputs: dense });
      expect(frozen.trainableWeights).to.have.lengthOf(2);
      const tuned = await train(frozen, inputs);
      expect(tuned.at(-1)).to.be.below(tuned[0]!);
      expect(await valuesOf(layer.getWeights())).to.deep.equal(after);
      tf.dispose(inputs);
      frozen.dispose();
    });
  }
});
