import { expect } from 'chai';
import {
  camelCaseConfig,
  checkWeights,
  identifyCheckpoint,
  memoryBytes,
  memorySource,
  readSafetensors,
  snakeCaseConfig,
} from '../../src/checkpoints/index.ts';
import { checkOutput, planMemory, readMetadata } from '../../src/index.ts';
import { clipPixelValues, framesToImages, vaePixelValues } from '../../src/media/preprocess.ts';
import { saveSamplingState } from '../../src/pipelines/resume/stateFile.ts';
import { randnTensor } from '../../src/random/randnTensor.ts';
import {
  type Aliases,
  checkOptions,
  checkOptionValues,
  type Kinds,
  kinds,
  pickOptions,
} from '../../src/text/options.ts';

interface Options {
  numFrames?: number;
  fps?: number;
  name?: string;
  signal?: AbortSignal;
  mode?: string;
}

const table: Kinds<Options> = {
  numFrames: kinds.count,
  fps: kinds.number,
  name: kinds.text,
  signal: kinds.signal,
  mode: { oneOf: ['fast', 'slow'] },
};
const aliases: Aliases = { rate: (value) => `Use \`fps: ${value}\`.` };
const check = (given: unknown) =>
  checkOptionValues<Options>('make', given as Options, table, aliases);

describe('checkOptionValues', () => {
  it('takes what is right, null and undefined', () => {
    check({});
    check({ numFrames: 1, fps: -0.5, name: '', signal: AbortSignal.timeout(1), mode: 'fast' });
    check({ numFrames: null, fps: undefined, other: undefined });
  });

  const wrong: [string, unknown, string][] = [
    [
      'a name in snake case',
      { num_frames: 5 },
      '`make` has no option `num_frames`. Use `numFrames`.',
    ],
    ['a name in kebab case', { 'num-frames': 5 }, '`num-frames`. Use `numFrames`.'],
    ['a name in other case', { numframes: 5 }, '`numframes`. Use `numFrames`.'],
    ['a name with a slip', { numFrame: 5 }, '`numFrame`. Did you mean `numFrames`?'],
    ['a name that others use', { rate: 7 }, '`make` has no option `rate`. Use `fps: 7`.'],
    [
      'any other name',
      { prompt: 'x' },
      'no option `prompt`. Its options are `numFrames`, `fps`, `name`, `signal`, `mode`.',
    ],
    ['a name of every object', { constructor: 1 }, 'no option `constructor`.'],
    ['a string for a number', { fps: '7' }, '`fps` has to be a finite number but is "7".'],
    ['NaN', { fps: Number.NaN }, '`fps` has to be a finite number but is NaN.'],
    [
      'a fraction',
      { numFrames: 1.5 },
      '`numFrames` has to be a whole number of at least 1 but is 1.5.',
    ],
    ['a list', { numFrames: [1] }, 'but is [1].'],
    ['a boolean', { numFrames: true }, 'but is true.'],
    ['a large integer', { numFrames: 5n }, 'but is 5.'],
    ['a number for a string', { name: 5 }, '`name` has to be a string but is 5.'],
    [
      'a controller',
      { signal: new AbortController() },
      "an AbortController. Pass the controller's `signal`.",
    ],
    ['another choice', { mode: 'quick' }, '`mode` has to be one of fast, slow but is quick.'],
    ['no object', 5, 'The options of `make` have to be an object but are 5.'],
    ['null', null, 'The options of `make` have to be an object but are null.'],
    ['a list of options', [], 'The options of `make` have to be an object but are an empty list.'],
  ];
  for (const [what, given, message] of wrong) {
    it(`refuses ${what}`, () => expect(() => check(given)).to.throw(message));
  }
});

describe('checkOptions', () => {
  it('checks names alone', () => {
    checkOptions('make', { fps: 'any' }, ['fps']);
    expect(() => checkOptions('make', { Fps: 1 }, ['fps'])).to.throw('Use `fps`.');
  });
});

describe('pickOptions', () => {
  it('leaves out what a table lacks', () => {
    expect(pickOptions({ fps: 1, constructor: 2, other: 3 }, table)).to.deep.equal({ fps: 1 });
  });
});

describe('public functions', () => {
  const functions: Record<string, (...args: never[]) => unknown> = {
    ...{ planMemory, randnTensor, checkOutput, readMetadata, identifyCheckpoint },
    ...{ saveSamplingState, clipPixelValues, vaePixelValues, framesToImages },
    ...{ camelCaseConfig, snakeCaseConfig, memoryBytes, memorySource, readSafetensors },
    checkWeights,
  };
  for (const [name, call] of Object.entries(functions))
    it(`say in one sentence what ${name} takes`, async () => {
      for (const args of [[], [5], [null]]) {
        const error = (await (async () => call(...(args as never[])))().catch(
          (thrown) => thrown,
        )) as Error;
        expect(error, `${args}`).to.be.instanceOf(Error).and.not.instanceOf(TypeError);
        expect(error.message).to.match(new RegExp(`^\`${name}\` takes .*, not \\S.*\\.$`));
      }
    });
});
