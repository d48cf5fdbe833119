/** `svd queue work`: computes the jobs of the queue. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Computer } from '../../queue/computer.ts';
import { JobQueue } from '../../queue/jobQueue.ts';
import { work as workOn } from '../../queue/worker.ts';
import { quietOption, subcommand } from '../terminal/command.ts';
import { runSession } from '../terminal/session.ts';
import { ownWorkerOptions, queueOption, workerOptions } from './options.ts';

/** The program that computes, built or from its source. */
const program = fileURLToPath(
  new URL(`./pipelineProcess${extname(import.meta.url)}`, import.meta.url),
);

export const work = subcommand({
  name: 'queue work',
  usage: ['--queue URL [options]'],
  about: [
    'Computes the jobs of the queue, one after the other. The pipeline stays loaded from job to ' +
      'job.',
    'SIGTERM or Ctrl-C ends it after the step that it is at: the state is stored and the job ' +
      'given back. A job that this machine cannot do, because of its memory or of its checkpoint, ' +
      'is left for others.',
  ],
  examples: ['svd queue work --queue redis://localhost:6379 --backend cuda'],
  options: { ...queueOption, ...workerOptions, ...ownWorkerOptions, ...quietOption },
  async run({ queue: url, takeover, untilDone, quiet, ...setup }) {
    await runSession({ json: false, quiet }, async ({ signal, note }) => {
      await using queue = await JobQueue.open(url);
      const computer = new Computer(program, setup);
      try {
        await workOn(queue, computer, { takeover, untilDone, signal, note });
      } finally {
        await computer.end();
      }
    });
    return 0;
  },
});
