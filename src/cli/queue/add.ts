/** `svd queue add`: puts jobs into the queue. */
import { dirname } from 'node:path';
import { makeFolder } from '../../files/makeFolder.ts';
import { JobQueue } from '../../queue/jobQueue.ts';
import { counted } from '../../text/messages.ts';
import { pictureEndings } from '../batch/findPictures.ts';
import { readItems } from '../batch/items.ts';
import { manifestEndings } from '../batch/manifest.ts';
import { subcommand } from '../terminal/command.ts';
import { UsageError } from '../terminal/errors.ts';
import { print } from '../terminal/print.ts';
import { runSession } from '../terminal/session.ts';
import { JobMaker } from './jobOf.ts';
import { addOptions, namesOfOthers, usualOfOthers } from './options.ts';

export const add = subcommand({
  name: 'queue add',
  usage: ['INPUT... --queue URL --output-dir DIR [options]'],
  about: [
    'Adds a job for each picture to a queue on Redis, which any number of svd queue work compute. ' +
      'The same work added twice is one job.',
    'INPUT is pictures, folders, glob patterns or manifests, as for svd batch. A job without ' +
      '--seed has a seed that follows from its picture.',
  ],
  examples: ['svd queue add pictures/*.jpg --queue redis://localhost:6379 --output-dir videos'],
  options: addOptions,
  otherNames: namesOfOthers,
  operands: { takes: 'one INPUT or several', files: [...pictureEndings, ...manifestEndings, '/'] },
  async run(values, inputs, given) {
    const { queue: url, carrier, outputDir, json } = values;
    const common = { ...values, ...usualOfOthers };
    const items = await readItems(inputs, common, given, outputDir);
    const report = await runSession(values, async (session) => {
      await using queue = await JobQueue.open(url);
      const maker = new JobMaker(session, carrier);
      const counts = { added: 0, thereAlready: 0 };
      for (const item of items) {
        session.signal.throwIfAborted();
        const { job, bytes } = await maker.make(item);
        if (carrier === 'folder') await makeFolder(dirname(item.output));
        const added = await queue.add(job, bytes);
        if (typeof added === 'object')
          throw new UsageError(
            `${item.from}: ${item.output} is the output of another job, ` +
              `${added.takenBy.slice(0, 12)}. Use another folder.`,
          );
        counts[added === 'added' ? 'added' : 'thereAlready']++;
      }
      return counts;
    });
    const there = report.thereAlready > 0 ? `, ${report.thereAlready} there already` : '';
    print(json ? JSON.stringify(report) : `${counted(report.added, 'job')} added${there}`);
    return 0;
  },
});
