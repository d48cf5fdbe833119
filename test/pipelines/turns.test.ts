/** Calls at the same time: they queue, and their results are those of one after the other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { OffloadMode } from '../../src/memory/offloadModes.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { SamplingPipeline } from '../../src/pipelines/stableVideoDiffusion.ts';
import type { GenerateOptions } from '../../src/pipelines/types.ts';
import { Generator } from '../../src/random/generator.ts';
import { options, otherPicture, picture, tinyPipeline } from '../harness/tiny.ts';
import { testBackend } from '../setup.ts';

const shipped = fileURLToPath(new URL('../../weights/tiny', import.meta.url));

const call = async (pipe: SamplingPipeline, seed: number, changed: GenerateOptions = {}) => {
  const generator = new Generator(seed);
  const all = {
    ...options,
    generator,
    ...changed,
    outputType: 'array',
    returnDict: false,
  } as const;
  return (await pipe.generate(seed % 2 ? picture : otherPicture, all)).data;
};

/** Steps of calls as they happen, to see that none mixes with another. */
function watched(log: string[], name: string): GenerateOptions {
  return {
    onProgress: ({ stage }) =>
      void (log.at(-1) !== `${name} ${stage}` && log.push(`${name} ${stage}`)),
  };
}

describe('calls of one pipeline at the same time', () => {
  let pipe: SamplingPipeline;
  before(async () => {
    pipe = await tinyPipeline();
  });
  after(() => pipe.dispose());

  it('run in order, with the results of one after the other', async () => {
    // The sizes of schedules differ, so that a shared one would show.
    const steps = [3, 2, 4];
    const changed = steps.map((numInferenceSteps) => ({ numInferenceSteps }));
    const expected = [];
    for (const [i, one] of changed.entries()) expected.push(await call(pipe, i, one));
    const log: string[] = [];
    const together = await Promise.all(
      changed.map((one, i) => call(pipe, i, { ...one, ...watched(log, `${i}`) })),
    );
    expect(together).to.deep.equal(expected);
    const stages = ['encoding', 'sampling', 'decoding'];
    expect(log).to.deep.equal([0, 1, 2].flatMap((i) => stages.map((stage) => `${i} ${stage}`)));
  });

  it('draw from a generator that they share in order', async () => {
    const both = async (atOnce: boolean) => {
      const generator = new Generator(7);
      const first = call(pipe, 1, { generator });
      if (!atOnce) await first;
      return [await first, await call(pipe, 1, { generator })];
    };
    const inOrder = await both(false);
    const generator = new Generator(7);
    const atOnce = await Promise.all([1, 1].map((seed) => call(pipe, seed, { generator })));
    expect(atOnce).to.deep.equal(inOrder);
  });

  it('go on after one that fails', async () => {
    const expected = await call(pipe, 2);
    const broken = call(pipe, 1, {
      onProgress: () => {
        throw new Error('broken');
      },
    });
    const [first, second] = await Promise.allSettled([broken, call(pipe, 2)]);
    expect(first).to.have.nested.property('reason.message', 'broken');
    expect(second).to.have.property('value').that.deep.equals(expected);
  });

  it('stop at once when they are cancelled while they wait', async () => {
    const controller = new AbortController();
    const events: string[] = [];
    const first = call(pipe, 1).then(() => events.push('first'));
    const waiting = call(pipe, 2, { signal: controller.signal }).catch((error) => {
      events.push(error.message);
    });
    const third = call(pipe, 3).then(() => events.push('third'));
    controller.abort(new Error('enough'));
    await Promise.all([first, waiting, third]);
    expect(events).to.deep.equal(['enough', 'first', 'third']);
  });

  it('refuse wrong options at once', async () => {
    const events: string[] = [];
    const first = call(pipe, 1).then(() => events.push('first'));
    await call(pipe, 2, { numFrames: 0 }).catch(() => events.push('refused'));
    await first;
    expect(events).to.deep.equal(['refused', 'first']);
  });

  it('share their turns with other pipelines of the same models', async () => {
    const other = new SamplingPipeline({ ...pipe.components });
    const expected = [await call(pipe, 1), await call(other, 2, { numInferenceSteps: 3 })];
    const together = [call(pipe, 1), call(other, 2, { numInferenceSteps: 3 })];
    expect(await Promise.all(together)).to.deep.equal(expected);
  });

  it('let a callback decode', async () => {
    const frames: number[] = [];
    const expected = await call(pipe, 1);
    const decoding = call(pipe, 1, {
      callbackOnStepEnd: async (caller, _step, _timestep, { latents }) => {
        const flat = tf.reshape(latents!, [2, 4, 8, 4]) as tf.Tensor4D;
        const decoded = await caller.decodeLatents(flat, 2, 2);
        flat.dispose();
        frames.push(decoded.shape[1]!);
        return undefined;
      },
    });
    expect(await decoding).to.deep.equal(expected);
    expect(frames).to.deep.equal([2, 2]);
  });

  for (const [when, wait] of [
    ['at once', () => undefined],
    ['after it has waited', () => new Promise((resolve) => setTimeout(resolve))],
  ] as const) {
    it(`refuse a call that a callback would wait for, made ${when}`, async () => {
      const other = await tinyPipeline();
      const nesting = (inner: () => Promise<unknown>) =>
        call(pipe, 1, {
          callbackOnStepEnd: async () => {
            await wait();
            await inner();
            return undefined;
          },
        }).catch((error) => error.message);
      const refusal = 'cannot wait for another call of the same pipeline';
      expect(await nesting(() => call(pipe, 2))).to.include(refusal);
      const callbackOnStepEnd = async () => {
        await wait();
        await call(pipe, 3);
        return undefined;
      };
      expect(await nesting(() => call(other, 2, { callbackOnStepEnd }))).to.include(refusal);
      expect(await nesting(() => call(other, 2))).to.deep.equal(await call(pipe, 1));
      other.dispose();
    });
  }

  it('make calls that a callback has begun for later', async () => {
    const expected = [await call(pipe, 1), await call(pipe, 2)];
    let begin = (_: unknown) => {};
    const later = new Promise((resolve) => {
      begin = resolve;
    });
    let second: Promise<unknown> | undefined;
    const callbackOnStepEnd = () => {
      second ??= later.then(() => call(pipe, 2));
      return undefined;
    };
    const first = await call(pipe, 1, { callbackOnStepEnd });
    begin(undefined);
    expect([first, await second]).to.deep.equal(expected);
  });

  it('decode in turn from outside', async () => {
    const latents = tf.randomNormal([2, 4, 8, 4], 0, 1, 'float32', 1) as tf.Tensor4D;
    const expected = [await call(pipe, 1), (await pipe.decodeLatents(latents, 2, 1)).data];
    const decoding = pipe.decodeLatents(latents, 2, 1).then(({ data }) => data);
    expect(await Promise.all([call(pipe, 1), decoding])).to.deep.equal(expected);
    latents.dispose();
  });
});

describe('dispose', () => {
  const gone = 'The pipeline has been disposed of. Load it again before using it.';
  const refusal = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      (error) => error.message,
    );

  it('lets calls end that were made before, and refuses others', async () => {
    const before = tf.memory().numTensors;
    const pipe = await tinyPipeline();
    const expected = [await call(pipe, 1), await call(pipe, 2)];
    const calls = [call(pipe, 1), call(pipe, 2)];
    pipe.dispose();
    expect(await refusal(call(pipe, 3))).to.equal(gone);
    expect(await Promise.all(calls)).to.deep.equal(expected);
    await new Promise((resolve) => setTimeout(resolve));
    expect(tf.memory().numTensors).to.equal(before);
    pipe.dispose();
    expect(await refusal(call(pipe, 3))).to.equal(gone);
    const latents = tf.zeros<tf.Rank.R4>([2, 4, 8, 4]);
    expect(await refusal(pipe.decodeLatents(latents, 2, 2))).to.equal(gone);
    latents.dispose();
  });

  it('refuses calls of other pipelines with the same models', async () => {
    const pipe = await tinyPipeline();
    const other = new SamplingPipeline({ ...pipe.components });
    pipe.dispose();
    expect(await refusal(call(other, 1))).to.equal(gone);
    other.dispose();
  });
});

describe('two pipelines at the same time', () => {
  const size = { height: 16, width: 16, numFrames: 2 };
  const load = (offload: OffloadMode) =>
    StableVideoDiffusionPipeline.fromPretrained(shipped, { backend: testBackend, offload });
  const make = async (pipe: SamplingPipeline, seed: number, steps: number) => {
    const generator = new Generator(seed);
    const given = { ...size, numInferenceSteps: steps, generator, outputType: 'array' } as const;
    return (await pipe.generate(picture, given)).frames.data;
  };

  for (const offload of ['none', 'model', 'sequential'] as const) {
    it(`load at once and make what each makes by itself, with offload ${offload}${offload === 'sequential' ? '' : ' @slow'}`, async () => {
      const [one, other] = await Promise.all([load(offload), load(offload)]);
      // Several times, as small models are recorded once they have run for a while.
      const expected = [await make(one, 1, 1), await make(other, 2, 2)];
      for (let i = 0; i < 2; i++) {
        const together = await Promise.all([make(one, 1, 1), make(other, 2, 2)]);
        expect(together).to.deep.equal(expected);
      }
      one.dispose();
      other.dispose();
    });
  }

  it('do not load in the callback of one that is disposed of', async () => {
    const pipe = await load('none');
    const callbackOnStepEnd = async () => {
      pipe.dispose();
      await load('none');
      return undefined;
    };
    const nested = pipe.generate(picture, { ...size, numInferenceSteps: 1, callbackOnStepEnd });
    const message = await nested.catch((error) => error.message);
    expect(message).to.include('nor for the pipeline to be freed');
  });

  it('save while they make', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'svd-turns-'));
    const pipe = await load('none');
    const expected = await make(pipe, 1, 2);
    const [frames] = await Promise.all([make(pipe, 1, 2), pipe.savePretrained(join(folder, 'a'))]);
    const saving = pipe.savePretrained(join(folder, 'b'));
    pipe.dispose();
    await saving;
    expect(frames).to.deep.equal(expected);
    const copy = await StableVideoDiffusionPipeline.fromPretrained(join(folder, 'b'), {
      backend: testBackend,
    });
    expect(await make(copy, 1, 2)).to.deep.equal(expected);
    copy.dispose();
    rmSync(folder, { recursive: true });
  });
});
