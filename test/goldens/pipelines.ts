/**
 * Whole sampling calls against svd-goldens.json: latents in diffusers' axis order, frames as
 * diffusers returns them.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { clipPixelValues, vaePixelValues } from '../../src/media/preprocess.ts';
import type { SamplingPipeline } from '../../src/pipelines/stableVideoDiffusion.ts';
import type { FloatArray, GenerateOptions, ImageInput } from '../../src/pipelines/types.ts';
import { toOurs, toTheirs } from '../harness/fixtures.ts';
import { departures, expectSummary, golden, type Values } from '../harness/goldens.ts';
import { inputPicture, inputValues } from '../harness/nameHash.ts';
import { pipelineByName } from '../harness/pipelines.ts';
import { pipelines } from './configs.ts';

type Options = Omit<GenerateOptions, 'returnDict' | 'outputType'>;

/** Latents `[B, F, C, h, w]` of a name, as the call takes them: `[B, F, h, w, C]`. */
function namedLatents(name: string, shape: [number, number, number, number, number]): tf.Tensor {
  const [videos, frames, c, h, w] = shape;
  return tf.tidy(() =>
    tf.reshape(toOurs({ ...inputValues(name, shape), axes: 'BFCHW' }), [videos, frames, h, w, c]),
  );
}

/** Latents of a call in diffusers' order. */
async function latentsOf(
  pipe: SamplingPipeline,
  image: ImageInput,
  options: Options,
): Promise<Values> {
  const { frames } = await pipe.generate(image, { ...options, outputType: 'latent' });
  const values = tf.transpose(frames, [0, 1, 4, 2, 3]);
  frames.dispose();
  return toTheirs(values, '');
}

/** `[B, F, H, W, 3]` as diffusers' `pt` output `[B, F, 3, H, W]`. */
async function pt({ data, shape }: { data: Float32Array; shape: number[] }): Promise<Values> {
  return toTheirs(
    tf.tidy(() => tf.transpose(tf.tensor(data, shape), [0, 1, 4, 2, 3])),
    '',
  );
}

describe('sampling of a tensor image, numbers of svd-goldens.json', () => {
  const path = ['models', 'pipeline_tiny'];
  let pipe: SamplingPipeline;
  let image: tf.Tensor;
  let latents: tf.Tensor;
  let options: Options;

  before(async () => {
    pipe = await pipelineByName(pipelines.pipeline_tiny);
    image = toOurs({ ...inputValues('pipe.image', [1, 3, 32, 32], 0, 1), axes: 'NCHW' });
    latents = namedLatents('pipe.latents', [1, 2, 4, 16, 16]);
    options = {
      ...{ latents, height: 32, width: 32, numFrames: 2, numInferenceSteps: 2 },
      ...{
        minGuidanceScale: 1,
        maxGuidanceScale: 2.5,
        fps: 7,
        motionBucketId: 127,
        noiseAugStrength: 0,
      },
    };
  });

  after(() => {
    pipe.dispose();
    tf.dispose([image, latents]);
  });

  it('frames after 2 steps, and what they are made of', async () => {
    const stages: Record<string, Values> = {};
    const onStage = (name: string, value: Values) => {
      stages[name] = value;
    };
    const { frames } = await pipe.generate<'array'>(image, {
      ...options,
      outputType: 'array',
      onStage,
    });
    const embeddings = stages.image_embeddings!;
    expectSummary(
      { data: embeddings.data, shape: embeddings.shape },
      ...path,
      'clip_embed_of_image',
    );
    expectSummary(stages.image_latents!, ...path, 'vae_mode_of_image_minus1_1');
    expect(stages.latents_step_1!.shape).to.deep.equal(golden(...path, 'latent_2steps_shape'));
    expectSummary(stages.latents_step_1!, ...path, 'latent_2steps');
    expect(frames.shape).to.deep.equal(golden(...path, 'np_shape'));
    const values = await pt(frames);
    expect(values.shape).to.deep.equal(golden(...path, 'pt_shape'));
    expectSummary(values, ...path, 'pt_2steps');

    const last = toOurs({ ...(stages.latents_step_1 as FloatArray), axes: 'BFCHW' }) as tf.Tensor4D;
    const oneByOne = await pipe.decodeLatents(last, 2, 1);
    last.dispose();
    expectSummary(await pt(oneByOne), ...path, 'pt_2steps_decode_chunk1');
  });

  const variants: Record<string, Options> = {
    latent_2steps_nocfg_max1: { maxGuidanceScale: 1 },
    latent_4steps: { numInferenceSteps: 4 },
    latent_fps24_mb40: { fps: 24, motionBucketId: 40 },
    'latent_custom_sigmas_[700,54.5,7.977,0.403,0.002,0]': {
      sigmas: [700, 54.5, 7.977, 0.403, 0.002, 0],
    },
  };
  for (const [name, changed] of Object.entries(variants)) {
    it(name, async () => {
      expectSummary(await latentsOf(pipe, image, { ...options, ...changed }), ...path, name);
    });
  }

  it('latent_2steps_num_videos2', async () => {
    const two = namedLatents('pipe.latents', [2, 2, 4, 16, 16]);
    const values = await latentsOf(pipe, image, {
      ...options,
      latents: two,
      numVideosPerPrompt: 2,
    });
    expectSummary(values, ...path, 'latent_2steps_num_videos2');
    two.dispose();
  });
});

describe('sampling of pictures, numbers of svd-goldens.json', () => {
  const [a, b] = [inputPicture('pil.A', 48, 40), inputPicture('pil.B', 48, 40)];
  const options = {
    height: 40,
    width: 32,
    numFrames: 3,
    numInferenceSteps: 3,
    noiseAugStrength: 0,
  };
  let pipe: SamplingPipeline;

  before(async () => {
    pipe = await pipelineByName(pipelines.pipeline_pil);
  });
  after(() => pipe.dispose());

  const latents = (videos: number) => namedLatents('pil.latents', [videos, 3, 4, 20, 16]);

  it('one picture, from its pixels to 8-bit frames', async () => {
    const pixels = vaePixelValues([a], 40, 32);
    expectSummary(
      await toTheirs(tf.tensor(pixels.data, pixels.shape), 'NCHW'),
      'pipeline_pil',
      'vae_input_32x40',
    );
    expect(clipPixelValues([a]).shape).to.deep.equal([1, 224, 224, 3]);
    const stages: Record<string, Values> = {};
    const start = latents(1);
    const onStage = (name: string, value: Values) => {
      stages[name] = value;
    };
    const { frames } = await pipe.generate(a, { ...options, latents: start, onStage });
    start.dispose();
    expectSummary(stages.image_embeddings!, 'pipeline_pil', 'clip_embeds_A');
    expectSummary(stages.latents_step_2!, 'pipeline_pil', 'latent_A');
    expectSummary(stages.frames!, 'pipeline_pil', 'np_A');

    const [video] = frames;
    const [first, , third] = video!;
    expect([frames.length, video!.length, [first!.width, first!.height]]).to.deep.equal(
      golden('pipeline_pil', 'pil_A_len'),
    );
    // 99.5 % of the bytes have to be equal and none may be off by more than 1.
    const sum = first!.data.reduce((total, byte) => total + byte, 0);
    expect(sum).to.be.closeTo(
      golden('pipeline_pil', 'pil_A_frame0_sum'),
      0.005 * first!.data.length,
    );
    const pixelBytes = golden<number[][]>('pipeline_pil', 'pil_A_frame2_first4px').flat();
    for (const [i, byte] of pixelBytes.entries())
      expect(third!.data[i], `byte ${i} of frame 2`).to.be.closeTo(byte, 1);
  });

  it('two pictures', async () => {
    const start = latents(2);
    expectSummary(
      await latentsOf(pipe, [a, b], { ...options, latents: start }),
      'pipeline_pil',
      'latent_list_AB',
    );
    start.dispose();
  });

  it('two pictures with two videos each: unlike upstream, every video keeps to its own picture @slow', async () => {
    // diffusers orders the embeddings A, A, B, B and the picture latents A, B, A, B, so that its
    // second and third videos are conditioned on two different pictures (diffusers issue 13627). We
    // order both A, A, B, B: the first and the last video agree, the others don't. That ours is the
    // sensible result is held against diffusers by the fixture two-images-two-videos.
    const path = ['pipeline_pil', 'latent_list_AB_x2_upstream_order_bug'];
    const start = latents(4);
    const ours = await latentsOf(pipe, [a, b], {
      ...options,
      latents: start,
      numVideosPerPrompt: 2,
    });
    start.dispose();
    const fields = departures(ours, ...path).map((line) => line.split(' ')[0]);
    expect(fields).to.include.members(['sum', 'abs_sum', 'mid4']);
    expect(fields).to.not.include.members(['first8']);
    expect(fields).to.not.include.members(['last4']);
  });
});
