/** LoRA that learns: exactly its matrices are trainable, in `fit` and in a loop of one's own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  addLora,
  fuseLora,
  type LoraTarget,
  loadLora,
  saveLora,
  setLoraScales,
  unloadLora,
} from '../../src/adapters/index.ts';
import { openSafetensors } from '../../src/checkpoints/index.ts';
import {
  type AnyBlock,
  Attention,
  BasicTransformerBlock,
  Conv2d,
  Linear,
  SpatioTemporalResBlock,
  TemporalConv,
} from '../../src/layers/index.ts';
import { messageOf } from '../../src/text/messages.ts';
import { fillByName } from '../harness/nameHash.ts';
import { named } from '../ops/random.ts';
import { testBackend } from '../setup.ts';

const hasConvolutions = ['tensorflow', 'cpu'].includes(testBackend);

const stored = (block: AnyBlock) =>
  block.parameters().flatMap(({ variable }) => [...variable.read().dataSync()]);

/** The shapes of the weights that training changes. */
const trainable = (target: LoraTarget) => target.trainableWeights.map(({ shape }) => shape);

/** Trains with an optimizer, and returns the losses. */
function train(block: AnyBlock, apply: () => tf.Tensor, target: tf.Tensor, steps = 12): number[] {
  const optimizer = tf.train.adam(0.02);
  const variables = block.trainableWeights.map((weight) => weight.read() as tf.Variable);
  const losses = Array.from({ length: steps }, () => {
    const loss = optimizer.minimize(
      () => tf.mean(tf.squaredDifference(apply(), target)) as tf.Scalar,
      true,
      variables,
    )!;
    const [value] = loss.dataSync();
    loss.dispose();
    return value!;
  });
  optimizer.dispose();
  return losses;
}

describe('LoRA that learns', () => {
  it('is what stock `fit` trains, and nothing else', async () => {
    const linear = new Linear({ name: 'mine', inFeatures: 6, outFeatures: 4, inputShape: [6] });
    const model = tf.sequential({ layers: [linear, tf.layers.dense({ units: 3 })] });
    await fillByName(linear);
    const dense = model.layers[1]!.getWeights().map((weight) => [...weight.dataSync()]);
    const before = stored(linear);
    expect(addLora(model, { rank: 2, alpha: 4, seed: 1 })).to.deep.equal(['mine']);
    expect(trainable(model)).to.deep.equal([
      [6, 2],
      [2, 4],
    ]);
    const [x, y] = [named('x', [16, 6]), named('y', [16, 3])];
    model.compile({ optimizer: tf.train.adam(0.05), loss: 'meanSquaredError' });
    const { history } = await model.fit(x, y, { epochs: 8, batchSize: 8, verbose: 0 });
    const losses = history.loss as number[];
    expect(losses.at(-1)).to.be.below(0.97 * losses[0]!);
    expect(stored(linear)).to.deep.equal(before);
    expect(model.layers[1]!.getWeights().map((weight) => [...weight.dataSync()])).to.deep.equal(
      dense,
    );
    const learned = model.predict(x) as tf.Tensor;
    unloadLora(model);
    const plain = model.predict(x) as tf.Tensor;
    expect(learned.dataSync()).to.not.deep.equal(plain.dataSync());
    tf.dispose([x, y, learned, plain]);
    model.dispose();
  });

  const cases: Record<string, [() => AnyBlock, number[][], object?, boolean?]> = {
    attention: [() => new Attention({ queryDim: 8, heads: 2, dimHead: 4 }), [[2, 5, 8]]],
    'a transformer': [
      () =>
        new BasicTransformerBlock({
          ...{ dim: 8, numAttentionHeads: 2, attentionHeadDim: 4, crossAttentionDim: 6 },
        }),
      [
        [2, 5, 8],
        [2, 3, 6],
      ],
    ],
    'a convolution': [
      () => new Conv2d({ inChannels: 3, outChannels: 5, padding: 1, stride: 2 }),
      [[2, 6, 4, 3]],
      {},
      true,
    ],
    'a convolution over time': [
      () => new TemporalConv({ inChannels: 3, outChannels: 5 }),
      [[4, 3, 2, 3]],
      { numFrames: 4 },
      true,
    ],
    'a residual block': [
      () => new SpatioTemporalResBlock({ inChannels: 32, outChannels: 64, tembChannels: 8 }),
      [
        [4, 3, 2, 32],
        [4, 8],
      ],
      { numFrames: 2 },
      true,
    ],
  };
  for (const [what, [make, shapes, kwargs, needsConvolutions]] of Object.entries(cases)) {
    it(`learns in a loop of one's own: ${what}`, async function () {
      if (needsConvolutions && !hasConvolutions) this.skip();
      const tensors = tf.memory().numTensors;
      const block = make();
      await fillByName(block);
      const [before, count] = [stored(block), block.weights.length];
      const inputs = shapes.map((shape, i) => named(`input ${i}`, shape));
      const apply = () => block.apply(inputs, kwargs) as tf.Tensor;
      const plain = apply();
      const paths = addLora(block, { rank: 3, seed: 7 });
      expect(trainable(block)).to.have.lengthOf(2 * paths.length);
      expect(block.weights).to.have.lengthOf(count + 2 * paths.length);
      const start = apply();
      expect(start.dataSync(), 'before it has learned').to.deep.equal(plain.dataSync());
      const target = tf.tidy(() => tf.add(plain, named('target', plain.shape)));
      const losses = train(block, apply, target);
      expect(losses.at(-1)).to.be.below(0.98 * losses[0]!);
      expect(stored(block), 'stored weights').to.deep.equal(before);
      const learned = apply();

      const folder = await mkdtemp(join(tmpdir(), 'svd-lora-'));
      const file = join(folder, 'mine.safetensors');
      await saveLora(block, file);
      unloadLora(block);
      const without = apply();
      expect(without.dataSync(), 'without it').to.deep.equal(plain.dataSync());
      expect(await loadLora(block, file, { name: 'again' })).to.equal('again');
      await rm(folder, { recursive: true });
      const again = apply();
      expect(again.dataSync(), 'loaded again').to.deep.equal(learned.dataSync());
      expect(trainable(block)).to.deep.equal([]);
      fuseLora(block);
      tf.dispose([...inputs, plain, start, target, learned, without, again]);
      block.dispose();
      expect(tf.memory().numTensors, 'tensors').to.equal(tensors);
    });
  }

  it('is refused by `model.save`, which would store what no model loads, until it is unloaded', async () => {
    const attention = new Attention({
      ...{ queryDim: 8, heads: 2, dimHead: 4, inputShape: [5, 8] },
    });
    const model = tf.sequential({ layers: [attention] });
    await fillByName(attention);
    const x = named('x', [2, 5, 8]);
    const plain = model.predict(x) as tf.Tensor;
    let artifacts: tf.io.ModelArtifacts | undefined;
    const handler = tf.io.withSaveHandler(async (saved) => {
      artifacts = saved;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    });
    const save = () => model.save(handler).then(() => 'saved', messageOf);
    for (const prepare of [() => addLora(model, { targets: ['to_q'] }), () => fuseLora(model)]) {
      prepare();
      expect(await save()).to.equal(
        'The layer "to_q" has LoRA, which saved models and copies of layers do not hold. Write ' +
          'them by `saveLora`, and call `unloadLora` first.',
      );
    }
    expect(artifacts).to.equal(undefined);
    unloadLora(model);
    expect(await save()).to.equal('saved');
    const again = await tf.loadLayersModel(tf.io.fromMemory(artifacts!));
    const loaded = again.predict(x) as tf.Tensor;
    expect(loaded.dataSync()).to.deep.equal(plain.dataSync());
    tf.dispose([x, plain, loaded]);
    again.dispose();
    model.dispose();
  });

  it('is written as peft does, with what its alpha and ranks are', async () => {
    const attention = new Attention({ queryDim: 8, heads: 2, dimHead: 4 });
    addLora(attention, { rank: 2, alpha: 3, targets: ['to_q', 'to_out.0'], name: 'mine' });
    const folder = await mkdtemp(join(tmpdir(), 'svd-lora-'));
    const path = join(folder, 'mine.safetensors');
    await saveLora(attention, path, { dtype: 'float16' });
    const file = await openSafetensors(path);
    await file.close();
    await rm(folder, { recursive: true });
    attention.dispose();
    expect(
      Object.fromEntries(file.names().map((name) => [name, file.info(name).shape])),
    ).to.deep.equal({
      'to_out.0.lora_A.weight': [2, 8],
      'to_out.0.lora_B.weight': [8, 2],
      'to_q.lora_A.weight': [2, 8],
      'to_q.lora_B.weight': [8, 2],
    });
    expect(JSON.parse(file.metadata.lora_adapter_metadata!)).to.deep.equal({
      ...{ r: 2, lora_alpha: 3, target_modules: ['to_q', 'to_out.0'] },
      ...{ rank_pattern: {}, alpha_pattern: {} },
    });
  });

  it('refuses what cannot be meant', () => {
    const attention = new Attention({ queryDim: 8, heads: 2, dimHead: 4 });
    const message = (work: () => unknown) => {
      try {
        work();
      } catch (error) {
        return (error as Error).message;
      }
      return 'nothing';
    };
    expect(message(() => addLora(attention, { targets: ['to_x'] }))).to.equal(
      '`targets` names to_x, but the layers end with to_q, to_k, to_v, to_out.0.',
    );
    expect(message(() => addLora(attention, { targets: [] }))).to.include(
      '`targets` names no layer',
    );
    expect(message(() => addLora(attention, { rank: 0 }))).to.include('`rank` has to be');
    expect(message(() => addLora(attention, { alpha: Number.NaN }))).to.include(
      '`alpha` has to be',
    );
    expect(message(() => addLora({} as AnyBlock))).to.include('`addLora` takes a layer');
    expect(message(() => addLora(tf.sequential() as never))).to.include('no linear map');
    expect(attention.trainableWeights.length, 'nothing is frozen').to.be.above(0);
    addLora(attention, { name: 'mine' });
    expect(message(() => addLora(attention, { name: 'mine' }))).to.include(
      'There is a LoRA of the name "mine" already.',
    );
    expect(message(() => setLoraScales(attention, { other: 1 }))).to.equal(
      'There is no LoRA of the name "other". The names are mine.',
    );
    for (const scale of [Number.NaN, Number.POSITIVE_INFINITY, '1', null])
      expect(message(() => setLoraScales(attention, { mine: scale as number }))).to.include(
        '`scales.mine` has to be a finite number',
      );
    expect(message(() => unloadLora(attention, 'other'))).to.include('no LoRA of the name');
    attention.dispose();
  });
});
