/** `svd convert`: writes a checkpoint in another format. */

import { cachedFolderOf, hubOptions, readHubCommand } from '../src/cli/hubModel.ts';
import { type Options, readArguments } from '../src/cli/terminal/arguments.ts';
import { UsageError } from '../src/cli/terminal/errors.ts';
import { formatHelp } from '../src/cli/terminal/help.ts';
import { runSession } from '../src/cli/terminal/session.ts';
import { byteCount, oneOf, wholeNumber } from '../src/cli/terminal/values.ts';
import type { Conversion } from './convertCheckpoint.ts';

const formats = ['diffusers', 'original', 'tfjs'] as const;
const dtypes = ['float32', 'float16', 'bfloat16'] as const;
const quantizations = ['none', 'float16', 'uint8', 'uint16'] as const;

const what: Options = {
  to: {
    value: 'FORMAT',
    help: 'diffusers, a folder of safetensors; original, one safetensors file with the names of svd_xt.safetensors; or tfjs, a folder of TensorFlow.js artifacts. Required.',
  },
  from: {
    value: 'FORMAT',
    help: 'Format that INPUT has to be in, one of the same. Default: any.',
  },
  dtype: {
    value: 'TYPE',
    help: 'Store weights as float32, float16 or bfloat16. For diffusers and original. Default: as they are.',
  },
  quantize: {
    value: 'TYPE',
    help: 'For tfjs: none, float16, uint8 or uint16. The error against the exact weights is printed. Default: none, which keeps weights as they are, also in half precision.',
  },
  'shard-size': {
    value: 'SIZE',
    help: 'Most bytes of a weight file: a number, also with kB, MB, GB, KiB, MiB or GiB behind it. Default: 10GB for diffusers, 256MiB for tfjs.',
  },
};

const source: Options = {
  variant: {
    value: 'NAME',
    help: 'Read the weight files of this variant, such as fp16. Default: those without one.',
  },
  config: {
    value: 'DIR',
    help: 'For original files: folder in diffusers format with the configs. Default: those of the published models.',
  },
  'num-frames': {
    value: 'N',
    help: 'For original files: frames that the model was trained on. Default: by the name of the file, 25 for svd_xt and 14 for svd.',
  },
  revision: hubOptions.revision,
  'cache-dir': hubOptions['cache-dir'],
};

const reporting: Options = {
  json: { help: 'Print one line of JSON: output, source, errors.' },
  quiet: { help: 'No progress and no notes on standard error, only errors.' },
  help: { short: 'h', help: 'Show this text.' },
};

const options: Options = { ...what, ...source, ...reporting };

const help = formatHelp({
  usage: ['svd convert INPUT OUTPUT --to FORMAT [options]'],
  about: [
    'Converts a checkpoint, a few tensors at a time, and without --dtype and --quantize bit for bit. INPUT is a folder, an original file, or a model of the hub that is in the cache.',
    'OUTPUT appears when it is complete and must not exist before. After an interruption, run the same command again: it keeps the files that are complete, which are in the hidden folder .OUTPUT.partial beside OUTPUT.',
  ],
  groups: { Conversion: what, Source: source, Reporting: reporting },
  examples: [
    'svd convert svd_xt.safetensors weights/svd-xt --to diffusers',
    'svd convert weights/svd-xt web/svd-xt --to tfjs --quantize uint8 --shard-size 64MB',
    'svd convert web/svd-xt svd_xt.safetensors --to original',
  ],
});

/**
 * Runs the command.
 * @returns The exit code.
 * @throws `UsageError` for wrong arguments; one sentence if the checkpoint cannot be converted.
 */
export async function run(args: string[]): Promise<number> {
  const given = readArguments(args, options);
  if (given.has('help')) {
    console.log(help);
    return 0;
  }
  const [input, output, ...more] = given.positionals;
  if (output === undefined || more.length > 0)
    throw new UsageError('svd convert takes an INPUT and an OUTPUT. See svd convert --help.');
  const chosen = <T extends string>(name: string, names: readonly T[]): T | undefined =>
    given.values(name).map((text) => oneOf(name, text, names))[0];
  const to = chosen('to', formats);
  if (to === undefined)
    throw new UsageError(`--to is required: ${formats.join(', ')}. See svd convert --help.`);
  if (given.has('config') && given.has('num-frames'))
    throw new UsageError('--config says the frames, too. Use it without --num-frames.');
  const asked = {
    to,
    from: chosen('from', formats),
    dtype: chosen('dtype', dtypes),
    quantize: chosen('quantize', quantizations),
    shardSize: given.values('shard-size').map((text) => byteCount('shard-size', text))[0],
    variant: given.value('variant'),
    config: given.value('config'),
    numFrames: given
      .values('num-frames')
      .map((text) => wholeNumber('num-frames', text, { min: 1 }))[0],
  };
  const result = await runSession(
    { json: given.has('json'), quiet: given.has('quiet') },
    async ({ signal, progress, note }) => {
      const path = await cachedFolderOf(input, readHubCommand(given));
      const { convertCheckpoint } = await import('./convertCheckpoint.ts');
      const conversion = await convertCheckpoint(path, output, {
        ...asked,
        onProgress: progress.update.bind(progress),
        signal,
      });
      if (conversion.assumption) note(conversion.assumption);
      return conversion;
    },
  );
  console.log(
    given.has('json')
      ? JSON.stringify({ output, ...result })
      : [output, ...errorLines(result)].join('\n'),
  );
  return 0;
}

function errorLines({ errors }: Conversion): string[] {
  return Object.entries(errors).map(
    ([component, { relative, largest, where }]) =>
      `${component}: relative error ${relative.toExponential(1)}, largest ${largest.toExponential(1)} in ${where}`,
  );
}
