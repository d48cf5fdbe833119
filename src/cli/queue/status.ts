/** `svd queue status`: shows where the jobs and the workers of a queue stand. */
import { setTimeout as delay } from 'node:timers/promises';
import { JobQueue } from '../../queue/jobQueue.ts';
import { type Overview, overviewOf } from '../../queue/overview.ts';
import { counted } from '../../text/messages.ts';
import { printableLines } from '../../text/printable.ts';
import { jsonOption, subcommand } from '../terminal/command.ts';
import { Interrupted } from '../terminal/errors.ts';
import { print } from '../terminal/print.ts';
import { runSession } from '../terminal/session.ts';
import { queueOption } from './options.ts';

/** Milliseconds between two looks, and the most jobs of a kind that are shown. */
const [BETWEEN, SHOWN] = [1000, 10];

export const status = subcommand({
  name: 'queue status',
  usage: ['--queue URL [--watch] [--json]'],
  about: [
    'Shows the jobs of a queue and the workers that run: what is computed, what has failed and ' +
      'why, and the jobs that no worker can do.',
  ],
  options: {
    ...queueOption,
    watch: {
      help:
        'Show it again whenever it changes, until every job has ended. The exit code is 1 then if ' +
        'one has failed.',
    },
    ...jsonOption(': counts, workers, active, held, failed'),
  },
  async run({ queue: url, watch, json }) {
    await using queue = await JobQueue.open(url);
    const show = (overview: Overview) =>
      json ? JSON.stringify(overview) : linesOf(overview).join('\n');
    if (!watch) {
      print(show(await overviewOf(queue)));
      return 0;
    }
    return await runSession({ json, quiet: true }, async ({ signal }) => {
      let before = '';
      for (;;) {
        const overview = await overviewOf(queue);
        const text = printableLines(show(overview));
        if (text !== before) process.stdout.write(`${isScreen(json) ? CLEAR : ''}${text}\n`);
        before = text;
        const { waiting, delayed, active, failed } = overview.counts;
        if (waiting + delayed + active === 0) return failed > 0 ? 1 : 0;
        await delay(BETWEEN, undefined, { signal }).catch(() => {
          throw new Interrupted();
        });
      }
    });
  },
});

/** Clears the screen. */
const CLEAR = '\x1b[H\x1b[2J';
const isScreen = (json: boolean) => !json && process.stdout.isTTY;

function linesOf({ counts, workers, active, held, failed }: Overview): string[] {
  const { waiting, delayed, completed } = counts;
  const some = (title: string, lines: string[]) =>
    lines.length === 0
      ? []
      : [
          `${title}:`,
          ...lines.slice(0, SHOWN).map((line) => `  ${line}`),
          ...(lines.length > SHOWN ? [`  and ${lines.length - SHOWN} more`] : []),
        ];
  return [
    `${counted(completed, 'job')} done, ${counts.active} running, ${waiting} waiting, ` +
      `${delayed} put back, ${counts.failed} failed`,
    ...some(
      counted(workers.length, 'worker'),
      workers.map(({ name, backend }) => `${name} on ${backend}`),
    ),
    ...some(
      'running',
      active.map(({ picture, progress: at }) =>
        at ? `${picture}: ${at.stage}, ${at.step} of ${at.steps}; ${at.worker}` : picture,
      ),
    ),
    ...some('no worker can do', held.map(problemLine)),
    ...some('failed', failed.map(problemLine)),
  ];
}

const problemLine = ({ picture, reason }: Overview['failed'][number]) => `${picture}: ${reason}`;
