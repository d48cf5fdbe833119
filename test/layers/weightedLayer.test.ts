/** A weight that is adapted is so in every way of computing. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  type AnyBlock,
  BasicTransformerBlock,
  Linear,
  limitScores,
  runSteps,
  SpatioTemporalResBlock,
  type WeightedLayer,
  weightedLayersIn,
} from '../../src/layers/index.ts';
import { UNetSpatioTemporalConditionModel } from '../../src/models/index.ts';
import { useFormulations } from '../../src/ops/index.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { BATCH, layerSamples, sampleInputs } from '../harness/layerSamples.ts';
import { fillByName } from '../harness/nameHash.ts';
import { named, ROUNDING } from '../ops/random.ts';
import { testBackend, testFormulation } from '../setup.ts';

/** What adapters do here: it is no multiple of the weight. */
const adapted = (weight: tf.Tensor) => tf.add(tf.mul(weight, 1.5), 0.01);

/** Stores the adapted weight in the layer, and returns the function that undoes it. */
function store(layer: WeightedLayer): () => void {
  const { variable } = layer.parameters().find(({ key }) => key === 'weight')!;
  const [before, after] = tf.tidy(() => [tf.clone(variable.read()), adapted(variable.read())]);
  const write = (value: tf.Tensor) => {
    variable.write(value);
    value.dispose();
  };
  write(after!);
  return () => write(before!);
}

const valuesOf = async (tensors: tf.Tensor | tf.Tensor[]) => {
  const values = await Promise.all([tensors].flat().map((tensor) => tensor.data()));
  tf.dispose(tensors);
  return values.flatMap((list) => Array.from(list as Float32Array));
};

/** Groups of one channel take away what it adds. */
const isUseless = (layer: WeightedLayer) =>
  layer.name === 'time_emb_proj' && (layer as Linear).args.outFeatures === 32;

/**
 * For each layer with a weight in `block`: expects that `run` notices an adapter, which frees what
 * it makes, and that it gives what the same weight gives when it is stored.
 */
async function expectAdapted(
  block: AnyBlock,
  run: () => tf.Tensor | tf.Tensor[],
  tolerance = ROUNDING,
): Promise<void> {
  await fillByName(block);
  const plain = await valuesOf(run());
  const inside = weightedLayersIn(block);
  for (const layer of inside) {
    const what = layer.name;
    const before = tf.memory().numTensors;
    layer.adaptWeight = adapted;
    const ours = await valuesOf(run());
    expect(tf.memory().numTensors, `tensors after ${what}`).to.equal(before);
    layer.adaptWeight = undefined;
    expect(await valuesOf(run()), `after ${what}`).to.deep.equal(plain);
    const undo = store(layer);
    const theirs = await valuesOf(run());
    undo();
    if (!isUseless(layer))
      expect(relativeL2(theirs, plain), `effect of ${what}`).to.be.above(tolerance);
    expect(relativeL2(ours, theirs), what).to.be.at.most(tolerance);
  }
}

describe('an adapted weight', () => {
  for (const [name, sample] of Object.entries(layerSamples)) {
    const count = weightedLayersIn(sample.make('mine')).length;
    // Larger blocks are made of these.
    if (count === 0 || count > 20) continue;
    it(`changes ${name} as the same weight does, in each of its ${count} layers`, async () => {
      const layer = sample.make('mine');
      // Several tokens, as queries and keys have no effect with one.
      const several = {
        ...sample,
        shapes: sample.shapes.map((s) => (s.join() === '1,6' ? [3, 6] : s)),
      };
      const inputs = sampleInputs(several);
      await expectAdapted(layer, () => layer.apply(inputs, sample.kwargs));
      tf.dispose(inputs);
      layer.dispose();
    });
  }

  it('changes what a time embedding adds', async () => {
    const resnet = new SpatioTemporalResBlock({ inChannels: 64, tembChannels: 8 });
    const inputs = [named('x', [BATCH, 2, 2, 64]), named('temb', [BATCH, 8])];
    await expectAdapted(resnet, () => resnet.apply(inputs, { numFrames: 2 }));
    tf.dispose(inputs);
    resnet.dispose();
  });

  it('changes a transformer in slices, and with scores in slices', async () => {
    const block = new BasicTransformerBlock({
      ...{ dim: 8, numAttentionHeads: 2, attentionHeadDim: 4, crossAttentionDim: 6 },
    });
    const inputs = [named('x', [BATCH, 5, 8]), named('context', [2, 3, 6])];
    block.setChunkFeedForward(1, 1);
    limitScores(block, 64);
    await expectAdapted(block, () => block.apply(inputs));
    tf.dispose(inputs);
    block.dispose();
  });

  it('changes a map whose parts are taken one after the other @slow', async function () {
    if (testBackend === 'cpu') this.skip(); // takes half a minute there
    const layer = layerSamples.FeedForward!.make('mine');
    const Class = layer.constructor as new (args: object) => AnyBlock;
    const wide = new Class({ dim: 700, mult: 5 });
    const x = named('x', [3, 700]);
    await expectAdapted(wide, () => wide.call(x));
    x.dispose();
    wide.dispose();
  });

  it('changes a UNet in steps, each of its layers', async () => {
    const unet = new UNetSpatioTemporalConditionModel({
      ...{
        blockOutChannels: [32, 32],
        layersPerBlock: 1,
        crossAttentionDim: 6,
        numAttentionHeads: 2,
      },
      ...{ additionTimeEmbedDim: 8, projectionClassEmbeddingsInputDim: 24 },
      ...{ downBlockTypes: ['CrossAttnDownBlockSpatioTemporal', 'DownBlockSpatioTemporal'] },
      ...{ upBlockTypes: ['UpBlockSpatioTemporal', 'CrossAttnUpBlockSpatioTemporal'] },
    });
    await fillByName(unet);
    const inputs = [
      ...[named('sample', [2, 4, 4, 8]), tf.tensor1d([1])],
      ...[named('context', [1, 2, 6]), named('ids', [1, 3])],
    ];
    const run = async () => valuesOf(await runSteps(unet.steps(inputs, { numFrames: 2 }), {}));
    const plain = await run();
    const every = weightedLayersIn(unet);
    for (const layer of every) layer.adaptWeight = adapted;
    const ours = await run();
    const undo = every.map((layer) => {
      layer.adaptWeight = undefined;
      return store(layer);
    });
    const theirs = await run();
    for (const one of undo) one();
    expect(relativeL2(theirs, plain)).to.be.above(1e-2);
    expect(relativeL2(ours, theirs)).to.be.at.most(1e-5);
    tf.dispose(inputs);
    unet.dispose();
  });

  it('is what the plain formulations compute with, too', async () => {
    const layer = layerSamples.Upsample2D!.make('mine');
    const inputs = sampleInputs(layerSamples.Upsample2D!);
    useFormulations('plain');
    try {
      await expectAdapted(layer, () => layer.apply(inputs));
    } finally {
      useFormulations(testFormulation);
    }
    tf.dispose(inputs);
    layer.dispose();
  });

  it('is what half precision computes with, too', async function () {
    if (testBackend !== 'tensorflow') this.skip();
    const layer = layerSamples.TransformerSpatioTemporalModel!.make('mine');
    layer.computeDtype = 'bfloat16';
    const sample = layerSamples.TransformerSpatioTemporalModel!;
    const inputs = sampleInputs({ ...sample, shapes: [sample.shapes[0]!, [3, 6]] });
    await expectAdapted(layer, () => layer.apply(inputs, sample.kwargs), 1e-5);
    tf.dispose(inputs);
    layer.dispose();
  });

  it('is refused if it is no tensor of the shape of the weight', () => {
    const linear = new Linear({ name: 'mine', inFeatures: 2, outFeatures: 3 });
    const x = tf.ones([1, 2]);
    linear.build();
    const before = tf.memory().numTensors;
    for (const [returned, shown] of [
      [() => tf.ones([2, 1]), 'one of [2,1]'],
      [() => undefined, 'undefined'],
    ] as const) {
      linear.adaptWeight = returned as () => tf.Tensor;
      expect(() => linear.apply(x)).to.throw(
        '`adaptWeight` of the layer "mine" has to return a tensor of the shape of the weight, ' +
          `[2,3], but returns ${shown}.`,
      );
    }
    expect(tf.memory().numTensors).to.equal(before);
    x.dispose();
    linear.dispose();
  });

  it('passes gradients on to what the adapter is made of', async function () {
    if (!['tensorflow', 'cpu'].includes(testBackend)) this.skip();
    const linear = new Linear({ inFeatures: 2, outFeatures: 2, trainable: false });
    await fillByName(linear);
    const [x, delta] = [named('x', [3, 2]), tf.variable(tf.zeros([2, 2]))];
    linear.adaptWeight = (weight) => tf.add(weight, delta);
    const { grads, value } = tf.variableGrads(() => tf.sum(linear.apply(x)) as tf.Scalar, [delta]);
    const [gradient] = Object.values(grads);
    const expected = tf.tidy(() => tf.matMul(x as tf.Tensor2D, tf.ones([3, 2]), true));
    expect(relativeL2(await gradient!.data(), await expected.data())).to.be.at.most(ROUNDING);
    tf.dispose([x, delta, gradient!, value, expected]);
    linear.dispose();
  });
});
