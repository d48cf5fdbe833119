/** `svd convert`: writes a checkpoint in another format. */

import { formats } from '../src/checkpoints/checkpoint.ts';
import { type SavedDtype, savedDtypes } from '../src/checkpoints/safetensors/dtypes.ts';
import { locateInCache, modelOptions } from '../src/cli/hubModel.ts';
import { jsonOption, quietOption, subcommand } from '../src/cli/terminal/command.ts';
import { UsageError } from '../src/cli/terminal/errors.ts';
import { group, pick } from '../src/cli/terminal/options.ts';
import { print } from '../src/cli/terminal/print.ts';
import { runSession } from '../src/cli/terminal/session.ts';
import { byteCount, wholeNumber } from '../src/cli/terminal/values.ts';
import { either } from '../src/text/messages.ts';
import { printable } from '../src/text/printable.ts';
import type { Conversion } from './convertCheckpoint.ts';
import { quantizations } from './quantize.ts';

const dtypes = Object.keys(savedDtypes) as SavedDtype[];

export const convert = subcommand({
  name: 'convert',
  usage: ['INPUT OUTPUT --to FORMAT [options]'],
  about: [
    'Converts a checkpoint, a few tensors at a time, and without --dtype and --quantize bit ' +
      'for bit. INPUT is a folder, an original file, or a model of the hub that is in the cache.',
    'OUTPUT appears when it is complete and must not exist before. After an interruption, run ' +
      'the same command again: it keeps the files that are complete, which are in the hidden ' +
      'folder .OUTPUT.partial beside OUTPUT.',
  ],
  examples: [
    'svd convert svd_xt.safetensors weights/svd-xt --to diffusers',
    'svd convert weights/svd-xt web/svd-xt --to tfjs \\\n  --quantize uint8 --shard-size 64MB',
    'svd convert web/svd-xt svd_xt.safetensors --to original',
  ],
  options: {
    ...group('Conversion', 'conversion', {
      to: {
        choices: formats,
        required: 'the format to write',
        help:
          'diffusers, a folder of safetensors; original, one safetensors file with the names of ' +
          'svd_xt.safetensors; or tfjs, a folder of TensorFlow.js artifacts.',
      },
      from: {
        choices: formats,
        help:
          `Format that INPUT has to be of: ${either(formats)}. Default: any, recognised by its ` +
          'files.',
      },
      dtype: {
        choices: dtypes,
        help: `Store weights as ${either(dtypes)}; not for tfjs. Default: as they are.`,
      },
      quantize: {
        choices: quantizations,
        help:
          `For tfjs: ${either(quantizations)}. The error against the exact weights is printed. ` +
          'Default: none, which keeps weights as they are, also in half precision.',
      },
      shardSize: {
        value: 'SIZE',
        read: byteCount,
        help:
          'Maximum size of a weight file: bytes, or a number with kB, MB, GB, KiB, MiB or GiB ' +
          'behind it. Default: 10GB for diffusers, 256MiB for tfjs.',
      },
    }),
    ...pick(modelOptions, 'unet', 'variant', 'config'),
    ...group('Files', 'source', {
      numFrames: {
        value: 'N',
        read: wholeNumber({ min: 1 }),
        help:
          'For original files: frames that the model was trained on. Default: by the name of ' +
          'the file, 25 for svd_xt and 14 for svd.',
      },
    }),
    ...pick(modelOptions, 'revision', 'cacheDir'),
    ...group('Reporting', 'report', {
      ...jsonOption(': output, source, errors'),
      ...quietOption,
    }),
  },
  operands: {
    files: ['/', '.safetensors'],
    takes: 'an INPUT and an OUTPUT',
    valid: (operands) => operands.length === 2,
  },
  async run(values, [input, output]) {
    if (values.config !== undefined && values.numFrames !== undefined)
      throw new UsageError('--config says the frames, too. Use it without --num-frames.');
    const result = await runSession(values, async ({ signal, progress, note }) => {
      const { path, unet } = await locateInCache(input, values);
      const { convertCheckpoint } = await import('./convertCheckpoint.ts');
      const { json, quiet, revision, cacheDir, ...asked } = values;
      const onProgress = progress.update;
      const conversion = await convertCheckpoint(path, output, {
        ...{ ...asked, unet, onProgress, signal },
      });
      if (conversion.assumption) note(conversion.assumption);
      return conversion;
    });
    const lines = [output, ...errorLines(result)].map(printable).join('\n');
    print(values.json ? JSON.stringify({ output, ...result }) : lines);
    return 0;
  },
});

function errorLines({ errors }: Conversion): string[] {
  return Object.entries(errors).map(
    ([component, { relative, largest, where }]) =>
      `${component}: relative error ${relative.toExponential(1)}, largest ` +
      `${largest.toExponential(1)} in ${where}`,
  );
}
