/**
 * `npm run bench`: runs this package and diffusers in turns, prints medians, ratios and peak
 * memory, and writes them to a file.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { exitCode } from '../src/cli/terminal/errors.ts';
import { formatHelp } from '../src/cli/terminal/help.ts';
import { wholeCalls } from './calls.ts';
import { card } from './card/run.ts';
import { type CardResults, resultsName } from './card/table.ts';
import { type Case, cases } from './cases.ts';
import { convertInTurns } from './convert.ts';
import { growth } from './growth.ts';
import { type Machine, machine } from './machine.ts';
import { measure } from './measure.ts';
import { benchOptions, readOptions } from './options.ts';
import { compilePackage, prepareCheckpoint, pythonWithDiffusers, root } from './prepare.ts';
import { quality } from './quality.ts';
import { queueInTurns } from './queue.ts';
import { table } from './table.ts';

/**
 * Writes beside the file and renames. It is called after every case, so that an interrupted run
 * keeps what it has measured.
 */
function save(
  path: string,
  results: { command: string; machine: Machine } & (CardResults | { rows: object[] }),
): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.unfinished`, `${JSON.stringify(results, null, 2)}\n`);
  renameSync(`${path}.unfinished`, path);
}

async function compare(
  names: string[],
  rounds: number | undefined,
  write: (rows: object[]) => void,
): Promise<boolean> {
  const python = pythonWithDiffusers();
  const rows = [];
  const failed: string[] = [];
  for (const name of names) {
    const entry: Case = cases[name];
    try {
      prepareCheckpoint(entry.work.checkpoint, () => python);
      const row = await measure(name, entry, {
        rounds: rounds ?? entry.rounds ?? 5,
        threads: availableParallelism(),
        python,
      });
      rows.push(row);
      write(rows);
      // Tolerances are the tests' concern. This only keeps a wrong result from counting as fast.
      if (!(row.relative_l2 < (entry.tolerance ?? 1e-3)))
        throw new Error(`the two results differ (relative L2 ${row.relative_l2})`);
    } catch (error) {
      failed.push(name);
      console.error(`${name} failed: ${(error as Error).message}`);
    }
  }
  if (rows.length > 0) console.log(table(rows));
  if (failed.length > 0) console.error(`Failed: ${failed.join(', ')}.`);
  return failed.length === 0;
}

async function main(): Promise<number> {
  const { help, list, names, rounds, json, kind } = readOptions(process.argv.slice(2));
  if (help)
    console.log(
      formatHelp({
        usage: ['npm run bench -- [options]'],
        about: [],
        groups: { Options: benchOptions },
      }),
    );
  else if (list)
    for (const name of names) console.log(kind === 'cases' ? `${name}: ${cases[name].what}` : name);
  else {
    process.chdir(root); // the paths in cases are relative to it
    compilePackage();
    const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
    let written = json ?? 'bench/results/latest.json';
    const write = (rows: object[]) => save(written, { command, machine: machine(), rows });
    if (kind === 'growth') await growth(names, rounds ?? 1, write);
    else if (kind === 'calls') wholeCalls(names, write);
    else if (kind === 'quality') await quality(names, write);
    else if (kind === 'queue') await queueInTurns(names, write);
    else if (kind === 'conversions') await convertInTurns(names, rounds ?? 3, write);
    else if (kind === 'card') {
      const write = (results: CardResults) => {
        written = json ?? `bench/results/${resultsName(results)}`;
        save(written, { command, machine: machine(), ...results });
      };
      if (!(await card(names, write))) return 1;
    } else if (!(await compare(names, rounds, write))) return 1;
    console.error(`Written to ${written}`);
  }
  return 0;
}

process.exit(
  await main().catch((error: Error) => {
    console.error(`bench: ${error.message}`);
    return exitCode(error);
  }),
);
