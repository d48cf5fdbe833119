/**
 * `svd backends`: lists the backends with version and device, or the reason why one cannot be used.
 */
import { listBackends } from '../backends/list.ts';
import type { BackendReport } from '../backends/types.ts';
import { jsonOption, subcommand } from './terminal/command.ts';
import { COLUMNS, wrap } from './terminal/help.ts';
import { print } from './terminal/print.ts';

export const backends = subcommand({
  name: 'backends',
  usage: ['[--json]'],
  about: [
    'Lists the backends in the order in which they are tried, each with its version and ' +
      'device, or why it cannot be used.',
  ],
  options: jsonOption(),
  async run({ json }) {
    const reports = await listBackends();
    print(json ? JSON.stringify(reports) : reports.map(describe).join('\n'));
    return 0;
  },
});

function describe({ name, available, version, device, package: provider, reason }: BackendReport) {
  const state = available ? `${provider} ${version} on ${device}` : 'cannot be used';
  const indent = ' '.repeat(14);
  const reasons = reason === undefined ? [] : wrap(reason, COLUMNS - indent.length);
  return [
    `${available ? '+' : '-'} ${name.padEnd(12)}${state}`,
    ...reasons.map((line) => indent + line),
  ].join('\n');
}
