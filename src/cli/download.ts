/** `svd download`: brings a model of the hub into the cache. */
import { downloadModel, isHubId } from '../checkpoints/hub/download.ts';
import { hubOptions, readHubCommand } from './hubModel.ts';
import { type Options, readArguments } from './terminal/arguments.ts';
import { UsageError } from './terminal/errors.ts';
import { formatHelp } from './terminal/help.ts';
import { runSession } from './terminal/session.ts';

const options: Options = {
  variant: {
    value: 'NAME',
    help: 'The weight files of this variant, such as fp16. Default: those without one.',
  },
  ...hubOptions,
  json: { help: 'Print one line of JSON: model, folder, seconds.' },
  quiet: { help: 'No progress and no notes on standard error, only errors.' },
  help: { short: 'h', help: 'Show this text.' },
};

const help = formatHelp({
  usage: ['svd download ORG/NAME [options]'],
  about: [
    'Brings a Stable Video Diffusion model from the hub into the cache and prints its folder. Only the files that are read are fetched.',
    "The cache is that of Python's huggingface_hub: what one has fetched is there for the other. What was interrupted goes on where it ended; everything is checked against its hash, also what was there already.",
    'HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE in the environment mean what they mean there.',
  ],
  groups: { Options: options },
  examples: ['svd download stabilityai/stable-video-diffusion-img2vid-xt --variant fp16'],
});

/**
 * Runs the command.
 * @returns The exit code.
 * @throws `UsageError` for wrong arguments; one sentence if the model cannot be had.
 */
export async function run(args: string[]): Promise<number> {
  const given = readArguments(args, options);
  if (given.has('help')) {
    console.log(help);
    return 0;
  }
  const [model, ...more] = given.positionals;
  if (model === undefined || more.length > 0 || !isHubId(model)) {
    throw new UsageError(
      `svd download takes one model of the hub, such as org/name, but is given "${given.positionals.join(' ')}". See svd download --help.`,
    );
  }
  const report = await runSession(
    { json: given.has('json'), quiet: given.has('quiet') },
    async ({ signal, progress }) => {
      const onProgress = progress.update.bind(progress);
      const folder = await downloadModel(model, {
        ...readHubCommand(given),
        verify: true,
        onProgress,
        signal,
      });
      return { model, folder, seconds: progress.seconds().downloading ?? 0 };
    },
  );
  console.log(given.has('json') ? JSON.stringify(report) : report.folder);
  return 0;
}
