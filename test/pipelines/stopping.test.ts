/**
 * Calls that are cancelled or fail: the reason is handed on, and neither a tensor nor a native
 * handle is left.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../src/backends/index.ts';
import type { SamplingPipeline } from '../../src/pipelines/stableVideoDiffusion.ts';
import type { Progress } from '../../src/pipelines/types.ts';
import { type Options, options, picture, tinyPipeline } from '../harness/tiny.ts';

/** Tensors that TensorFlow.js and native code hold. */
const held = () => ({ tensors: tf.memory().numTensors, native: nativeHandleCount() });

let pipe: SamplingPipeline;
before(async () => {
  pipe = await tinyPipeline();
  // Native backends take weights over when they are first used.
  await pipe.generate(picture, options);
});
after(() => pipe.dispose());

/** What a call with `changed` options rejects with, once it has been seen to leave nothing. */
async function rejection(changed: Options): Promise<unknown> {
  const before = held();
  const reason = await pipe.generate(picture, { ...options, ...changed }).then(
    () => 'It did not stop.',
    (error: unknown) => error,
  );
  expect(held()).to.deep.equal(before);
  return reason;
}

describe('a cancelled call', () => {
  const reason = new Error('enough');

  it('that was cancelled before it began', async () => {
    const seen: Progress[] = [];
    expect(
      await rejection({
        signal: AbortSignal.abort(reason),
        onProgress: (progress) => seen.push(progress),
      }),
    ).to.equal(reason);
    expect(seen).to.deep.equal([]);
  });

  /**
   * Cancels when the given point of progress is reached, or as soon as the event loop has a turn
   * after it.
   */
  function cancelAt(stage: Progress['stage'], step: number, later = false): Options {
    const controller = new AbortController();
    const onProgress = (progress: Progress) => {
      if (progress.stage !== stage || progress.step !== step) return;
      if (later) setTimeout(() => controller.abort(reason));
      else controller.abort(reason);
    };
    return { signal: controller.signal, onProgress };
  }

  for (const [what, changed] of Object.entries({
    'in the image encoder': () => cancelAt('encoding', 1),
    'after the image encoder': () => cancelAt('encoding', 6),
    'before the first step': () => cancelAt('sampling', 0),
    'within the first step, between two blocks': () => cancelAt('sampling', 0, true),
    'between two steps': () => cancelAt('sampling', 1),
    'within the second step': () => cancelAt('sampling', 1, true),
    'before decoding': () => cancelAt('decoding', 0),
    'within decoding, between two blocks': () => cancelAt('decoding', 0, true),
    'between two chunks of frames': () => ({ ...cancelAt('decoding', 1), decodeChunkSize: 1 }),
  })) {
    it(`that is cancelled ${what}`, async () => {
      expect(await rejection(changed())).to.equal(reason);
    });
  }

  for (const guidanceTogether of [true, false])
    it(`that keeps states of the UNet, of halves ${guidanceTogether ? 'together' : 'in turn'}`, async () => {
      const saving = {
        ...{ guidanceTogether, numInferenceSteps: 4, deepCache: { interval: 2 } },
        guidanceInterval: [0, 50] as const,
      };
      for (const [step, later] of [0, 1, 2, 3].flatMap(
        (step) =>
          [
            [step, 0],
            [step, 1],
          ] as const,
      )) {
        const cancelled = { ...saving, ...cancelAt('sampling', step, later === 1) };
        expect(await rejection(cancelled)).to.equal(reason);
      }
    });

  it('that is cancelled in the VAE, when it encodes', async () => {
    const controller = new AbortController();
    const onStage = (name: string) => {
      if (name === 'image_noise') controller.abort(reason);
    };
    expect(await rejection({ signal: controller.signal, onStage })).to.equal(reason);
  });

  it('rejects with an AbortError where no reason was given', async () => {
    expect(await rejection({ signal: AbortSignal.abort() })).to.have.property('name', 'AbortError');
  });

  it('leaves a pipeline that works', async () => {
    const { frames } = await pipe.generate(picture, options);
    expect(frames[0]).to.have.lengthOf(2);
  });
});

describe('a failed call', () => {
  const broken = new Error('broken');
  const fail = () => {
    throw broken;
  };

  it('by its callback', async () => {
    expect(await rejection({ callbackOnStepEnd: fail })).to.equal(broken);
    expect(await rejection({ callbackOnStepEnd: async () => fail() })).to.equal(broken);
  });

  it('by its listeners', async () => {
    expect(await rejection({ onProgress: fail })).to.equal(broken);
    for (const stage of [
      'image_embeddings',
      'image_noise',
      'image_latents',
      'added_time_ids',
      'initial_latents',
      'latents_step_0',
      'frames',
    ]) {
      expect(
        await rejection({ onStage: (name) => (name === stage ? fail() : undefined) }),
      ).to.equal(broken);
    }
  });

  it('by sigmas that are none, before anything is computed', async () => {
    const seen: Progress[] = [];
    const error = await rejection({
      sigmas: [700, Number.NaN, 0],
      onProgress: (progress) => seen.push(progress),
    });
    expect(error)
      .to.have.property('message')
      .that.includes('`sigmas` has to hold finite noise levels');
    expect(seen).to.deep.equal([]);
  });

  it('by latents that are not finite, naming the step', async () => {
    const { variable } = pipe.unet.parameters().find(({ key }) => key === 'conv_out.bias')!;
    const good = tf.clone(variable.read());
    const bad = tf.fill(good.shape, Number.NaN);
    variable.write(bad);
    bad.dispose();
    const message = (step: number) =>
      `The latents are not finite after step ${step} of 2. The weight conv_out.bias of ` +
      'UNetSpatioTemporalConditionModel is not finite: check the model folder, or try the ' +
      'float32 files.';
    try {
      await pipe.generate(picture, options).catch(() => undefined);
      expect(await rejection({})).to.have.property('message', message(1));
    } finally {
      variable.write(good);
      good.dispose();
    }
    const spoil: Options['callbackOnStepEnd'] = (_pipe, step, _timestep, { latents }) =>
      step === 0 ? { latents: tf.fill(latents!.shape, Number.POSITIVE_INFINITY) } : undefined;
    const spoiled = '`callbackOnStepEnd` returned latents that are not finite after step 1.';
    expect(await rejection({ callbackOnStepEnd: spoil })).to.have.property('message', spoiled);
  });

  it('by a UNet with other widths of its added time ids', async () => {
    const { additionTimeEmbedDim } = pipe.unet.args;
    pipe.unet.args.additionTimeEmbedDim = 7;
    try {
      expect(await rejection({}))
        .to.have.property('message')
        .that.includes(
          'Model expects an added time embedding vector of length 24, but a vector of 21',
        );
    } finally {
      pipe.unet.args.additionTimeEmbedDim = additionTimeEmbedDim;
    }
  });
});

describe('a pipeline', () => {
  it('leaves nothing after a call but what it returns', async () => {
    const before = held();
    await pipe.generate(picture, options);
    expect(held()).to.deep.equal(before);
    const deepCache = { interval: 3 };
    await pipe.generate(picture, { ...options, numInferenceSteps: 5, deepCache });
    expect(held()).to.deep.equal(before);
  });

  it('frees everything when it is disposed of, used or not', async () => {
    for (const used of [false, true]) {
      const before = held();
      const other = await tinyPipeline();
      const weights = [other.unet, other.vae, other.imageEncoder].reduce(
        (sum, model) => sum + model.parameters().length,
        0,
      );
      expect(held().tensors - before.tensors).to.equal(weights);
      if (used) await other.generate(picture, options);
      other.dispose();
      expect(held()).to.deep.equal(before);
    }
  });
});
