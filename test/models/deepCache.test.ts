/**
 * The UNet's shallow evaluations against DeepCache's published code, with the tolerance of models.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { Steps } from '../../src/layers/index.ts';
import { UNetSpatioTemporalConditionModel } from '../../src/models/index.ts';
import {
  expectClose,
  type Fixture,
  fixtureNames,
  readFixture,
  toOurs,
} from '../harness/fixtures.ts';
import { fillByName, inputValues } from '../harness/nameHash.ts';
import { testBackend } from '../setup.ts';

const TOLERANCE = 3e-5;
const isFast = ['tensorflow', 'wasm'].includes(testBackend);

/** Runs steps to their end, and lists their paths. */
function drain<T>(steps: Steps<T>): { paths: string[]; result: T } {
  const paths: string[] = [];
  for (;;) {
    const { done, value } = steps.next();
    if (done) return { paths, result: value };
    paths.push(value);
  }
}

/** The inputs of a step of a fixture. */
function inputsOf({ name, kwargs, config }: Fixture, step: number): tf.Tensor[] {
  const shape = kwargs.shape as number[];
  const timestep = (kwargs.timesteps as number[])[step];
  const context = `${name}.encoder_hidden_states`;
  return [
    toOurs({ ...inputValues(`${name}.sample.${step}`, shape), axes: 'BFCHW' }),
    tf.tensor1d([timestep]),
    toOurs({
      ...inputValues(context, [shape[0], 1, config.crossAttentionDim as number]),
      axes: '',
    }),
    tf.tile(tf.tensor2d([[6, 127, 0.02]]), [shape[0], 1]),
  ];
}

async function unetOf({ config }: Fixture): Promise<UNetSpatioTemporalConditionModel> {
  const unet = new UNetSpatioTemporalConditionModel(config);
  await fillByName(unet);
  return unet;
}

describe('the shallow evaluations of DeepCache', () => {
  for (const file of fixtureNames('deep-cache')) {
    const name = file.replace('.safetensors', '');
    it(`are those of the published code: ${name} @slow`, async function () {
      // Elsewhere they take minutes. The smallest one runs the same kernels.
      if (!isFast && name !== 'two-layers-odd') this.skip();
      const fixture = await readFixture('deep-cache', file);
      const unet = await unetOf(fixture);
      const numFrames = (fixture.kwargs.shape as number[])[1];
      const inputs = (fixture.kwargs.timesteps as number[]).map((_, step) =>
        inputsOf(fixture, step),
      );
      const before = tf.memory().numTensors;
      const branches = new Set<number>();
      const states = new Map<string, tf.Tensor>();
      for (const key of Object.keys(fixture.tensors).filter((key) => !key.startsWith('full'))) {
        const [branch, full, step] = key.split('.').map(Number);
        branches.add(branch);
        const known = `${branch}.${full}`;
        if (!states.has(known)) {
          const { result } = drain(unet.cachedSteps(inputs[full], { numFrames }, branch));
          const [output, state] = result;
          states.set(known, state);
          const expected = fixture.tensors[`full.${full}`];
          await expectClose(output, expected, TOLERANCE, `${known} in full`, 'deep cache');
          expect(state.shape).to.deep.equal(unet.deepCacheState(inputs[full][0].shape, branch));
        }
        const shallow = [...inputs[step], states.get(known)!];
        const { result } = drain(unet.cachedSteps(shallow, { numFrames }, branch));
        expect(result).to.have.lengthOf(1);
        await expectClose(result[0], fixture.tensors[key], TOLERANCE, key, 'deep cache');
      }
      expect([...branches].sort((a, b) => a - b)).to.deep.equal(
        Array.from({ length: unet.deepCacheBranches }, (_, branch) => branch),
      );
      tf.dispose([...states.values()]);
      expect(tf.memory().numTensors).to.equal(before);
      tf.dispose(inputs);
      unet.dispose();
    });
  }

  it('run the outer layers alone, in the order of an evaluation in full', async function () {
    if (!isFast) this.skip(); // the order of calls is the same on every backend
    const fixture = await readFixture('deep-cache', 'one-layer-odd.safetensors');
    const unet = await unetOf(fixture);
    const inputs = inputsOf(fixture, 0);
    const kwargs = { numFrames: 2 };
    const plain = drain(unet.steps(inputs, kwargs));
    for (let branch = 0; branch < unet.deepCacheBranches; branch++) {
      const full = drain(unet.cachedSteps(inputs, kwargs, branch));
      expect(full.paths).to.deep.equal(plain.paths);
      expect(await full.result[0].data()).to.deep.equal(await plain.result.data());
      const { paths, result } = drain(
        unet.cachedSteps([...inputs, full.result[1]], kwargs, branch),
      );
      // Of the same inputs, so that nothing has changed since the state was kept.
      expect(await result[0].data()).to.deep.equal(await plain.result.data());
      expect(plain.paths.filter((path) => paths.includes(path))).to.deep.equal(paths);
      expect(paths.some((path) => path.startsWith('mid_block'))).to.equal(false);
      const layers = paths.filter((path) => /^(down|up)_blocks\.\d+\.resnets\.\d+$/.test(path));
      expect(layers.filter((path) => path.startsWith('up'))).to.have.lengthOf(branch + 2);
      tf.dispose([full.result, result]);
    }
    tf.dispose([inputs, plain.result]);
    unet.dispose();
  });

  it('refuse a branch that the UNet lacks', async () => {
    const fixture = await readFixture('deep-cache', 'two-layers-odd.safetensors');
    const unet = new UNetSpatioTemporalConditionModel(fixture.config);
    expect(() => unet.cachedSteps([tf.zeros([1, 5, 7, 8])], { numFrames: 1 }, 8).next()).to.throw(
      '`deepCache.branch` (--deep-cache INTERVAL:BRANCH) has to be from 0 to 7 for this UNet but is 8.',
    );
    unet.dispose();
  });
});
