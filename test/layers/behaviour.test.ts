/**
 * Layers as citizens of TensorFlow.js: registered, serialisable, with shapes known in advance,
 * named weights, and nothing left behind.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import * as layers from '../../src/layers/index.ts';
import {
  AlphaBlender,
  type AnyBlock,
  FeedForward,
  Linear,
  withoutWeights,
} from '../../src/layers/index.ts';
import * as models from '../../src/models/index.ts';
import { type Fixture, fixtureNames, readFixture } from '../harness/fixtures.ts';
import { inputsOf, kwargsOf, layerOf } from '../harness/layerFixtures.ts';
import { fillByName } from '../harness/nameHash.ts';

/** Classes that are no layers by themselves. */
const abstract = ['Block', 'StepwiseBlock', 'TransformerBlock', 'WeightedLayer'];

type LayerClass = { className: string; name: string; prototype: object; fromConfig: unknown };

const isLayerClass = (value: unknown): value is LayerClass =>
  typeof value === 'function' && value.prototype instanceof tf.layers.Layer;

const classes = Object.values<unknown>({ ...layers, ...models })
  .filter(isLayerClass)
  .filter(({ name }) => !abstract.includes(name));

const networks = [
  'AutoencoderKLTemporalDecoder',
  'CLIPVisionModelWithProjection',
  'UNetSpatioTemporalConditionModel',
];

/** Small networks, which have fixtures of their own. */
const smallNetworks: Record<string, () => AnyBlock> = {
  AutoencoderKLTemporalDecoder: () =>
    new models.AutoencoderKLTemporalDecoder({ blockOutChannels: [32], name: 'vae' }),
  CLIPVisionModelWithProjection: () =>
    new models.CLIPVisionModelWithProjection({
      hiddenSize: 8,
      intermediateSize: 8,
      numHiddenLayers: 1,
      numAttentionHeads: 2,
      imageSize: 8,
      patchSize: 4,
    }),
  UNetSpatioTemporalConditionModel: () =>
    new models.UNetSpatioTemporalConditionModel({
      ...{
        blockOutChannels: [32, 32],
        layersPerBlock: 1,
        crossAttentionDim: 8,
        numAttentionHeads: 2,
      },
      ...{ additionTimeEmbedDim: 8, projectionClassEmbeddingsInputDim: 24 },
      downBlockTypes: ['CrossAttnDownBlockSpatioTemporal', 'DownBlockSpatioTemporal'],
      upBlockTypes: ['UpBlockSpatioTemporal', 'CrossAttnUpBlockSpatioTemporal'],
    }),
};

/** The layer after its configuration has been written to JSON and read again. */
function throughJson(layer: AnyBlock): AnyBlock {
  const config = JSON.parse(JSON.stringify(layer.getConfig()));
  const Class = layer.constructor as unknown as {
    fromConfig: (cls: unknown, config: unknown) => AnyBlock;
  };
  return Class.fromConfig(Class, config);
}

const shapesOf = (layer: AnyBlock) =>
  layer.parameters().map(({ key, variable }) => [key, variable.shape]);

const fixtures: Fixture[] = [];
/** One fixture of each class. */
const samples = new Map<string, Fixture>();

describe('layers as TensorFlow.js layers', () => {
  before(async () => {
    for (const file of fixtureNames('layers')) fixtures.push(await readFixture('layers', file));
    for (const fixture of fixtures) samples.set(layerOf(fixture).constructor.name, fixture);
  });

  it('all have a fixture', () => {
    expect([...samples.keys(), ...networks].sort()).to.deep.equal(
      classes.map(({ className }) => className).sort(),
    );
  });

  it('are registered under the names of their classes', () => {
    const { classNameMap } = tf.serialization.SerializationMap.getMap();
    for (const { className, name } of classes) {
      expect(className).to.equal(name);
      expect(classNameMap[className]?.[0], className).to.equal(
        classes.find((c) => c.className === className),
      );
    }
  });

  it('come back from their configuration, in JSON too', () => {
    const made = [...fixtures.map(layerOf), ...Object.values(smallNetworks).map((make) => make())];
    for (const layer of made) {
      const copy = throughJson(layer);
      expect(copy.constructor).to.equal(layer.constructor);
      expect(copy.getConfig()).to.deep.equal(layer.getConfig());
      withoutWeights(() => {
        layer.build();
        copy.build();
      });
      expect(shapesOf(copy)).to.deep.equal(shapesOf(layer));
      for (const one of [layer, copy]) one.dispose();
    }
  });

  it('compute the same after coming back', async () => {
    for (const fixture of samples.values()) {
      const layer = layerOf(fixture);
      await fillByName(layer);
      const copy = throughJson(layer);
      copy.build();
      copy.setWeights(layer.getWeights());
      const inputs = inputsOf(fixture);
      const outputs = [layer, copy].map((one) =>
        [one.apply(inputs, kwargsOf(fixture)) as tf.Tensor | tf.Tensor[]].flat(),
      );
      for (const [i, output] of outputs[0]!.entries()) {
        expect(await outputs[1]![i]!.data(), fixture.name).to.deep.equal(await output.data());
      }
      tf.dispose([inputs, outputs]);
      for (const one of [layer, copy]) one.dispose();
    }
  });

  it('know the shapes of their outputs', async () => {
    for (const fixture of fixtures) {
      // An explicit size is a call argument, which computeOutputShape is not told.
      if ('upsampleSize' in fixture.kwargs || 'outputSize' in fixture.kwargs) continue;
      const layer = layerOf(fixture);
      const inputs = inputsOf(fixture);
      const outputs = layer.apply(inputs, kwargsOf(fixture)) as tf.Tensor | tf.Tensor[];
      const shapes = inputs.map(({ shape }) => shape);
      const computed = layer.computeOutputShape(shapes.length === 1 ? shapes[0]! : shapes);
      const actual = Array.isArray(outputs) ? outputs.map(({ shape }) => shape) : outputs.shape;
      expect(computed, fixture.name).to.deep.equal(actual);
      tf.dispose([inputs, [outputs].flat()]);
      layer.dispose();
    }
  });

  it('list their weights with names made of their own and the paths in a checkpoint', () => {
    for (const fixture of samples.values()) {
      const layer = layerOf(fixture);
      withoutWeights(() => layer.build());
      const names = layer.weights.map((weight) => weight.originalName);
      const paths = layer.parameters().map(({ key }) => `${layer.name}.${key}`);
      expect(names.map((name) => name.replaceAll('/', '.')).sort(), fixture.name).to.deep.equal(
        paths.sort(),
      );
      expect(layer.countParams()).to.equal(
        layer.weights.reduce((sum, { shape }) => sum + tf.util.sizeFromShape(shape as number[]), 0),
      );
      layer.dispose();
    }
  });

  it('free every weight, used or not', () => {
    for (const fixture of samples.values()) {
      for (const used of [false, true]) {
        const before = tf.memory().numTensors;
        const layer = layerOf(fixture);
        layer.build();
        if (used) {
          const inputs = inputsOf(fixture);
          tf.dispose(
            [layer.apply(inputs, kwargsOf(fixture)) as tf.Tensor | tf.Tensor[], inputs].flat(2),
          );
        }
        expect(layer.dispose().numDisposedVariables).to.equal(layer.parameters().length);
        expect(
          tf.memory().numTensors - before,
          `${fixture.name} ${used ? 'used' : 'unused'}`,
        ).to.equal(0);
      }
    }
  });
});

describe('trainable weights', () => {
  const trainables = (layer: AnyBlock) => layer.trainableWeights.length;

  it('are all of them, until the layer is frozen, and again when it is thawed', () => {
    for (const fixture of samples.values()) {
      const layer = layerOf(fixture);
      withoutWeights(() => layer.build());
      const [count, all] = [trainables(layer), layer.weights.length];
      const fixed = layer instanceof AlphaBlender && layer.args.mergeStrategy === 'fixed';
      expect(count, fixture.name).to.equal(fixed ? 0 : all);
      layer.trainable = false;
      expect(trainables(layer), fixture.name).to.equal(0);
      expect(layer.nonTrainableWeights, fixture.name).to.have.lengthOf(all);
      layer.trainable = true;
      expect(trainables(layer), fixture.name).to.equal(count);
      layer.dispose();
    }
  });

  it('are none in a layer that is made frozen, nor in its copy', () => {
    const frozen = new FeedForward({ dim: 4, trainable: false });
    const copy = throughJson(frozen);
    const later = new FeedForward({ dim: 4, trainable: true });
    later.trainable = false;
    for (const layer of [frozen, copy, later, throughJson(later)]) {
      layer.build();
      expect(trainables(layer)).to.equal(0);
      expect(layer.nonTrainableWeights).to.have.lengthOf(4);
      layer.dispose();
    }
  });

  it('leave the weight of a fixed blend out for good', () => {
    const blend = new AlphaBlender({ alpha: 0.25, mergeStrategy: 'fixed' });
    blend.build();
    blend.trainable = false;
    blend.trainable = true;
    expect(trainables(blend)).to.equal(0);
    expect(blend.weights).to.have.lengthOf(1);
    blend.dispose();
  });
});

describe('layers built without weights', () => {
  it('say so when they are used, and work once they are filled', async () => {
    const layer = withoutWeights(() => {
      const linear = new Linear({ inFeatures: 3, outFeatures: 2 });
      linear.build();
      return linear;
    });
    const x = tf.ones([1, 3]);
    expect(() => layer.apply(x)).to.throw(
      'This layer was built without weights. Load a checkpoint into it before using it.',
    );
    await fillByName(layer);
    const y = layer.apply(x) as tf.Tensor;
    expect(y.shape).to.deep.equal([1, 2]);
    tf.dispose([x, y]);
    layer.dispose();
  });

  it('stop being so outside', () => {
    expect(() =>
      withoutWeights(() => {
        throw new Error('interrupted');
      }),
    ).to.throw('interrupted');
    const layer = new Linear({ inFeatures: 3, outFeatures: 2 });
    const y = tf.tidy(() => layer.apply(tf.ones([1, 3])) as tf.Tensor);
    expect(y.shape).to.deep.equal([1, 2]);
    y.dispose();
    layer.dispose();
  });
});
