/** `svd queue add`: puts jobs into the queue. */
import { dirname } from 'node:path';
import { makeFolder } from '../../files/makeFolder.ts';
import { JobQueue } from '../../queue/jobQueue.ts';
import { counted, messageOf } from '../../text/messages.ts';
import { pictureEndings } from '../batch/findPictures.ts';
import { readItems } from '../batch/items.ts';
import { manifestEndings } from '../batch/manifest.ts';
import { subcommand } from '../terminal/command.ts';
import { print, printNote } from '../terminal/print.ts';
import { runSession } from '../terminal/session.ts';
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
    const { JobMaker } = await import('./jobOf.ts');
    const items = await readItems(inputs, common, given, outputDir);
    const report = await runSession(values, async (session) => {
      await using queue = await JobQueue.open(url);
      const maker = new JobMaker(session, carrier);
      const counts = { added: 0, thereAlready: 0, failed: 0 };
      for (const item of items) {
        session.signal.throwIfAborted();
        const checkpoint = await maker.checkpointOf(item.command);
        try {
          const { job, bytes } = await maker.make(item, checkpoint);
          if (carrier === 'folder') await makeFolder(dirname(item.output));
          const same = await queue.add(job, bytes);
          counts[same ? 'thereAlready' : 'added']++;
          if (same && same.output !== job.output)
            session.note(
              `${item.picture} is the same work as ${same.picture.name}, whose output is ${same.output}`,
            );
        } catch (error) {
          counts.failed++;
          session.progress.clear();
          printNote(`${item.picture}: ${messageOf(error)}`, 'error');
        }
      }
      return counts;
    });
    const there = report.thereAlready > 0 ? `, ${report.thereAlready} there already` : '';
    const failed = report.failed > 0 ? `, ${report.failed} failed` : '';
    print(json ? JSON.stringify(report) : `${counted(report.added, 'job')} added${there}${failed}`);
    return report.failed > 0 ? 1 : 0;
  },
});
