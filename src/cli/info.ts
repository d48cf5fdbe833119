/**
 * `svd info`: what a checkpoint is and is made of, what is wrong with it, and what memory a video
 * of it needs on each backend.
 */

import type {
  DescribeOptions,
  DevicePlan,
  ModelDescription,
} from '../pipelines/loading/describeModel.ts';
import { formatBytes } from '../text/bytes.ts';
import { counted } from '../text/messages.ts';
import { generateOptions, memoryBytes } from './generate/options.ts';
import {
  cachedFolderOf,
  configOption,
  hubOptions,
  readHubCommand,
  singleFileOptions,
} from './hubModel.ts';
import { type Arguments, type Options, readArguments } from './terminal/arguments.ts';
import { UsageError } from './terminal/errors.ts';
import { formatHelp, wrap } from './terminal/help.ts';
import { oneOf, realNumber, wholeNumber } from './terminal/values.ts';

const { model, variant, height, width, dtype, offload } = generateOptions;

const video: Options = {
  height,
  width,
  'num-frames': generateOptions['num-frames'],
  'num-videos-per-prompt': generateOptions['num-videos-per-prompt'],
  'min-guidance-scale': generateOptions['min-guidance-scale'],
  'max-guidance-scale': generateOptions['max-guidance-scale'],
};

const running: Options = {
  dtype,
  offload,
  'weight-dtype': generateOptions['weight-dtype'],
  'decode-chunk-size': generateOptions['decode-chunk-size'],
  'forward-chunking': generateOptions['forward-chunking'],
  memory: generateOptions.memory,
};

const reporting: Options = {
  json: { help: 'Print one line of JSON.' },
  help: { short: 'h', help: 'Show this text.' },
};

const files: Options = {
  model,
  variant,
  ...configOption,
  revision: hubOptions.revision,
  'cache-dir': hubOptions['cache-dir'],
};
const options: Options = { ...files, ...video, ...running, ...reporting };

const help = formatHelp({
  usage: ['svd info --model DIR|ORG/NAME [options]'],
  about: [
    'Tells what a checkpoint is and is made of, what is wrong with it, and what memory a video of this size needs on each backend, with the free memory of this machine or with --memory. No weights are loaded, and nothing is fetched: a model of the hub has to be in the cache.',
    'The exit code is 1 if something is wrong with the checkpoint.',
    'Before each backend: + it fits, - it does not, ? nothing is known of the card.',
  ],
  groups: { Files: files, Video: video, Running: running, Reporting: reporting },
  examples: [
    'svd info --model svd-xt',
    'svd info --model svd-xt --height 320 --width 576 --num-frames 14 --json',
  ],
});

/**
 * Runs the command.
 * @returns The exit code.
 * @throws `UsageError` for wrong arguments; an error with one sentence for a broken checkpoint.
 */
export async function run(args: string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(help);
    return 0;
  }
  const given = readArguments(args, options);
  if (given.positionals.length > 0)
    throw new UsageError(`svd info takes options only but is given "${given.positionals[0]}".`);
  const name = given.value('model');
  if (name === undefined)
    throw new UsageError(
      '--model DIR is required: the folder of the checkpoint. See svd info --help.',
    );
  const asked = readOptions(given);
  const { describeModel } = await import('../pipelines/loading/describeModel.ts');
  const path = await cachedFolderOf(name, readHubCommand(given));
  const { config } = singleFileOptions(path, { config: given.value('config') });
  const description = await describeModel(path, { ...asked, config });
  console.log(
    given.has('json') ? JSON.stringify({ model: name, ...description }) : describe(description),
  );
  return description.problems.length > 0 ? 1 : 0;
}

function readOptions(given: Arguments): DescribeOptions {
  const whole = (name: string, min: number) =>
    given.values(name).map((text) => wholeNumber(name, text, { min }))[0];
  const pixels = (name: string) =>
    given
      .values(name)
      .map((text) => wholeNumber(name, text, { min: 8, max: 8192, multipleOf: 8 }))[0];
  const real = (name: string) =>
    given.values(name).map((text) => realNumber(name, text, { min: 0 }))[0];
  const chosen = <T extends string>(name: string, names: readonly T[]): T | undefined =>
    given.values(name).map((text) => oneOf(name, text, names))[0];
  return {
    variant: given.value('variant'),
    height: pixels('height'),
    width: pixels('width'),
    numFrames: whole('num-frames', 1),
    numVideosPerPrompt: whole('num-videos-per-prompt', 1),
    minGuidanceScale: real('min-guidance-scale'),
    maxGuidanceScale: real('max-guidance-scale'),
    dtype: chosen('dtype', ['float32', 'float16', 'bfloat16'] as const),
    weightDtype: chosen('weight-dtype', ['auto', 'float32'] as const),
    offload: chosen('offload', ['none', 'model', 'sequential'] as const),
    decodeChunkSize: whole('decode-chunk-size', 1),
    forwardChunkSize: whole('forward-chunking', 1),
    memory: given.values('memory').map((text) => memoryBytes(text))[0],
  };
}

const labels: Record<DevicePlan['device'], string> = {
  'tensorflow-cpu': 'tensorflow, processor',
  'tensorflow-gpu': 'tensorflow, CUDA',
  webgpu: 'webgpu',
  wasm: 'wasm',
  cpu: 'cpu',
};

function describe({
  format,
  recognised,
  problems,
  checkpoint,
  models,
  call,
  plans,
}: ModelDescription): string {
  const parts = Object.entries(models).map(
    ([name, { parameters, bytes, dtypes }]) =>
      `  ${(name === 'imageEncoder' ? 'image_encoder' : name).padEnd(14)}${parameters.toLocaleString('en').padStart(15)} parameters, ${formatBytes(bytes).padStart(7)} of ${dtypes.join(', ')}`,
  );
  const guidance = call.guided ? 'with guidance' : 'without guidance';
  const videos = call.videos === 1 ? '' : `${call.videos} videos of `;
  return [
    `${checkpoint.id}${checkpoint.revision === undefined ? '' : ` at ${checkpoint.revision}`}, in the format ${format}: ${recognised}.`,
    '',
    'Models:',
    ...parts,
    '',
    ...(problems.length > 0
      ? [
          'Problems:',
          ...problems.flatMap((problem) => wrap(problem, 76).map((line) => `  ${line}`)),
          '',
        ]
      : []),
    'SHA-256:',
    ...Object.entries(checkpoint.files).map(([file, hash]) => `  ${hash}  ${file}`),
    `  ${checkpoint.hash}  all of these`,
    '',
    `Memory for ${videos}${counted(call.numFrames, 'frame')} of ${call.width}x${call.height}, ${guidance}:`,
    ...plans.flatMap(describePlan),
  ].join('\n');
}

function describePlan({
  device,
  fits,
  processBytes,
  deviceBytes,
  deviceKnown,
  choices,
  advice,
}: DevicePlan): string[] {
  const where = device === 'wasm' ? 'of WebAssembly' : 'of the card';
  const needs =
    deviceBytes === undefined
      ? formatBytes(processBytes)
      : `${formatBytes(deviceBytes)} ${where}, ${formatBytes(processBytes)} of the process`;
  const text = fits ? [needs, ...choices].join('; ') : `does not fit. ${advice}`;
  const [first, ...more] = wrap(text, 80 - 26);
  const known = deviceBytes === undefined || deviceKnown;
  const sign = fits ? (known ? '+' : '?') : '-';
  return [
    `${sign} ${labels[device].padEnd(24)}${first}`,
    ...more.map((line) => ' '.repeat(26) + line),
  ];
}
