/** Evaluations of models are recorded when they should be, and recordings make the same videos. */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../src/backends/index.ts';
import { Linear } from '../../src/layers/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import type { GenerateOptions } from '../../src/pipelines/types.ts';
import { Generator } from '../../src/random/generator.ts';
import { recordGraph } from '../../src/recording/recordGraph.ts';
import { type RecordGraph, Replays } from '../../src/recording/replay.ts';
import { inputPicture } from '../harness/nameHash.ts';
import { testBackend } from '../setup.ts';

const tiny = fileURLToPath(new URL('../../weights/tiny', import.meta.url));
const held = () => ({ tensors: tf.memory().numTensors, native: nativeHandleCount() });

/** A recorder that logs calls, and whose graphs return ones. */
function recorder() {
  const log: string[] = [];
  const record: RecordGraph = (_inputs, weights, compute) => {
    log.push(`record with ${weights.length} weights`);
    const results = compute();
    const shapes = results.map(({ shape }) => shape);
    const run = () => {
      log.push('replay');
      return shapes.map((shape) => tf.ones(shape));
    };
    return { results, graph: { run, dispose: () => log.push('free') } };
  };
  return { log, record };
}

const model = () => {
  const linear = new Linear({ name: 'linear', inFeatures: 2, outFeatures: 2 });
  linear.build();
  return linear;
};

describe('Replays', () => {
  const layer = model();
  after(() => layer.dispose());

  /**
   * Doubles an input `[size, 2]` in two blocks, and returns the reported paths and the result.
   */
  async function evaluate(
    replays: Replays,
    { size = 3, replayKey = [] as unknown[], signal = undefined as AbortSignal | undefined } = {},
  ) {
    const paths: string[] = [];
    const x = tf.fill([size, 2], 4);
    const steps = function* ([x]: tf.Tensor[]) {
      yield 'first';
      yield 'second';
      return tf.mul(x, 2);
    };
    try {
      const result = await replays.run(
        { model: layer, inputs: [x], replayKey, steps },
        { signal, onStep: (path) => paths.push(path) },
      );
      const [value] = result.dataSync();
      result.dispose();
      return { paths, value };
    } finally {
      x.dispose();
    }
  }

  it('records what has taken its time, then replays it, and reports the same blocks', async () => {
    const before = tf.memory().numTensors;
    const { log, record } = recorder();
    const replays = new Replays(record, { worthwhileMs: 1e-6 });
    const [eager, recorded, replayed] = [
      await evaluate(replays),
      await evaluate(replays),
      await evaluate(replays),
    ];
    expect(log).to.deep.equal(['record with 2 weights', 'replay']);
    expect([eager.value, recorded.value, replayed.value]).to.deep.equal([8, 8, 1]);
    for (const { paths } of [eager, recorded, replayed])
      expect(paths).to.deep.equal(['first', 'second']);
    replays.dispose();
    expect(log.at(-1)).to.equal('free');
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('neither records nor replays while a weight is adapted', async () => {
    const { log, record } = recorder();
    const replays = new Replays(record, { worthwhileMs: 0 });
    await evaluate(replays);
    layer.adaptWeight = (weight) => tf.mul(weight, 2);
    expect((await evaluate(replays)).value).to.equal(8);
    layer.adaptWeight = undefined;
    expect((await evaluate(replays)).value).to.equal(1);
    expect(log).to.deep.equal(['record with 2 weights', 'replay']);
    replays.dispose();
  });

  it('records nothing that is slow, or not worth it', async () => {
    const { log, record } = recorder();
    for (const replays of [
      new Replays(record, { worthwhileMs: 1e-6, longestMs: 0 }),
      new Replays(record, { worthwhileMs: 1e6 }),
    ]) {
      for (let i = 0; i < 3; i++) expect((await evaluate(replays)).value).to.equal(8);
    }
    expect(log).to.deep.equal([]);
  });

  it('keeps other shapes, settings, weights and precisions apart', async () => {
    const { log, record } = recorder();
    const replays = new Replays(record, { worthwhileMs: 0 });
    const variants = [{}, { size: 4 }, { replayKey: [2] }];
    for (const variant of variants) await evaluate(replays, variant);
    layer.computeDtype = testBackend === 'tensorflow' ? 'bfloat16' : 'float32';
    await evaluate(replays);
    layer.computeDtype = 'float32';
    const precisions = testBackend === 'tensorflow' ? 1 : 0;
    expect(log.filter((entry) => entry.startsWith('record'))).to.have.length(
      variants.length + precisions,
    );
    expect(log.filter((entry) => entry === 'replay')).to.have.length(1 - precisions);
    replays.dispose();
  });

  it('lets the oldest recordings make room', async () => {
    const { log, record } = recorder();
    const replays = new Replays(record, { worthwhileMs: 0 });
    for (let size = 1; size <= 10; size++) await evaluate(replays, { size });
    expect(log.filter((entry) => entry === 'free')).to.have.length(2);
    replays.dispose();
    expect(log.filter((entry) => entry === 'free')).to.have.length(10);
  });

  it('stops before a recording and before a replay', async () => {
    const { log, record } = recorder();
    const replays = new Replays(record, { worthwhileMs: 0 });
    const stopped = { signal: AbortSignal.abort(new Error('enough')) };
    const message = (run: Promise<unknown>) => run.then(String, (error: Error) => error.message);
    expect(await message(evaluate(replays, stopped))).to.equal('enough');
    await evaluate(replays);
    expect(await message(evaluate(replays, stopped))).to.equal('enough');
    expect(log).to.deep.equal(['record with 2 weights']);
    replays.dispose();
  });
});

(testBackend === 'tensorflow' ? describe : describe.skip)('recorded models', () => {
  const picture = inputPicture('picture', 20, 12);

  /** Frames of a short video, which is decoded in chunks of two sizes. */
  async function generate(
    pipe: StableVideoDiffusionPipeline,
    replays?: Replays,
    changed: Omit<GenerateOptions, 'returnDict'> = {},
  ) {
    pipe.components.replays = replays;
    const options = {
      height: 32,
      width: 32,
      numFrames: 3,
      decodeChunkSize: 2,
      numInferenceSteps: 2,
      generator: new Generator(1),
      ...changed,
    };
    return (await pipe.generate(picture, { ...options, outputType: 'array' })).frames.data;
  }

  it('make the same frames to the bit, with weights in half and in float32', async () => {
    const before = held();
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(tiny, { backend: testBackend });
    const wanted = await generate(pipe);
    const replays = new Replays(recordGraph, { worthwhileMs: 0 });
    const recorded = await generate(pipe, replays);
    const used = held();
    expect(recorded, 'while it is recorded').to.deep.equal(wanted);
    const replayed = await generate(pipe, replays);
    expect(replayed, 'from recordings').to.deep.equal(wanted);
    expect(held()).to.deep.equal(used);
    for (const model of [pipe.unet, pipe.vae, pipe.imageEncoder]) model.getWeights();
    expect(await generate(pipe, replays), 'with weights in float32').to.deep.equal(wanted);
    pipe.dispose();
    expect(held()).to.deep.equal(before);
  });

  it('make the same frames to the bit with less per step', async () => {
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(tiny, { backend: testBackend });
    const less = {
      ...{ numInferenceSteps: 6, deepCache: { interval: 3 } },
      guidanceInterval: [0.1, 1000] as const,
    };
    const changed = () => ({ ...less, generator: new Generator(1) });
    const wanted = await generate(pipe, undefined, changed());
    const before = held();
    const replays = new Replays(recordGraph, { worthwhileMs: 0 });
    for (const what of ['while it is recorded', 'from recordings'])
      expect(await generate(pipe, replays, changed()), what).to.deep.equal(wanted);
    replays.dispose();
    expect(held()).to.deep.equal(before);
    pipe.dispose();
  });

  it('make the same frames to the bit in half precision, with feed-forwards in slices', async () => {
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(tiny, {
      backend: testBackend,
      dtype: 'bfloat16',
    });
    pipe.unet.enableForwardChunking(1, 1);
    const wanted = await generate(pipe);
    expect(await generate(pipe, new Replays(recordGraph, { worthwhileMs: 0 }))).to.deep.equal(
      wanted,
    );
    pipe.dispose();
  });
});
