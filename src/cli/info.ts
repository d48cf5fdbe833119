/**
 * `svd info`: what a checkpoint is and is made of, what is wrong with it, and what memory a video
 * of it needs on each backend.
 */
import { workOfCall } from '../memory/duration.ts';
import { callDefaults } from '../pipelines/defaults.ts';
import type { DevicePlan, ModelDescription } from '../pipelines/loading/describeModel.ts';
import { schedulerNameOf } from '../schedulers/names.ts';
import { alignYourSteps, isWithin } from '../schedulers/sigmas.ts';
import { formatBytes } from '../text/bytes.ts';
import { snakeCase } from '../text/cases.ts';
import { roughly } from '../text/durations.ts';
import { counted } from '../text/messages.ts';
import { printable } from '../text/printable.ts';
import { generateOptions } from './generate/options.ts';
import { FAST } from './generate/speed/fast.ts';
import { speedOf } from './generate/watch/expected.ts';
import { locateInCache, modelOptions, requiredModel, singleFileOptions } from './hubModel.ts';
import { locateLoras } from './lora.ts';
import { ownSize, trainedFor } from './packagedModel.ts';
import { jsonOption, subcommand } from './terminal/command.ts';
import { COLUMNS, wrap } from './terminal/help.ts';
import { group, pick } from './terminal/options.ts';
import { print } from './terminal/print.ts';

export const info = subcommand({
  name: 'info',
  usage: ['--model DIR|ORG/NAME [options]'],
  about: [
    'Describes a checkpoint: its format, its models, what is wrong with it, and the memory ' +
      'that a video of this size needs on each backend, with the free memory of this machine or ' +
      'with --memory. Loads no weights and fetches nothing: a model of the hub has to be in the ' +
      'cache.',
    'The exit code is 1 if something is wrong with the checkpoint.',
    'Before each backend: + it fits, - it does not, ? nothing is known of the card. The times ' +
      'are estimates for this machine, where the speed of a backend has been measured.',
  ],
  examples: [
    'svd info --model svd-xt',
    'svd info --model svd-xt --height 320 --width 576 --num-frames 14 --json',
  ],
  options: {
    ...requiredModel,
    ...pick(modelOptions, 'unet', 'lora', 'variant', 'config', 'revision', 'cacheDir'),
    ...pick(generateOptions, 'height', 'width', 'numFrames', 'numVideosPerPrompt'),
    ...pick(generateOptions, 'minGuidanceScale', 'maxGuidanceScale'),
    ...pick(generateOptions, 'dtype', 'offload', 'weightDtype', 'decodeChunkSize'),
    ...pick(generateOptions, 'forwardChunking', 'memory'),
    ...group('Reporting', 'report', jsonOption()),
  },
  async run({ model, json, forwardChunking, revision, cacheDir, lora, ...asked }) {
    const { describeModel } = await import('../pipelines/loading/describeModel.ts');
    const { path, unet } = await locateInCache(model, { ...asked, lora, revision, cacheDir });
    const located = await locateLoras({ lora, cacheDir, localFilesOnly: true });
    const loras = located.map((each) => each.path);
    const { config } = singleFileOptions(path, { config: asked.config });
    const opening = { ...singleFileOptions(path, asked), variant: asked.variant, unet };
    const { height, width } = ownSize(await trainedFor(path, opening));
    const size = { height: asked.height ?? height, width: asked.width ?? width };
    const call = { ...asked, ...size, config, unet, loras, forwardChunkSize: forwardChunking };
    const description = await describeModel(path, call);
    print(json ? JSON.stringify(forPrograms(model, description)) : describe(description));
    return description.problems.length > 0 ? 1 : 0;
  },
});

/** The description without the blocks of each stage, and with the estimated seconds. */
function forPrograms(model: string, { plans, ...description }: ModelDescription) {
  const short = plans.map(({ withDeepCache: _, stages, ...plan }, i) => ({
    ...plan,
    stages: stages.map(({ blocks: _, ...stage }) => stage),
    seconds: secondsOf(plans[i], description.call),
    secondsFast: fastSecondsOf(plans[i], description),
  }));
  return { model, ...description, plans: short };
}

/** About how long a call takes with the default number of steps; undefined where nobody knows. */
function secondsOf(plan: DevicePlan, call: ModelDescription['call']): number | undefined {
  const speed = plan.fits ? speedOf(plan.device) : undefined;
  const work = Object.values(workOfCall(plan, call, callDefaults.numInferenceSteps));
  return speed && speed * work.reduce((sum, part) => sum + part, 0);
}

/** The same with `--fast` in float32; undefined where its sampler needs no shortcuts. */
function fastSecondsOf(
  { device, withDeepCache: plan }: DevicePlan,
  { call, scheduler }: Pick<ModelDescription, 'call' | 'scheduler'>,
): number | undefined {
  const speed = plan && speedOf(device);
  if (!speed || schedulerNameOf({ _class_name: scheduler }) === 'animatelcm') return undefined;
  const { numInferenceSteps: steps, deepCache, guidanceInterval } = FAST;
  const levels = alignYourSteps(steps).slice(0, -1);
  const share = levels.filter((sigma) => isWithin(sigma, guidanceInterval)).length / steps;
  const work = workOfCall(plan, call, steps, deepCache.interval);
  const guided = call.guided ? (1 + share) / 2 : 1;
  return speed * (work.encoding + work.sampling * guided + work.decoding);
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
  warnings,
  checkpoint,
  scheduler,
  models,
  call,
  plans,
}: ModelDescription): string {
  const parts = Object.entries(models).map(
    ([name, { parameters, bytes, dtypes }]) =>
      `  ${snakeCase(name).padEnd(14)}${parameters.toLocaleString('en').padStart(15)} ` +
      'parameters, ' +
      `${formatBytes(bytes).padStart(7)} of ${dtypes.join(', ')}`,
  );
  const guidance = call.guided ? 'with guidance' : 'without guidance';
  const videos = call.videos === 1 ? '' : `${call.videos} videos of `;
  return [
    `${named(checkpoint)}, ${checkpoint.unet ? `with the UNet ${named(checkpoint.unet)}, ` : ''}` +
      `in the format ${format}: ${recognised}.`,
    '',
    'Models:',
    ...parts,
    '',
    ...section('Problems:', problems),
    ...section('Warnings:', warnings),
    'SHA-256:',
    ...Object.entries(checkpoint.files).map(([file, hash]) => `  ${hash}  ${printable(file)}`),
    `  ${checkpoint.hash}  all of these`,
    '',
    `Sampler: ${samplerOf(scheduler)}`,
    '',
    `Memory for ${videos}${counted(call.numFrames, 'frame')} of ${call.width}x${call.height}, ` +
      `${guidance}:`,
    ...plans.flatMap((plan) =>
      describePlan(plan, secondsOf(plan, call), fastSecondsOf(plan, { call, scheduler })),
    ),
  ].join('\n');
}

/** `EulerDiscreteScheduler (--scheduler euler)`. */
function samplerOf(className: string): string {
  const name = schedulerNameOf({ _class_name: className });
  return printable(className) + (name === undefined ? '' : ` (--scheduler ${name})`);
}

const named = ({ id, revision }: { id: string; revision?: string }): string =>
  printable(id) + (revision === undefined ? '' : ` at ${revision}`);

const section = (title: string, sentences: string[]): string[] =>
  sentences.length === 0
    ? []
    : [
        title,
        ...sentences.flatMap((text) => wrap(text, COLUMNS - 4).map((line) => `  ${line}`)),
        '',
      ];

function describePlan(
  { device, fits, processBytes, deviceBytes, deviceKnown, choices, advice }: DevicePlan,
  seconds: number | undefined,
  fast: number | undefined,
): string[] {
  const where = device === 'wasm' ? 'of WebAssembly' : 'of the card';
  const needs =
    deviceBytes === undefined
      ? formatBytes(processBytes)
      : `${formatBytes(deviceBytes)} ${where}, ${formatBytes(processBytes)} of the process`;
  const { numInferenceSteps } = callDefaults;
  const withFast = fast ? `, ${roughly(fast)} with --fast` : '';
  const time = seconds ? [`${roughly(seconds)} for ${numInferenceSteps} steps${withFast}`] : [];
  const text = fits ? [needs, ...choices, ...time].join('; ') : `does not fit. ${advice}`;
  const [first, ...more] = wrap(text, COLUMNS - 26);
  const known = deviceBytes === undefined || deviceKnown;
  const sign = fits ? (known ? '+' : '?') : '-';
  return [
    `${sign} ${labels[device].padEnd(24)}${first}`,
    ...more.map((line) => ' '.repeat(26) + line),
  ];
}
