/** `svd convert`: writes a checkpoint in another format. */
import { stat } from 'node:fs/promises';
import { type Options, readArguments } from './arguments.ts';
import { UsageError } from './errors.ts';
import { formatHelp } from './help.ts';
import { oneOf, wholeNumber } from './values.ts';
import { watched } from './watch.ts';

const options: Options = {
  from: {
    value: 'FORMAT',
    help: 'Format of INPUT: original, the single files svd.safetensors, svd_xt.safetensors and their like. Required.',
  },
  to: { value: 'FORMAT', help: 'Format of OUTPUT: diffusers, a folder. Required.' },
  config: { value: 'DIR', help: 'Folder in diffusers format whose configs the model has. Default: those of the published models.' },
  'num-frames': {
    value: 'N',
    help: 'Frames that the model was trained on. Default: by the name of the file, 25 for svd_xt and 14 for svd.',
  },
  quiet: { help: 'No progress on standard error, only errors.' },
  help: { short: 'h', help: 'Show this text.' },
};

const help = formatHelp({
  usage: ['svd convert INPUT OUTPUT --from original --to diffusers [options]'],
  about: [
    'Converts a checkpoint, bit for bit and one tensor at a time. OUTPUT appears when it is complete; there must not be anything in its place.',
  ],
  groups: { Options: options },
  examples: ['svd convert svd_xt.safetensors weights/svd-xt --from original --to diffusers'],
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
  if (output === undefined || more.length > 0) throw new UsageError('svd convert takes an INPUT and an OUTPUT. See svd convert --help.');
  for (const [name, format] of [
    ['from', 'original'],
    ['to', 'diffusers'],
  ]) {
    const value = given.value(name);
    if (value === undefined) throw new UsageError(`--${name} is required: ${format}. See svd convert --help.`);
    oneOf(name, value, [format]);
  }
  if (given.has('config') && given.has('num-frames')) throw new UsageError('--config says the frames, too. Give it without --num-frames.');
  const numFrames = given.values('num-frames').map((text) => wholeNumber('num-frames', text, { min: 1 }))[0];
  if (await stat(output).catch(() => undefined))
    throw new Error(`There is already something at ${output}. Remove it or choose another OUTPUT.`);
  await watched({ json: false, quiet: given.has('quiet') }, async ({ signal, progress }) => {
    const { convertOriginal } = await import('../checkpoints/convertOriginal.ts');
    const onProgress = progress.update.bind(progress);
    await convertOriginal(input, output, { config: given.value('config'), numFrames, onProgress, signal });
  });
  console.log(output);
  return 0;
}
