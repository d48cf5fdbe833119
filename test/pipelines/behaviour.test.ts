/**
 * The sampling call's outputs, callbacks, guidance and batches on the smallest pipeline. Numbers
 * against diffusers are in parity.test.ts.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { SamplingPipeline } from '../../src/pipelines/stableVideoDiffusion.ts';
import type { CallbackTensors, Progress, StepCallback } from '../../src/pipelines/types.ts';
import { Generator } from '../../src/random/generator.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { inputValues } from '../harness/nameHash.ts';
import { type Options, options, otherPicture, picture, tinyPipeline } from '../harness/tiny.ts';

/**
 * Batches of other sizes order float32 sums otherwise, here over two steps of which the first
 * starts at a noise level of 700.
 */
const ROUNDING = 1e-4;

let pipe: SamplingPipeline;
before(async () => {
  pipe = await tinyPipeline();
});
after(() => pipe.dispose());

/** The values of a call's latents, one array for each video. */
async function latentsOf(image = [picture], changed: Options = {}): Promise<Float32Array[]> {
  const { frames } = await pipe.generate(image, {
    ...options,
    generator: new Generator(1),
    ...changed,
    outputType: 'latent',
  });
  const data = Float32Array.from(await frames.data());
  const [videos] = frames.shape as [number];
  frames.dispose();
  return Array.from({ length: videos }, (_, i) =>
    data.slice((i * data.length) / videos, ((i + 1) * data.length) / videos),
  );
}

function expectSame(actual: Float32Array[], expected: Float32Array[]): void {
  expect(actual).to.have.lengthOf(expected.length);
  for (const [i, values] of actual.entries())
    expect(relativeL2(values, expected[i]!), `video ${i}`).to.be.at.most(ROUNDING);
}

describe('outputs of the sampling call', () => {
  const seeded = () => ({ ...options, generator: new Generator(5) });

  it('are pictures, values, a tensor or latents, all of the same video', async () => {
    const before = tf.memory().numTensors;
    const { frames: pictures } = await pipe.generate(picture, seeded());
    const { frames: values } = await pipe.generate(picture, { ...seeded(), outputType: 'array' });
    const { frames: tensor } = await pipe.generate(picture, { ...seeded(), outputType: 'tensor' });
    const { frames: latents } = await pipe.generate(picture, { ...seeded(), outputType: 'latent' });
    expect(tf.memory().numTensors - before, 'tensors left').to.equal(2);

    expect(values.shape).to.deep.equal([1, 2, 8, 16, 3]);
    expect(values.data.every((value) => value >= 0 && value <= 1)).to.equal(true);
    expect(tensor.shape).to.deep.equal(values.shape);
    expect(await tensor.data()).to.deep.equal(values.data);
    expect(latents.shape).to.deep.equal([1, 2, 4, 8, 4]);
    expect(
      pictures.map((video) => video.map(({ width, height }) => [width, height])),
    ).to.deep.equal([
      [
        [16, 8],
        [16, 8],
      ],
    ]);
    const bytes = pictures.flat().flatMap(({ data }) => [...data]);
    expect(bytes).to.deep.equal([
      ...new Uint8ClampedArray(values.data.map((value) => Math.fround(value * 255))),
    ]);

    tf.dispose([tensor, latents]);
  });

  it('stand alone with returnDict false', async () => {
    const frames = await pipe.generate(picture, {
      ...seeded(),
      outputType: 'array',
      returnDict: false,
    });
    const { frames: same } = await pipe.generate(picture, {
      ...seeded(),
      outputType: 'array',
      returnDict: true,
    });
    expect(frames).to.deep.equal(same);
  });
});

describe('callbackOnStepEnd', () => {
  it('is shown the step, the timestep and the tensors it asked for', async () => {
    const calls: [number, number, Record<string, number[]>][] = [];
    const callbackOnStepEnd: StepCallback = (caller, step, timestep, tensors) => {
      expect(caller).to.equal(pipe);
      calls.push([
        step,
        timestep,
        Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape])),
      ]);
      return undefined;
    };
    const names = ['latents', 'imageEmbeddings', 'imageLatents', 'addedTimeIds'];
    names.push('predOriginalSample');
    await latentsOf([picture], { callbackOnStepEnd, callbackOnStepEndTensorInputs: names });
    const shapes = {
      latents: [1, 2, 4, 8, 4],
      imageEmbeddings: [1, 1, 8],
      imageLatents: [1, 4, 8, 4],
      addedTimeIds: [1, 3],
      predOriginalSample: [1, 2, 4, 8, 4],
    };
    const [first, second] = pipe.scheduler.timesteps;
    expect(calls).to.deep.equal([
      [0, first, shapes],
      [1, second, shapes],
    ]);
  });

  it('gets the latents alone by default, and changes nothing by looking', async () => {
    const seen: string[][] = [];
    const callbackOnStepEnd: StepCallback = async (_pipe, _step, _timestep, tensors) => {
      seen.push(Object.keys(tensors));
      return tensors;
    };
    expectSame(await latentsOf([picture], { callbackOnStepEnd }), await latentsOf());
    expect(seen).to.deep.equal([['latents'], ['latents']]);
  });

  it('replaces the latents', async () => {
    const before = tf.memory().numTensors;
    const callbackOnStepEnd = (
      _pipe: unknown,
      step: number,
      _timestep: number,
      { latents }: CallbackTensors,
    ) => (step === 1 ? { latents: tf.fill(latents!.shape, 0.5) } : undefined);
    const [video] = await latentsOf([picture], { callbackOnStepEnd });
    expect(video!.every((value) => value === 0.5)).to.equal(true);
    expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
  });

  it('may not change their shape', async () => {
    const before = tf.memory().numTensors;
    const error = await latentsOf([picture], {
      callbackOnStepEnd: () => ({ latents: tf.zeros([1, 2, 4, 8, 3]) }),
    }).catch((e) => e);
    expect(error.message).to.equal(
      '`callbackOnStepEnd` has to return latents of shape [1,2,4,8,4] but returned [1,2,4,8,3].',
    );
    expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
  });
});

describe('onProgress', () => {
  it('counts the blocks of the image encoder, the steps, and the frames', async () => {
    const seen: Progress[] = [];
    await pipe.generate(picture, {
      ...options,
      numFrames: 3,
      decodeChunkSize: 2,
      onProgress: (progress) => seen.push(progress),
    });
    const counted = (stage: Progress['stage'], done: number[], steps: number) =>
      done.map((step) => ({ stage, step, steps }));
    expect(seen).to.deep.equal([
      ...counted('encoding', [1, 2, 3, 4, 5, 6], 6),
      ...counted('sampling', [0, 1, 2], 2),
      ...counted('decoding', [0, 2, 3], 3),
    ]);
  });
});

describe('guidance', () => {
  /** How many videos go into the UNet at each of its runs in a call of two steps. */
  async function unetRuns(changed: Options & { numFrames: number }): Promise<number[]> {
    const { unet } = pipe;
    const steps = unet.cachedSteps;
    const runs: number[] = [];
    unet.cachedSteps = (inputs, ...others) => {
      runs.push(inputs[0]!.shape[0]! / changed.numFrames);
      return steps.call(unet, inputs, ...others);
    };
    try {
      await latentsOf([picture], changed);
    } finally {
      unet.cachedSteps = steps;
    }
    return runs;
  }

  for (const [min, max, frames, halves] of [
    [1, 3, 2, 2],
    [1, 1, 2, 1],
    [0.5, 0.9, 2, 1],
    // diffusers decides by the last frame's scale before the loop and by any frame's in it, and
    // ends with an error on this one.
    [2, 1, 2, 2],
    // One frame has the first scale, with which diffusers ends with an error too.
    [1, 3, 1, 1],
    [2, 3, 1, 2],
  ] as const) {
    it(
      `from ${min} to ${max} over ${frames} frames evaluates ${halves} of its halves, as one ` +
        'batch or in turn',
      async () => {
        const call = { minGuidanceScale: min, maxGuidanceScale: max, numFrames: frames };
        expect(await unetRuns(call)).to.deep.equal([halves, halves]);
        expect(await unetRuns({ ...call, guidanceTogether: false })).to.deep.equal(
          Array(2 * halves).fill(1),
        );
      },
    );
  }

  it('gives the same with its halves in turn', async () => {
    expectSame(
      await latentsOf([picture], { guidanceTogether: false }),
      await latentsOf([picture], {}),
    );
  });

  it('above 1 in the first frame alone leaves the last one unguided', async () => {
    // Over one step, frames only meet inside the UNet, so the last frame's latents are those
    // without guidance.
    const one = { numInferenceSteps: 1 };
    const [guided] = await latentsOf([picture], {
      ...one,
      minGuidanceScale: 2,
      maxGuidanceScale: 1,
    });
    const [plain] = await latentsOf([picture], { ...one, maxGuidanceScale: 1 });
    const half = plain!.length / 2;
    expectSame([guided!.slice(half)], [plain!.slice(half)]);
    expect(relativeL2(guided!.slice(0, half), plain!.slice(0, half))).to.be.above(100 * ROUNDING);
  });
});

describe('batches', () => {
  const quiet = { noiseAugStrength: 0 };

  it('several videos of several pictures: each keeps to its picture', async () => {
    // diffusers mixes the pictures up here (svd-goldens.json,
    // latent_list_AB_x2_upstream_order_bug).
    const latents = tf.tensor(inputValues('latents', [4, 2, 4, 8, 4]).data, [4, 2, 4, 8, 4]);
    const ours = await latentsOf([picture, otherPicture], {
      ...quiet,
      latents,
      numVideosPerPrompt: 2,
    });
    expectSame(
      ours,
      await latentsOf([picture, picture, otherPicture, otherPicture], { ...quiet, latents }),
    );
    expect(latents.isDisposed).to.equal(false);
    latents.dispose();
  });

  it('a list of generators: each video is as if it were alone', async () => {
    const together = await latentsOf([picture, otherPicture], {
      generator: [new Generator(1), new Generator(2)],
    });
    const alone = [
      ...(await latentsOf([picture], { generator: new Generator(1) })),
      ...(await latentsOf([otherPicture], { generator: new Generator(2) })),
    ];
    expectSame(together, alone);
  });

  it('a list of one generator is that generator', async () => {
    expectSame(await latentsOf([picture], { generator: [new Generator(1)] }), await latentsOf());
  });

  it('equal seeds give equal videos, other seeds others', async () => {
    expectSame(await latentsOf(), await latentsOf());
    const [[a], [b]] = [
      await latentsOf(),
      await latentsOf([picture], { generator: new Generator(2) }),
    ];
    expect(relativeL2(a!, b!)).to.be.above(0.1);
  });

  it('decoding never mixes the frames of two videos, whatever the chunk', async () => {
    // diffusers cuts the flattened batch: three frames by two would put the last of one video and
    // the first of the next together.
    const latents = tf.tensor4d(inputValues('latents', [6, 4, 8, 4]).data, [6, 4, 8, 4]);
    for (const chunk of [1, 2, 3, 5]) {
      const together = await pipe.decodeLatents(latents, 3, chunk);
      expect(together.shape).to.deep.equal([2, 3, 8, 16, 3]);
      const alone = [];
      for (const video of [0, 1]) {
        const part = tf.slice4d(latents, [video * 3, 0, 0, 0], [3, -1, -1, -1]);
        alone.push(...(await pipe.decodeLatents(part, 3, chunk)).data);
        part.dispose();
      }
      expect(relativeL2(together.data, alone), `chunks of ${chunk}`).to.be.at.most(1e-6);
    }
    latents.dispose();
  });

  it('refuses what `decodeLatents` cannot use', async () => {
    const latents = tf.zeros([2, 4, 8, 4]);
    const decode = pipe.decodeLatents.bind(pipe) as (...args: unknown[]) => Promise<unknown>;
    for (const [args, message] of [
      [[latents], '`decodeLatents` needs `numFrames`, a whole number of at least 1.'],
      [[latents, 2], '`decodeLatents` needs `decodeChunkSize`, a whole number of at least 1.'],
      [[latents, 2, 1, null], 'The options of `decodeLatents` have to be an object but are null.'],
      [[latents, 2, 1, { on_progress() {} }], '`decodeLatents` has no option `on_progress`. Use'],
    ] as const) {
      const error = await decode(...args).then(
        () => undefined,
        (error: Error) => error,
      );
      expect(error?.message).to.include(message);
    }
    latents.dispose();
  });
});
