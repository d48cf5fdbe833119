/** `npm run bench`: ours and diffusers, alternately in one run; prints medians, ratios and peak memory, and writes them to a file. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Case, cases } from './cases.ts';
import { growth, series } from './growth.ts';
import { type Machine, machine } from './machine.ts';
import { measure } from './measure.ts';
import { compileOurs, prepareCheckpoint, pythonWithDiffusers, root } from './prepare.ts';
import { table } from './table.ts';

const help = `Usage: npm run bench -- [options]

  --case NAME    run this case; may be given several times. Default: all.
  --rounds N     rounds of each case. Default: 5, for some cases fewer.
  --json FILE    where to write the results. Default: bench/results/latest.json.
  --list         name the cases.
  --growth       instead of cases, measure how our time and memory grow: --case then takes ${series.join(', ')}.`;

/** Writes beside the file and renames, after every case, so that a run that is broken off leaves what it has measured. */
function save(path: string, results: { command: string; machine: Machine; rows: object[] }): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.unfinished`, `${JSON.stringify(results, null, 2)}\n`);
  renameSync(`${path}.unfinished`, path);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      case: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      json: { type: 'string', default: fileURLToPath(new URL('results/latest.json', import.meta.url)) },
      list: { type: 'boolean', default: false },
      growth: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const known = values.growth ? series : Object.keys(cases);
  const names = values.case ?? known;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`There is no case "${unknown}". The cases are ${known.join(', ')}.`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new Error(`--rounds has to be a whole number of 1 or more but is "${values.rounds}".`);
  }
  return { ...values, names, rounds };
}

async function compare(names: string[], rounds: number | undefined, write: (rows: object[]) => void): Promise<boolean> {
  const python = pythonWithDiffusers();
  const rows = [];
  const failed: string[] = [];
  for (const name of names) {
    const entry: Case = cases[name];
    try {
      prepareCheckpoint(entry.work.checkpoint, () => python);
      const row = await measure(name, entry, { rounds: rounds ?? entry.rounds ?? 5, threads: availableParallelism(), python });
      rows.push(row);
      write(rows);
      // Not a tolerance (the tests hold those), but speed at the price of another result shall not pass for speed.
      if (!(row.relative_l2 < 1e-3)) throw new Error(`the two results differ (relative L2 ${row.relative_l2})`);
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
  const options = readOptions();
  if (options.help) console.log(help);
  else if (options.list) for (const [name, { what }] of Object.entries(cases)) console.log(`${name}: ${what}`);
  else {
    process.chdir(root); // cases name their files from there
    compileOurs();
    const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
    const write = (rows: object[]) => save(options.json, { command, machine: machine(), rows });
    if (options.growth) await growth(options.names, options.rounds ?? 1, write);
    else if (!(await compare(options.names, options.rounds, write))) return 1;
    console.error(`Written to ${options.json}`);
  }
  return 0;
}

process.exit(
  await main().catch((error: Error) => {
    console.error(`bench: ${error.message}`);
    return 1;
  }),
);
