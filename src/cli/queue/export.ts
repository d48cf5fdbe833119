/** `svd queue export`: writes a report of all jobs, and the videos that Redis holds. */
import { writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { makeFolder } from '../../files/makeFolder.ts';
import { writeAtomically } from '../../files/writing/atomic.ts';
import { sha256 } from '../../queue/files.ts';
import { type Entry, JobQueue, keyOf, states } from '../../queue/jobQueue.ts';
import { type ReportRow, reportColumns, rowsOf } from '../../queue/overview.ts';
import { hasEnding } from '../../text/endings.ts';
import { counted } from '../../text/messages.ts';
import { csvTable } from '../batch/report.ts';
import { subcommand } from '../terminal/command.ts';
import { print } from '../terminal/print.ts';
import { queueOption } from './options.ts';

export const exportReport = subcommand({
  name: 'queue export',
  usage: ['report.csv --queue URL [--output-dir DIR]'],
  about: [
    'Writes a line for each job: picture, output, state, SHA-256, settings, worker, seconds, and ' +
      'why it has failed. Videos that Redis holds are written to their places and leave Redis.',
  ],
  examples: ['svd queue export report.csv --queue redis://localhost:6379'],
  options: {
    ...queueOption,
    outputDir: {
      value: 'DIR',
      files: ['/'],
      help: 'Write the videos that Redis holds into this folder. Default: where svd queue add said.',
    },
  },
  operands: {
    takes: 'one report.csv',
    files: ['.csv'],
    valid: (operands) => operands.length === 1 && hasEnding(operands[0], '.csv'),
  },
  async run({ queue: url, outputDir }, [path]) {
    await using queue = await JobQueue.open(url);
    const rows: ReportRow[] = [];
    let brought = 0;
    for (const state of states)
      for (const entry of await queue.jobs(state)) {
        if (state === 'completed') brought += await bring(queue, entry, outputDir);
        rows.push(...rowsOf(entry, state));
      }
    const lines = rows.map((row) => reportColumns.map((name) => `${row[name] ?? ''}`));
    const table = csvTable([reportColumns, ...lines]);
    await writeAtomically(path, (temporary) => writeFile(temporary, table));
    const videos = brought > 0 ? `, and ${counted(brought, 'video')} out of Redis` : '';
    print(`${path}: ${counted(rows.length, 'line')}${videos}`);
    return 0;
  },
});

/** Writes the files of a job that Redis holds. @returns How many. */
async function bring(queue: JobQueue, entry: Entry, folder?: string): Promise<number> {
  let brought = 0;
  for (const [i, file] of entry.returnvalue.files.entries()) {
    const key = keyOf('output', entry.id!, i);
    const bytes = await queue.redis.getBuffer(key);
    if (bytes === null) continue;
    const path = folder === undefined ? file.path : join(resolve(folder), basename(file.path));
    if (sha256(bytes) !== file.sha256) throw new Error(`${path} is damaged in Redis.`);
    await makeFolder(dirname(path));
    await writeAtomically(path, (temporary) => writeFile(temporary, bytes));
    await queue.redis.del(key);
    brought++;
  }
  return brought;
}
