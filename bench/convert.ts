/**
 * `npm run bench -- --conversions`: `svd convert` of a full-size checkpoint beside copies of its
 * files, in turns.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { median } from './numbers.ts';
import { builtCommand, prepareCheckpoint, pythonWithDiffusers } from './prepare.ts';
import { gib, markdown, seconds } from './table.ts';

const checkpoint = 'bench/checkpoints/full';
const folder = 'bench/checkpoints/converted';
const output = join(folder, 'output');
/** The checkpoint by format. The last two are made first. */
const inputs = {
  diffusers: checkpoint,
  tfjs: join(folder, 'tfjs'),
  original: join(folder, 'svd_xt.safetensors'),
};
type Format = keyof typeof inputs;

const pairs: Record<string, [from: Format, to: Format]> = {
  'diffusers-to-tfjs': ['diffusers', 'tfjs'],
  'diffusers-to-original': ['diffusers', 'original'],
  'tfjs-to-diffusers': ['tfjs', 'diffusers'],
  'tfjs-to-original': ['tfjs', 'original'],
  'original-to-diffusers': ['original', 'diffusers'],
  'original-to-tfjs': ['original', 'tfjs'],
};

/** The conversions that can be measured. */
export const conversions = Object.keys(pairs);

interface Round {
  /** Until the command has ended, and until its output is on the disk. */
  seconds: number;
  synced_seconds: number;
  peak_bytes: number;
}

const sync = () => execFileSync('sync');

/** Empties the system's cache of files, so that every round reads from the disk. */
function dropCache(): boolean {
  sync();
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch {
    return false; // only root may
  }
}

/** Runs a command to its end. */
async function timed(command: string, args: string[]): Promise<Round> {
  dropCache();
  const start = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let peak = 0;
  const watch = setInterval(() => {
    try {
      peak = Math.max(
        peak,
        1024 *
          Number(
            /VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0,
          ),
      );
    } catch {} // it has just ended
  }, 50);
  const status = await new Promise((done) => child.on('close', done));
  const ended = performance.now();
  clearInterval(watch);
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} has failed.`);
  sync();
  const round = {
    seconds: (ended - start) / 1000,
    synced_seconds: (performance.now() - start) / 1000,
    peak_bytes: peak,
  };
  console.error(command.split('/').at(-1), JSON.stringify(round));
  return round;
}

const convert = (from: Format, to: Format, path: string) =>
  timed(process.execPath, [builtCommand, 'convert', inputs[from], path, '--to', to, '--quiet']);
const copy = (from: Format) => timed('cp', ['-r', '--reflink=never', inputs[from], output]);

/** Measures conversions and prints a table of medians. */
export async function convertInTurns(
  names: string[],
  count: number,
  write: (rows: object[]) => void,
): Promise<void> {
  prepareCheckpoint(checkpoint, pythonWithDiffusers);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const cold_cache = dropCache();
  const rows = [];
  try {
    for (const format of ['tfjs', 'original'] as const)
      await convert('diffusers', format, inputs[format]);
    for (const name of names) {
      const [from, to] = pairs[name];
      const rounds: { copy: Round; conversion: Round }[] = [];
      for (let i = 0; i < count; i++) {
        const copied = await copy(from);
        rmSync(output, { recursive: true });
        rounds.push({ copy: copied, conversion: await convert(from, to, output) });
        rmSync(output, { recursive: true });
      }
      const middle = (of: (round: (typeof rounds)[number]) => number) => median(rounds.map(of));
      rows.push({
        case: name,
        cold_cache,
        copy_seconds: middle(({ copy }) => copy.seconds),
        convert_seconds: middle(({ conversion }) => conversion.seconds),
        copy_synced_seconds: middle(({ copy }) => copy.synced_seconds),
        convert_synced_seconds: middle(({ conversion }) => conversion.synced_seconds),
        peak_bytes: Math.max(...rounds.map(({ conversion }) => conversion.peak_bytes)),
        rounds,
      });
      write(rows);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const heads = [
    'conversion',
    'copy s',
    'convert s',
    'speed',
    'copy s, on disk',
    'convert s, on disk',
    'speed, on disk',
    'peak GiB',
  ];
  const lines = rows.map((row) => {
    const pair = (a: number, b: number) => [
      seconds(a),
      seconds(b),
      `${Math.round((100 * a) / b)} %`,
    ];
    const [plain, synced] = [
      pair(row.copy_seconds, row.convert_seconds),
      pair(row.copy_synced_seconds, row.convert_synced_seconds),
    ];
    return [row.case, ...plain, ...synced, gib(row.peak_bytes)];
  });
  console.log(markdown(heads, lines));
}
