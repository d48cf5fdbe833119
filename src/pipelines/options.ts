/**
 * The options of calls and of loading, with the values that each of them takes. The compiler holds
 * the tables to the documented types of `types.ts`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { backendChoices, maxThreads } from '../backends/types.ts';
import { offloadModes } from '../memory/offloadModes.ts';
import { generatorKind } from '../random/randnTensor.ts';
import { scheduleNames } from '../schedulers/names.ts';
import { whole } from '../text/kinds.ts';
import { type Aliases, checkOptionValues, type Kind, type Kinds, kinds } from '../text/options.ts';
import { callLimits, outputTypes } from './defaults.ts';
import { stateKind } from './resume/state.ts';
import type { DeepCacheOptions, GenerateOptions, LoadOptions, PlannedCall } from './types.ts';

/** As in diffusers, 0 stands for the size that the UNet was trained on. */
const pixels: Kind = { ...whole(1), test: whole(0).test };

const countUpTo = (most: number) => whole(1, most);

const isTensor = (value: unknown) => value instanceof tf.Tensor;

const tensor: Kind = {
  is: 'a float32 tensor',
  test: (value) => isTensor(value) && !value.isDisposed && value.dtype === 'float32',
  hint(value) {
    if (!isTensor(value)) return undefined;
    return value.isDisposed ? 'It has been disposed of.' : `It is ${value.dtype}.`;
  },
};

const interval: Kind = {
  is: 'two noise levels of 0 or more, the lower one first',
  test: (value) =>
    Array.isArray(value) &&
    value.length === 2 &&
    value.every(kinds.limit.test) &&
    0 <= value[0] &&
    value[0] <= value[1],
};

const [every, branch] = [whole(1), whole(0)];
const deepCache: Kind = {
  is: 'an object of a whole number `interval` of 1 or more, and a `branch` of 0 or more or none',
  test: (value) =>
    kinds.object.test(value) &&
    Object.keys(value as object).every((name) => name === 'interval' || name === 'branch') &&
    every.test((value as DeepCacheOptions).interval) &&
    branch.test((value as DeepCacheOptions).branch ?? 0),
};

/** The options of `generate`. */
export const generateOptionKinds: Kinds<GenerateOptions> = {
  height: pixels,
  width: pixels,
  numFrames: kinds.count,
  numInferenceSteps: countUpTo(callLimits.numInferenceSteps),
  sigmas: kinds.list,
  schedule: { oneOf: scheduleNames },
  minGuidanceScale: kinds.number,
  maxGuidanceScale: kinds.number,
  guidanceTogether: kinds.flag,
  guidanceInterval: interval,
  deepCache,
  fps: kinds.number,
  motionBucketId: kinds.number,
  noiseAugStrength: kinds.number,
  decodeChunkSize: kinds.count,
  numVideosPerPrompt: countUpTo(callLimits.numVideosPerPrompt),
  generator: generatorKind,
  latents: tensor,
  outputType: { oneOf: outputTypes },
  callbackOnStepEnd: kinds.listener,
  callbackOnStepEndTensorInputs: kinds.list,
  returnDict: kinds.flag,
  signal: kinds.signal,
  onProgress: kinds.listener,
  onBlock: kinds.listener,
  recording: kinds.flag,
  onStage: kinds.listener,
  onState: kinds.listener,
  resumeFrom: stateKind,
};

/** The options of `plannedFor`: all of a call, though only some decide about memory. */
export const plannedCallKinds: Kinds<PlannedCall & GenerateOptions> = {
  ...generateOptionKinds,
  pictures: kinds.count,
  forwardChunkSize: kinds.count,
  loraRanks: kinds.object,
};

/** The options of `fromPretrained`. `dtype` is checked with the backend. */
export const loadOptionKinds: Kinds<LoadOptions> = {
  variant: kinds.text,
  unet: kinds.text,
  revision: kinds.text,
  token: kinds.text,
  cacheDir: kinds.text,
  localFilesOnly: kinds.flag,
  backend: { oneOf: backendChoices },
  threads: countUpTo(maxThreads),
  dtype: kinds.text,
  tf32: kinds.flag,
  offload: { oneOf: offloadModes },
  plannedFor: kinds.object,
  memory: kinds.positive,
  onPlan: kinds.listener,
  weightDtype: { oneOf: ['auto', 'float32'] },
  onProgress: kinds.listener,
  signal: kinds.signal,
};

const use = (option: string) => () => `Use \`${option}\`.`;

const callAliases: Aliases = {
  seed: (seed) => `Use \`generator: new Generator(${seed})\`.`,
  seeds: () => 'Use `generator`: a list with a `new Generator(SEED)` for each video.',
  steps: use('numInferenceSteps'),
  frames: use('numFrames'),
  guidanceScale: use('maxGuidanceScale'),
  image: () => 'The picture is the first argument.',
  callback: use('callbackOnStepEnd'),
  progressCallback: use('onProgress'),
};

const loadAliases: Aliases = {
  torchDtype: use('dtype'),
  device: use('backend'),
  deviceMap: use('offload'),
  progressCallback: use('onProgress'),
  subfolder: () => 'Pass the folder of the model itself.',
};

/**
 * @throws Error if a name or value of the options of `generate`, or what else takes them, is wrong.
 */
export const checkGenerateOptions = (options: GenerateOptions, what = 'generate'): void =>
  checkOptionValues(what, options, generateOptionKinds, callAliases);

/** @throws Error if a name or value of the options of loading is wrong. */
export function checkLoadOptions<T extends { plannedFor?: PlannedCall }>(
  what: string,
  options: T,
  table: Kinds<T>,
): void {
  checkOptionValues(what, options, table, loadAliases);
  if (options.plannedFor)
    checkOptionValues('plannedFor', options.plannedFor, plannedCallKinds, callAliases);
}
