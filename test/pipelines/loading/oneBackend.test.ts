/** Pipelines of one process are on one backend. */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import { options, picture } from '../../harness/tiny.ts';
import { testBackend } from '../../setup.ts';

const tiny = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));
const load = (backend?: 'cpu' | 'wasm' | 'tensorflow' | 'webgpu' | 'auto') =>
  StableVideoDiffusionPipeline.fromPretrained(tiny, { backend });
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error) => error.message,
  );
const other = testBackend === 'cpu' ? 'wasm' : 'cpu';

describe('a second pipeline', () => {
  afterEach(async () => {
    await tf.setBackend(testBackend);
  });

  it('is refused on another backend, and joins that of the first if it may choose', async () => {
    const first = await load(testBackend);
    expect(await refusal(load(other))).to.equal(
      `Pipelines of one process have to be on one backend: one is on ${testBackend}, so that ` +
        `this one cannot be on ${other}. Dispose of the other first, or use \`backend\` ` +
        `${testBackend}.`,
    );
    expect(tf.getBackend()).to.equal(testBackend);
    const second = await load('auto');
    expect(tf.getBackend()).to.equal(testBackend);
    first.dispose();
    expect(await refusal(load(other))).to.include('have to be on one backend');
    second.dispose();
    (await load(other)).dispose();
  });

  it('is refused, too, where both are loaded at once', async () => {
    // Which of them comes first depends on how fast its files are found.
    const both = await Promise.allSettled([load(testBackend), load(other)]);
    const at = both.findIndex(({ status }) => status === 'fulfilled');
    expect(both[1 - at]).to.have.property('status', 'rejected');
    expect(tf.getBackend()).to.equal([testBackend, other][at]);
    for (const result of both) if (result.status === 'fulfilled') result.value.dispose();
  });

  it('waits for a first one that still computes when it is disposed of', async () => {
    const first = await load(testBackend);
    const size = { ...options, height: 32, width: 32 };
    const call = first.generate(picture, size);
    first.dispose();
    const second = await load(other);
    await call;
    second.dispose();
  });

  it('does not count when it could not be loaded', async () => {
    const failed = StableVideoDiffusionPipeline.fromPretrained(tiny, {
      ...{ backend: testBackend, dtype: 'float64' as 'float32' },
    });
    expect(await refusal(failed)).to.include('`dtype` has to be');
    (await load(other)).dispose();
  });
});

describe('a call on another backend than its pipeline', () => {
  it('is refused with the way back', async () => {
    const pipe = await load(testBackend);
    await tf.setBackend(other);
    expect(await refusal(pipe.generate(picture, options))).to.equal(
      `The pipeline is on the ${testBackend} backend but the backend is ${other} now. Switch ` +
        `back by \`tf.setBackend('${testBackend}')\` before the call.`,
    );
    await tf.setBackend(testBackend);
    pipe.dispose();
  });
});
