/**
 * `svd backends`: lists the backends with version and device, or the reason why one cannot be used.
 */
import { type BackendReport, listBackends } from '../backends/index.ts';
import { type Options, readArguments } from './terminal/arguments.ts';
import { UsageError } from './terminal/errors.ts';
import { formatHelp, wrap } from './terminal/help.ts';

const options: Options = {
  json: { help: 'Print one line of JSON.' },
  help: { short: 'h', help: 'Show this text.' },
};

const help = formatHelp({
  usage: ['svd backends [--json]'],
  about: [
    'Lists the backends in the order in which they are tried, each with its version and device, or why it cannot be used.',
  ],
  groups: { Options: options },
});

function describe({
  name,
  available,
  version,
  device,
  package: provider,
  reason,
}: BackendReport): string {
  const state = available ? `${provider} ${version} on ${device}` : 'cannot be used';
  const indent = ' '.repeat(14);
  const reasons =
    reason === undefined ? [] : wrap(reason, 80 - indent.length).map((line) => indent + line);
  return [`${available ? '+' : '-'} ${name.padEnd(12)}${state}`, ...reasons].join('\n');
}

/**
 * Runs the command.
 * @returns The exit code.
 * @throws `UsageError` for wrong arguments.
 */
export async function run(args: string[]): Promise<number> {
  const given = readArguments(args, options);
  if (given.has('help')) {
    console.log(help);
    return 0;
  }
  if (given.positionals.length > 0)
    throw new UsageError(`svd backends takes no argument but is given "${given.positionals[0]}".`);
  const reports = await listBackends();
  console.log(given.has('json') ? JSON.stringify(reports) : reports.map(describe).join('\n'));
  return 0;
}
