/** `svd setup tensorflow`: sets up the tensorflow backend, or removes it. */
import { removeTensorflow, setUpTensorflow } from '../backends/index.ts';
import { type Options, readArguments } from './terminal/arguments.ts';
import { UsageError } from './terminal/errors.ts';
import { formatHelp } from './terminal/help.ts';

const options: Options = {
  gpu: { help: 'With CUDA 12 and its libraries, for NVIDIA graphics cards: 3 GB to download.' },
  remove: { help: 'Remove what was set up; with --gpu only the variant for graphics cards.' },
  help: { short: 'h', help: 'Show this text.' },
};

const help = formatHelp({
  usage: ['svd setup tensorflow [--gpu] [--remove]'],
  about: [
    'Links tfjs-node with a current TensorFlow from the Python package index, in a folder of the user. Needs Linux on x64, python3 with pip, and g++.',
    'The folder is stable-video-diffusion-tfjs in $XDG_DATA_HOME (~/.local/share), or $SVD_TENSORFLOW_DIR.',
  ],
  groups: { Options: options },
});

/**
 * Runs the command.
 * @returns The exit code.
 * @throws `UsageError` for wrong arguments; one sentence when the setup fails.
 */
export async function run(args: string[]): Promise<number> {
  const given = readArguments(args, options);
  if (given.has('help')) {
    console.log(help);
    return 0;
  }
  const [what, ...more] = given.positionals;
  if (what !== 'tensorflow' || more.length > 0) {
    throw new UsageError(
      `svd setup can set up tensorflow and nothing else but is given "${given.positionals.join(' ')}". See svd setup --help.`,
    );
  }
  const log = (line: string) => console.log(line);
  if (given.has('remove')) {
    const removed = await removeTensorflow({ gpu: given.has('gpu'), log });
    if (removed.length === 0) log('Nothing is set up.');
  } else {
    await setUpTensorflow({ gpu: given.has('gpu'), log });
  }
  return 0;
}
