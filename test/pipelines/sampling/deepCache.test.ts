/** DeepCache and guidance in an interval of noise levels, within sampling calls. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { KeptStates } from '../../../src/pipelines/sampling/deepCache.ts';
import type { SamplingPipeline } from '../../../src/pipelines/stableVideoDiffusion.ts';
import { Generator } from '../../../src/random/generator.ts';
import { isWithin } from '../../../src/schedulers/sigmas.ts';
import { relativeL2 } from '../../harness/fixtures.ts';
import { type Options, options, otherPicture, picture, tinyPipeline } from '../../harness/tiny.ts';

describe('KeptStates', () => {
  /** The frames of each state that a step gets, and whether it keeps others. */
  function run(interval: number, steps: number[][]): number[][] {
    const before = tf.memory().numTensors;
    let got: number[][];
    {
      using kept = new KeptStates({ interval });
      got = steps.map((frames, step) => {
        const states = kept.forStep(step, frames);
        const shapes = states.map(({ shape }) => shape[0]);
        if (states.length === 0) for (const count of frames) kept.keep([tf.zeros([count, 1])]);
        return shapes;
      });
    }
    expect(tf.memory().numTensors).to.equal(before);
    return got;
  }

  it('keep nothing at interval 1', () => {
    expect(new KeptStates({ interval: 1, branch: 7 }).branch).to.equal(undefined);
    expect(new KeptStates().branch).to.equal(undefined);
    expect(new KeptStates({ interval: 2 }).branch).to.equal(1);
  });

  it('serve all steps but one of so many', () => {
    expect(run(3, [[4], [4], [4], [4], [4]])).to.deep.equal([[], [4], [4], [], [4]]);
    expect(run(2, Array(4).fill([2, 2]))).to.deep.equal([[], [2, 2], [], [2, 2]]);
  });

  it('serve the conditional half alone where guidance ends', () => {
    expect(run(5, [[4], [2], [2]])).to.deep.equal([[], [2], [2]]);
    expect(run(5, [[2, 2], [2], [2]])).to.deep.equal([[], [2], [2]]);
  });

  it('do not serve where guidance begins, nor again after it has ended', () => {
    expect(run(5, [[2], [4], [4]])).to.deep.equal([[], [], [4]]);
    expect(run(5, [[2], [2, 2], [2, 2]])).to.deep.equal([[], [], [2, 2]]);
    expect(run(5, [[4], [2], [4], [4]])).to.deep.equal([[], [2], [], [4]]);
  });

  it('take the last frames of a batch of both halves', () => {
    using kept = new KeptStates({ interval: 2 });
    kept.keep([tf.tensor2d([[1], [2], [3], [4]])]);
    expect(Array.from(kept.forStep(1, [2])[0].dataSync())).to.deep.equal([3, 4]);
  });
});

describe('isWithin', () => {
  it('counts the bounds in, as float32', () => {
    expect(isWithin(Math.fround(0.002), [0.002, 0.002])).to.equal(true);
    expect(isWithin(Math.fround(54.3), [0, 54.3])).to.equal(true);
    expect(isWithin(0.5, [0.6, 1])).to.equal(false);
    expect(isWithin(2, [0.6, 1])).to.equal(false);
    expect(isWithin(700, undefined)).to.equal(true);
  });
});

describe('calls with less per step', () => {
  let pipe: SamplingPipeline;
  before(async () => {
    pipe = await tinyPipeline();
  });
  after(() => pipe.dispose());

  // Sigmas 700, 135, 15.6, 0.68 and 0.002.
  const call: Options = { ...options, numInferenceSteps: 5 };

  async function latentsOf(changed: Options, image = [picture]): Promise<Float32Array> {
    const { frames } = await pipe.generate(image, {
      ...{ ...call, generator: new Generator(1), ...changed },
      outputType: 'latent',
    });
    const values = (await frames.data()) as Float32Array;
    frames.dispose();
    return values;
  }

  /** Evaluations of the UNet, and those of its middle block, in each step. */
  async function evaluations(changed: Options): Promise<[all: number, inFull: number][]> {
    const steps: [number, number][] = [[0, 0]];
    await latentsOf({
      ...changed,
      onBlock(path) {
        if (path === 'unet.conv_in') steps.at(-1)![0]++;
        if (
          path === 'unet.mid_block.resnets.0' ||
          path === 'unet.mid_block.resnets.0.spatial_res_block'
        )
          steps.at(-1)![1]++;
        if (path === 'scheduler') steps.push([0, 0]);
      },
    });
    return steps.slice(0, -1);
  }

  it('are the plain call to the bit at interval 1, and where all levels have guidance', async () => {
    const plain = await latentsOf({});
    for (const changed of [
      { deepCache: { interval: 1 } },
      { deepCache: { interval: 1, branch: 2 } },
      { guidanceInterval: [0, 1000] as const },
      { guidanceInterval: [0, Number.POSITIVE_INFINITY] as const },
    ])
      expect(await latentsOf(changed), JSON.stringify(changed)).to.deep.equal(plain);
    expect(await latentsOf({ deepCache: { interval: 2 } })).not.to.deep.equal(plain);
  });

  it('are those without guidance where no level has it', async () => {
    const unguided = await latentsOf({ maxGuidanceScale: 1 });
    expect(await latentsOf({ guidanceInterval: [1000, 2000] })).to.deep.equal(unguided);
    expect(await latentsOf({ maxGuidanceScale: 1, guidanceInterval: [0, 1] })).to.deep.equal(
      unguided,
    );
  });

  it('evaluate only what they need', async () => {
    const inTurn = { guidanceTogether: false };
    expect(await evaluations({ deepCache: { interval: 2 } })).to.deep.equal([
      ...[
        [1, 1],
        [1, 0],
        [1, 1],
        [1, 0],
      ],
      [1, 1],
    ]);
    expect(await evaluations({ ...inTurn, guidanceInterval: [0.01, 200] })).to.deep.equal([
      ...[
        [1, 1],
        [2, 2],
        [2, 2],
        [2, 2],
      ],
      [1, 1],
    ]);
    const both = { guidanceInterval: [0.01, 200] as const, deepCache: { interval: 4, branch: 0 } };
    expect(await evaluations({ ...inTurn, ...both })).to.deep.equal([
      ...[
        [1, 1],
        [2, 2],
        [2, 0],
        [2, 0],
      ],
      [1, 1],
    ]);
  });

  it('give the same with halves in turn and together, of several videos', async () => {
    const call: Options = {
      ...{ numVideosPerPrompt: 2, guidanceInterval: [0.01, 200] },
      deepCache: { interval: 3, branch: 0 },
    };
    const [together, inTurn] = [
      await latentsOf({ ...call, guidanceTogether: true }, [picture, otherPicture]),
      await latentsOf({ ...call, guidanceTogether: false }, [picture, otherPicture]),
    ];
    expect(relativeL2(inTurn, together)).to.be.below(1e-5);
  });

  it('go on with latents that a callback returns', async () => {
    const seen: number[] = [];
    const values = await latentsOf({
      deepCache: { interval: 2 },
      callbackOnStepEnd: async (_pipe, step, _timestep, { latents }) => {
        seen.push(step);
        return { latents: tf.zerosLike(latents) };
      },
    });
    expect(seen).to.deep.equal([0, 1, 2, 3, 4]);
    expect(values.every((value) => value === 0)).to.equal(true);
  });

  it('refuse what is no interval, and a branch that the UNet lacks', async () => {
    const refused: [unknown, string][] = [
      [{ deepCache: { interval: 2, branch: 3 } }, 'has to be from 0 to 2 for this UNet but is 3.'],
      [{ deepCache: { interval: 1, branch: 3 } }, 'has to be from 0 to 2 for this UNet but is 3.'],
      [{ deepCache: { interval: 0 } }, '`deepCache` has to be an object of a whole number'],
      [{ deepCache: { interval: 2, branch: -1 } }, '`deepCache` has to be an object of a whole'],
      [{ deepCache: { branch: 1 } }, '`deepCache` has to be an object of a whole'],
      [{ deepCache: { interval: 2, branches: 1 } }, '`deepCache` has to be an object of a whole'],
      [{ deepCache: 2 }, '`deepCache` has to be an object of a whole'],
      [{ guidanceInterval: [2, 1] }, '`guidanceInterval` has to be two noise levels of 0 or more'],
      [{ guidanceInterval: [-1, 1] }, '`guidanceInterval` has to be two noise levels'],
      [{ guidanceInterval: [0, Number.NaN] }, '`guidanceInterval` has to be two noise levels'],
      [{ guidanceInterval: [1] }, '`guidanceInterval` has to be two noise levels'],
      [{ guidanceInterval: ['0', '1'] }, '`guidanceInterval` has to be two noise levels'],
    ];
    for (const [changed, message] of refused) {
      const error: Error = await latentsOf(changed as Options).then(
        () => new Error('It did not fail.'),
        (thrown) => thrown,
      );
      expect(error.message).to.contain(message);
    }
  });
});
