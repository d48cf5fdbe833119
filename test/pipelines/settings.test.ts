/**
 * Defaults of the sampling call, and the sentence that each wrong value gets before anything is
 * computed.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { callLimits } from '../../src/pipelines/defaults.ts';
import { type CallConstraints, checkCall } from '../../src/pipelines/settings.ts';
import type { GenerateOptions, ImageInput } from '../../src/pipelines/types.ts';
import { Generator } from '../../src/random/generator.ts';
import { shown } from '../../src/text/messages.ts';
import { otherPicture, picture } from '../harness/tiny.ts';

const facts: CallConstraints = {
  numFrames: 14,
  sampleSize: 96,
  scaleFactor: 8,
  latentChannels: 4,
  deepCacheBranches: 3,
};

describe('defaults of the sampling call', () => {
  it("are diffusers'", () => {
    const { generator, ...rest } = checkCall(picture, {}, facts);
    expect(generator).to.be.instanceOf(Generator);
    expect(rest).to.deep.equal({
      ...{
        batch: 1,
        height: 576,
        width: 1024,
        numFrames: 14,
        numInferenceSteps: 25,
        sigmas: undefined,
        schedule: undefined,
      },
      ...{
        minGuidanceScale: 1,
        maxGuidanceScale: 3,
        fps: 7,
        motionBucketId: 127,
        noiseAugStrength: 0.02,
        guidanceInterval: undefined,
        deepCache: undefined,
      },
      ...{
        guidanceTogether: true,
        decodeChunkSize: 14,
        numVideosPerPrompt: 1,
        latents: undefined,
        outputType: 'image',
      },
      callbackOnStepEndTensorInputs: ['latents'],
    });
  });

  it('decode as many frames at a time as there are', () => {
    expect(checkCall(picture, { numFrames: 5 }, facts).decodeChunkSize).to.equal(5);
    expect(
      checkCall(picture, { numFrames: 5, decodeChunkSize: 2 }, facts).decodeChunkSize,
    ).to.equal(2);
  });

  it('take a size of 0 for that of the UNet in training, if it has one', () => {
    const sizes = (sampleSize: number | null) => {
      const { height, width } = checkCall(
        picture,
        { height: 0, width: 0 },
        { ...facts, sampleSize },
      );
      return [height, width];
    };
    expect(sizes(96)).to.deep.equal([768, 768]);
    expect(sizes(null)).to.deep.equal([576, 1024]);
  });

  it('count the pictures', () => {
    const tensor = tf.zeros([3, 4, 4, 3]);
    const batches = ([picture, [picture, otherPicture], tensor] as ImageInput[]).map(
      (image) => checkCall(image, {}, facts).batch,
    );
    expect(batches).to.deep.equal([1, 2, 3]);
    tensor.dispose();
  });

  it('draw a new seed each time', () => {
    const seeds = [1, 2].map(
      () => (checkCall(picture, {}, facts).generator as Generator).initialSeed,
    );
    expect(seeds[0]).to.not.equal(seeds[1]);
  });
});

type Wrong = Record<string, [unknown, string]>;

describe('wrong options of the sampling call', () => {
  const whole = ['numFrames', 'decodeChunkSize', 'height', 'width'];
  for (const name of whole) {
    it(`${name} that is no whole number of at least 1`, () => {
      for (const value of [
        -8,
        1.5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        '8',
        ...(/height|width/.test(name) ? [] : [0]),
      ]) {
        const message = `\`${name}\` has to be a whole number of at least 1 but is ${shown(value)}.`;
        expect(() => checkCall(picture, { [name]: value }, facts)).to.throw(message);
      }
    });
  }

  for (const [name, most] of Object.entries(callLimits)) {
    it(`${name} that is no whole number, or more than a call can list`, () => {
      for (const value of [0, 1.5, Number.NaN, '8', most + 1, 1e9]) {
        const message = `\`${name}\` has to be a whole number from 1 to ${most} but is ${shown(value)}.`;
        expect(() => checkCall(picture, { [name]: value }, facts)).to.throw(message);
      }
    });
  }

  for (const name of [
    'minGuidanceScale',
    'maxGuidanceScale',
    'fps',
    'motionBucketId',
    'noiseAugStrength',
  ]) {
    it(`${name} that is no finite number`, () => {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, '7', true]) {
        expect(() => checkCall(picture, { [name]: value }, facts)).to.throw(
          `\`${name}\` has to be a finite number but is ${shown(value)}.`,
        );
      }
    });
  }

  it('sizes that 8 does not divide, with the nearest that it does', () => {
    for (const [height, width, near] of [
      [570, 1020, '568 and 1016'],
      [576, 1021, '576 and 1024'],
      [3, 1024, '8 and 1024'],
    ] as const) {
      expect(() => checkCall(picture, { height, width }, facts)).to.throw(
        `\`height\` and \`width\` have to be divisible by 8 but are ${height} and ${width}. ` +
          `Try ${near}.`,
      );
    }
  });

  const wrong: Wrong = {
    outputType: ['pil', '`outputType` has to be one of image, array, tensor, latent but is pil.'],
    callbackOnStepEndTensorInputs: [
      ['latents', 'prompt'],
      '`callbackOnStepEndTensorInputs` may name latents, imageEmbeddings, imageLatents, ' +
        'addedTimeIds, predOriginalSample but names prompt.',
    ],
    generator: [
      [new Generator(1), new Generator(2), new Generator(3)],
      'You have passed a list of generators of length 3, but requested an effective batch ' +
        'size of 2. ' +
        'Make sure the batch size matches the length of the generators.',
    ],
  };
  for (const [name, [value, message]] of Object.entries(wrong)) {
    it(name, () => {
      const options = { numVideosPerPrompt: 2, [name]: value } as GenerateOptions;
      expect(() => checkCall(picture, options, facts)).to.throw(message);
    });
  }

  const others: [unknown, string][] = [
    [{ seed: 5 }, '`generate` has no option `seed`. Use `generator: new Generator(5)`.'],
    [{ num_inference_steps: 2 }, 'no option `num_inference_steps`. Use `numInferenceSteps`.'],
    [{ steps: 2 }, 'no option `steps`. Use `numInferenceSteps`.'],
    [{ guidance_scale: 2 }, 'no option `guidance_scale`. Use `maxGuidanceScale`.'],
    [{ prompt: 'a rocket' }, 'no option `prompt`. Its options are `height`, `width`, '],
    [
      { generator: 42 },
      '`generator` has to be a Generator or a list of them but is 42. Pass `new Generator(42)`.',
    ],
    [{ generator: [1, 2] }, '`generator` has to be a Generator or a list of them but is [1,2].'],
    [{ generator: Math.random }, 'a Generator or a list of them but is a function.'],
    [
      { latents: new Float32Array(4) },
      '`latents` has to be a float32 tensor but is a Float32Array.',
    ],
    [{ sigmas: 700 }, '`sigmas` has to be a list but is 700.'],
    [{ callbackOnStepEnd: 'log' }, '`callbackOnStepEnd` has to be a function but is "log".'],
    [{ callbackOnStepEndTensorInputs: 'latents' }, 'has to be a list but is "latents".'],
    [{ guidanceTogether: 'yes' }, '`guidanceTogether` has to be true or false but is "yes".'],
    [{ returnDict: 0 }, '`returnDict` has to be true or false but is 0.'],
    [{ signal: new AbortController() }, "Pass the controller's `signal`."],
    [{ onProgress: {} }, '`onProgress` has to be a function but is an Object.'],
    [null, 'The options of `generate` have to be an object but are null.'],
    ['fast', 'The options of `generate` have to be an object but are "fast".'],
  ];
  for (const [given, message] of others) {
    it(`${JSON.stringify(given)}`, () => {
      expect(() => checkCall(picture, given as GenerateOptions, facts)).to.throw(message);
    });
  }

  it('a tensor that is gone or of whole numbers', () => {
    const whole = tf.zeros([1, 14, 72, 128, 4], 'int32');
    const check = () => checkCall(picture, { latents: whole }, facts);
    expect(check).to.throw('`latents` has to be a float32 tensor but is a Tensor. It is int32.');
    whole.dispose();
    expect(check).to.throw('It has been disposed of.');
  });

  it('an empty list of generators', () => {
    expect(() => checkCall(picture, { generator: [] }, facts)).to.throw(
      'a list of generators of length 0, but requested an effective batch size of 1',
    );
  });

  it('latents of another shape', () => {
    const latents = tf.zeros([1, 2, 4, 8, 4]);
    const options = { latents, numFrames: 2, height: 32, width: 72 };
    expect(() => checkCall(picture, options, facts)).to.throw(
      '`latents` has to be of shape [1,2,4,9,4] (videos, frames, height, width, channels) for ' +
        'these settings but is [1,2,4,8,4].',
    );
    expect(checkCall(picture, { ...options, width: 64 }, facts).latents).to.equal(latents);
    latents.dispose();
  });
});

describe('wrong pictures for the sampling call', () => {
  const wrong: Record<string, [unknown, string]> = {
    'an empty list': [[], '`image` has to hold at least one picture but is an empty list.'],
    'a path': [
      'rocket.png',
      '`image` has to be a picture of `loadImage`, a list of them or a tensor but is "rocket.png".',
    ],
    nothing: [
      undefined,
      '`image` has to be a picture of `loadImage`, a list of them or a tensor but is undefined.',
    ],
    'a list with something else in it': [
      [picture, new Uint8Array(3)],
      '`image` has to be a picture of `loadImage`, a list of them or a tensor but is a Uint8Array.',
    ],
    'a picture with too few bytes': [
      { ...picture, width: 21 },
      'A picture of 21x12 pixels has to hold 756 bytes of RGB but holds 720.',
    ],
  };
  for (const [what, [image, message]] of Object.entries(wrong)) {
    it(what, () => {
      expect(() => checkCall(image as ImageInput, {}, facts)).to.throw(message);
    });
  }

  const pixels = (changes: object) => ({
    width: 2,
    height: 1,
    data: new Uint8Array(6),
    ...changes,
  });
  for (const [what, image, message] of [
    [
      'floats',
      pixels({ data: new Float32Array(6) }),
      'a Uint8Array of RGB bytes, 0 to 255, but is a',
    ],
    ['a list of numbers', pixels({ data: [0, 0, 0, 0, 0, 0] }), 'but is [0,0,0,0,0,0].'],
    ['RGBA', pixels({ data: new Uint8Array(8) }), 'but holds 8, as RGBA has. Leave the alpha out.'],
    ['no width', pixels({ width: 0, data: new Uint8Array() }), 'The width of a picture has to be'],
    ['a broken width', pixels({ width: 0.5, height: 4 }), 'of at least 1 but is 0.5.'],
    ['a string as height', pixels({ height: '1' }), 'The height of a picture has to be a whole'],
    ['the bytes of a file', new Uint8Array(9), 'but is a Uint8Array.'],
  ] as const) {
    it(`a picture with ${what}`, () => {
      expect(() => checkCall(image as ImageInput, {}, facts)).to.throw(message);
    });
  }

  it('a tensor of whole numbers, an empty one, and one that is gone', () => {
    const whole = tf.fill([1, 2, 2, 3], 200, 'int32');
    expect(() => checkCall(whole, {}, facts)).to.throw(
      'A tensor `image` has to hold float32 values from 0 to 1 but is int32: divide by 255.',
    );
    whole.dispose();
    expect(() => checkCall(whole, {}, facts)).to.throw('has been disposed of');
    expect(() => checkCall(tf.zeros([0, 2, 2, 3]), {}, facts)).to.throw('but is [0,2,2,3]');
  });

  it('a tensor without three channels at the end', () => {
    for (const shape of [
      [8, 8, 3],
      [1, 3, 8, 8],
    ]) {
      const image = tf.zeros(shape);
      expect(() => checkCall(image, {}, facts)).to.throw(
        `A tensor \`image\` has to be of shape [N, height, width, 3] but is [${shape}].`,
      );
      image.dispose();
    }
  });
});
