/** `svd queue add`: puts jobs into the queue. */
import { basename, extname, join } from 'node:path';
import { makeFolder } from '../../files/makeFolder.ts';
import { JobQueue } from '../../queue/jobQueue.ts';
import { counted } from '../../text/messages.ts';
import { jsonOption, quietOption, subcommand } from '../terminal/command.ts';
import { UsageError } from '../terminal/errors.ts';
import { group } from '../terminal/options.ts';
import { print } from '../terminal/print.ts';
import { runSession } from '../terminal/session.ts';
import { type Item, JobMaker } from './jobOf.ts';
import { addOptions } from './options.ts';

export const add = subcommand({
  name: 'queue add',
  usage: ['INPUT... --queue URL --output-dir DIR [options]'],
  about: [
    'Adds a job for each picture to the queue. The same work added twice is one job.',
    'A job without --seed has a seed that follows from its picture.',
  ],
  examples: ['svd queue add pictures/*.jpg --queue redis://localhost:6379 --output-dir videos'],
  options: {
    ...addOptions,
    ...group('Reporting', 'report', { ...jsonOption(': added, there already'), ...quietOption }),
  },
  operands: { takes: 'one INPUT or several', files: ['.png', '.jpg', '.jpeg', '.webp'] },
  async run(values, inputs) {
    const { queue: url, outputDir, carrier, json, quiet, ...job } = values;
    const items = inputs.map(
      (picture): Item => ({ picture, output: join(outputDir, nameOf(picture)), values: job }),
    );
    if (items.length === 0) throw new UsageError('an INPUT is required. See svd queue add --help.');
    const report = await runSession({ json, quiet }, async (session) => {
      await using queue = await JobQueue.open(url);
      const maker = new JobMaker(session, carrier);
      if (carrier === 'folder') await makeFolder(outputDir);
      const counts = { added: 0, thereAlready: 0 };
      for (const item of items) {
        const { job, bytes } = await maker.make(item);
        const added = await queue.add(job, bytes);
        if (typeof added === 'object')
          throw new UsageError(`${item.output} is the output of another job, ${added.takenBy}.`);
        counts[added === 'added' ? 'added' : 'thereAlready']++;
      }
      return counts;
    });
    const there = report.thereAlready > 0 ? `, ${report.thereAlready} there already` : '';
    print(json ? JSON.stringify(report) : `${counted(report.added, 'job')} added${there}`);
    return 0;
  },
});

const nameOf = (picture: string) => `${basename(picture, extname(picture))}.mp4`;
