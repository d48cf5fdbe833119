/** `svd batch`: makes a video from each of many pictures. */
import { access, constants } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { withLock } from '../../files/lock.ts';
import { makeFolder } from '../../files/makeFolder.ts';
import { counted, messageOf } from '../../text/messages.ts';
import { subcommand } from '../terminal/command.ts';
import { print } from '../terminal/print.ts';
import { runSession, type Session } from '../terminal/session.ts';
import { type Item, readItems } from './items.ts';
import { manyOptions, namesOfOne } from './options.ts';
import type { Outcome } from './report.ts';

export const batch = subcommand({
  name: 'batch',
  usage: ['INPUT... --output-dir DIR [options of svd generate]'],
  about: [
    'Makes a video from each of many pictures. The checkpoint is loaded once; a picture that fails ' +
      'is passed over and listed at the end.',
    'INPUT is a picture, a folder of pictures, a pattern such as "photos/**/*.jpg", or a manifest: ' +
      'a .csv with a line of column names, or a .jsonl with an object per line. Its columns are ' +
      'picture, output and the options of svd generate without their dashes; they go before ' +
      'those of the command. Paths of pictures begin at the folder of the manifest, and outputs at ' +
      'DIR.',
    'The same command goes on after it was stopped: videos that are complete stay, by the hashes in ' +
      'the .svd.json beside them; the others are made. DIR also gets report.csv, and index.html ' +
      'with every video.',
  ],
  examples: [
    'svd batch photos --output-dir videos --seed 1',
    'svd batch "photos/**/*.jpg" --output-dir videos --model svd-xt --format webm',
    'svd batch shots.csv --output-dir videos --fast --json',
  ],
  options: manyOptions,
  otherNames: namesOfOne,
  operands: {
    takes: 'one INPUT or several',
    files: ['/', '.csv', '.tsv', '.jsonl', '.ndjson', '.png', '.jpg', '.jpeg', '.webp'],
  },
  async run({ outputDir, ...values }, inputs, given) {
    const folder = resolve(outputDir);
    const items = await readItems(inputs, values, given, folder);
    await makeWritable(folder);
    const busy = (pid: number) =>
      `another svd batch, process ${pid}, writes into ${outputDir}. Wait for it, or use another ` +
      'folder.';
    const lock = join(folder, '.svd-batch.lock');
    const outcomes = await withLock(lock, busy, () =>
      runSession(values, (session) => animate(items, folder, values.json, session)),
    );
    const failed = outcomes.filter(({ state }) => state === 'failed');
    if (failed.length === 0) return 0;
    const [names, more] = [failed.slice(0, 20), failed.length - 20];
    throw new Error(
      `${failed.length} of ${counted(items.length, 'picture')} failed: ` +
        `${names.map(({ item }) => item.from).join(', ')}${more > 0 ? ` and ${more} more` : ''}. ` +
        `${join(outputDir, 'report.csv')} says why. The same command tries them again.`,
    );
  },
});

/** @throws Error if files cannot be written into a folder, which is made if it is not there. */
async function makeWritable(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK);
  } catch (error) {
    const [reason] = messageOf(error).split(', ');
    throw new Error(`"${folder}" cannot be written (${reason}). Use another --output-dir.`);
  }
}

/** Makes what is not complete, and writes down what becomes of each picture. */
async function animate(
  items: Item[],
  folder: string,
  json: boolean,
  session: Session,
): Promise<Outcome[]> {
  const { ReportFiles } = await import('./reportFiles.ts');
  const outcomes = items.map((item): Outcome => ({ item, state: 'open' }));
  const files = new ReportFiles(folder, outcomes);
  await files.check();
  const count = (...states: Outcome['state'][]) =>
    outcomes.filter(({ state }) => states.includes(state)).length;
  let isStopped = true;
  try {
    const { runBatch } = await import('./runBatch.ts');
    await runBatch(outcomes, {
      session,
      async onOutcome({ item, state, error }, report) {
        const { images } = item.command;
        const paths = report?.output ?? [item.output];
        if (json)
          print(JSON.stringify({ picture: images[0], state, error, output: paths, ...report }));
        else if (state === 'done') print(paths.join('\n'));
        await files.update();
      },
    });
    isStopped = false;
  } finally {
    const made = count('done', 'complete');
    const left = count('open') > 0 ? '. The same command goes on' : '';
    session.note(`${made} of ${counted(items.length, 'picture')} are complete${left}`, 'done');
    await files.write().catch((error) => {
      if (!isStopped) throw error; // else the reason of that is told
    });
  }
  return outcomes;
}
