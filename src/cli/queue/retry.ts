/** `svd queue retry`: lets jobs run again. */
import { isIntact } from '../../queue/files.ts';
import { JobQueue } from '../../queue/jobQueue.ts';
import { counted } from '../../text/messages.ts';
import { jsonOption, subcommand } from '../terminal/command.ts';
import { print } from '../terminal/print.ts';
import { queueOption } from './options.ts';

export const retry = subcommand({
  name: 'queue retry',
  usage: ['--queue URL'],
  about: [
    'Lets the jobs run again that have failed, and those whose output is not there any more as ' +
      'they have written it.',
  ],
  options: { ...queueOption, ...jsonOption(': failed, damaged') },
  async run({ queue: url, json }) {
    await using queue = await JobQueue.open(url);
    const failed = await queue.jobs('failed');
    for (const entry of failed) await queue.again(entry, 'failed');
    let damaged = 0;
    for (const entry of await queue.jobs('completed')) {
      if (await isIntact(entry.data, entry.returnvalue)) continue;
      await queue.again(entry, 'completed');
      damaged++;
    }
    const report = { failed: failed.length, damaged };
    const words = [
      `${counted(failed.length, 'failed job')} and ${counted(damaged, 'job')} with a damaged output`,
      'run again',
    ];
    print(json ? JSON.stringify(report) : words.join(' '));
    return 0;
  },
});
