/** `svd verify`: replays what diffusers computed, and compares every stage. */

import { generateOptions } from '../generate/options.ts';
import { type HubCommand, hubOptions, offlineOption, readHubCommand } from '../hubModel.ts';
import { type Arguments, type Options, readArguments } from '../terminal/arguments.ts';
import { UsageError } from '../terminal/errors.ts';
import { formatHelp } from '../terminal/help.ts';
import { runSession } from '../terminal/session.ts';
import { oneOf, wholeNumber } from '../terminal/values.ts';
import { version } from '../version.ts';
import type { BackendResult } from './backends.ts';

/** What `svd verify` was told to do. */
export interface VerifyCommand extends HubCommand {
  model: string;
  reference: string;
  backend: 'auto' | 'tensorflow' | 'webgpu' | 'wasm' | 'cpu' | 'all';
  threads?: number;
  stageInputs: 'own' | 'reference';
  formulation: 'fastest' | 'gpu' | 'plain';
  offload?: 'none' | 'model' | 'sequential';
  json: boolean;
  quiet: boolean;
}

const files: Options = {
  model: generateOptions.model,
  reference: {
    value: 'FILE',
    help: 'The file that dump_reference.py wrote from the same checkpoint. Required.',
  },
  ...hubOptions,
  ...offlineOption,
};

const running: Options = {
  backend: {
    value: 'NAME',
    help: 'auto, tensorflow, webgpu, wasm, cpu, or all that can be used, one after the other. Default: auto.',
  },
  'stage-inputs': {
    value: 'WHOSE',
    help: 'own: each stage works on what the one before it gave, as in any call. reference: on what the reference has of it, so that each shows its own error alone. Default: own.',
  },
  threads: generateOptions.threads,
  formulation: generateOptions.formulation,
  offload: generateOptions.offload,
};

const reporting: Options = {
  json: { help: "Print one line of JSON, with the versions of all and the checkpoint's hashes." },
  quiet: generateOptions.quiet,
  help: { short: 'h', help: 'Show this text.' },
};

const options: Options = { ...files, ...running, ...reporting };

const help = formatHelp({
  usage: ['svd verify --model DIR|ORG/NAME --reference FILE [options]'],
  about: [
    "Replays the call of a reference with the same pictures and random draws, and compares every stage with diffusers': largest difference, relative L2 distance, cosine, and for frames the share of equal 8-bit values.",
    'Exit code 0: all within tolerance. 1: a stage is not, or the comparison failed.',
  ],
  groups: { Files: files, Running: running, Reporting: reporting },
  examples: [
    'python node_modules/stable-video-diffusion-tfjs/dist/src/verification/dump_reference.py \\\n  rocket.jpg --model svd-xt --output reference.safetensors --height 320 --width 576 --num-frames 14 --decode-chunk-size 4',
    'svd verify --model svd-xt --reference reference.safetensors --backend all',
  ],
});

/**
 * Runs the command.
 * @returns The exit code.
 * @throws `UsageError` for wrong arguments; one sentence if the reference or the checkpoint cannot
 * be used.
 */
export async function run(args: string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(help);
    return 0;
  }
  const command = readCommand(readArguments(args, options));
  const verification = await runSession(command, async (watch) =>
    (await import('./backends.ts')).verifyBackends(command, watch),
  );
  const { results } = verification;
  const within = results.every(({ within }) => within);
  const { model, reference, stageInputs } = command;
  console.log(
    command.json
      ? JSON.stringify({ model, reference, stageInputs, within, version, ...verification })
      : results.map(table).join('\n\n'),
  );
  return within ? 0 : 1;
}

function readCommand(given: Arguments): VerifyCommand {
  if (given.positionals.length > 0)
    throw new UsageError(`svd verify takes options only but is given "${given.positionals[0]}".`);
  const required = (name: string, what: string) => {
    const value = given.value(name);
    if (value === undefined)
      throw new UsageError(`--${name} is required: ${what}. See svd verify --help.`);
    return value;
  };
  const chosen = <T extends string>(name: string, names: readonly T[]): T | undefined =>
    given.values(name).map((text) => oneOf(name, text, names))[0];
  return {
    model: required('model', 'the folder of the checkpoint'),
    reference: required('reference', 'the file that dump_reference.py wrote'),
    backend:
      chosen('backend', ['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu', 'all'] as const) ?? 'auto',
    stageInputs: chosen('stage-inputs', ['own', 'reference'] as const) ?? 'own',
    threads: given
      .values('threads')
      .map((text) => wholeNumber('threads', text, { min: 1, max: 8 }))[0],
    formulation: chosen('formulation', ['fastest', 'gpu', 'plain'] as const) ?? 'fastest',
    offload: chosen('offload', ['none', 'model', 'sequential'] as const),
    ...readHubCommand(given),
    json: given.has('json'),
    quiet: given.has('quiet'),
  };
}

/** The results on one backend as a table whose first broken line is marked. */
function table({ backend, device, version, problem, stages = [] }: BackendResult): string {
  if (problem !== undefined) return `${backend}: ${problem}`;
  const header = ['stage', 'shape', 'max abs', 'relative L2', 'cosine', '8-bit equal', 'verdict'];
  const firstBroken = stages.findIndex(({ within }) => !within);
  const lines = stages.map(({ stage, tolerance, within, comparison, problem: why }, i) => {
    const verdict = within
      ? `within ${tolerance.toExponential()}`
      : `ABOVE ${tolerance.toExponential()}${i === firstBroken ? '  <- the first' : ''}`;
    if (!comparison)
      return [stage, '', '', '', '', '', `${why}${i === firstBroken ? '  <- the first' : ''}`];
    const { shape, maxAbs, relativeL2, cosine, equalBytes, largestByteDifference } = comparison;
    const bytes =
      stage === 'frames' ? `${(100 * equalBytes).toFixed(3)} % (${largestByteDifference})` : '';
    return [
      stage,
      `[${shape}]`,
      maxAbs.toExponential(1),
      relativeL2.toExponential(1),
      cosine.toFixed(9),
      bytes,
      verdict,
    ];
  });
  const widths = header.map((_, column) =>
    Math.max(...[header, ...lines].map((line) => line[column]!.length)),
  );
  const text = [header, ...lines].map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const broken = stages.filter(({ within }) => !within).length;
  const summary =
    broken === 0
      ? 'All within tolerance.'
      : `${broken} of ${stages.length} above tolerance, first ${stages[firstBroken]!.stage}.`;
  return [`${backend} ${version ?? ''} on ${device ?? 'this machine'}`, ...text, summary].join(
    '\n',
  );
}
