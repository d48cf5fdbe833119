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
      'device, or why it cannot be used; and what --dtype gains on the processor.',
  ],
  options: jsonOption(),
  async run({ json }) {
    const reports: Report[] = await listBackends();
    const [tensorflow] = reports;
    if (tensorflow.available) Object.assign(tensorflow, await gains());
    print(json ? JSON.stringify(reports) : reports.map(describe).join('\n'));
    return 0;
  },
});

/** A report, with what each type of half precision gains on the processor, if it computes there. */
interface Report extends BackendReport {
  halfPrecision?: string[];
}

async function gains(): Promise<Pick<Report, 'halfPrecision'>> {
  const { useBackend } = await import('../backends/select.ts');
  const { halfGain } = await import('../ops/tensorflow/computeIn.ts');
  await useBackend('tensorflow');
  const found = [halfGain('bfloat16'), halfGain('float16')].filter((gain) => gain !== undefined);
  return found.length > 0 ? { halfPrecision: found.map(({ finding }) => finding) } : {};
}

function describe(report: Report) {
  const { name, available, version, device, package: provider, reason } = report;
  const state = available ? `${provider} ${version} on ${device}` : 'cannot be used';
  const indent = ' '.repeat(14);
  const sentences = [...(reason === undefined ? [] : [reason]), ...(report.halfPrecision ?? [])];
  return [
    `${available ? '+' : '-'} ${name.padEnd(12)}${state}`,
    ...sentences
      .flatMap((text) => wrap(text, COLUMNS - indent.length))
      .map((line) => indent + line),
  ].join('\n');
}
