/** `npx tsx bench/convert.ts`: conversions of a full-size checkpoint beside copies of its files, in turns; prints medians and writes them to a file. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine } from './machine.ts';
import { median } from './numbers.ts';
import { builtCommand, compileOurs, prepareCheckpoint, pythonWithDiffusers, root } from './prepare.ts';
import { gib, markdown, seconds } from './table.ts';

const { values } = parseArgs({
  options: {
    checkpoint: { type: 'string', default: 'bench/checkpoints/full' },
    folder: { type: 'string', default: join(root, 'bench/checkpoints/converted') },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string', default: fileURLToPath(new URL('results/convert-latest.json', import.meta.url)) },
  },
});
const folder = resolve(values.folder);
const checkpoint = resolve(root, values.checkpoint);
const output = join(folder, 'output');

/** What is converted to what. The first two also make what the others read. */
const cases = [
  { name: 'diffusers to tfjs', from: checkpoint, to: 'tfjs' },
  { name: 'diffusers to original', from: checkpoint, to: 'original' },
  { name: 'tfjs to diffusers', from: join(folder, 'tfjs'), to: 'diffusers' },
  { name: 'tfjs to original', from: join(folder, 'tfjs'), to: 'original' },
  { name: 'original to diffusers', from: join(folder, 'svd_xt.safetensors'), to: 'diffusers' },
  { name: 'original to tfjs', from: join(folder, 'svd_xt.safetensors'), to: 'tfjs' },
];

interface Round {
  /** Until the command has ended, and until what it has written is on the disk. */
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
      peak = Math.max(peak, 1024 * Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0));
    } catch {} // it has just ended
  }, 50);
  const status = await new Promise((done) => child.on('close', done));
  const ended = performance.now();
  clearInterval(watch);
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} has failed.`);
  sync();
  const round = { seconds: (ended - start) / 1000, synced_seconds: (performance.now() - start) / 1000, peak_bytes: peak };
  console.error(command.split('/').at(-1), JSON.stringify(round));
  return round;
}

const convert = (from: string, to: string, path: string) =>
  timed(process.execPath, [builtCommand, 'convert', from, path, '--to', to, '--quiet']);
const copy = (from: string) => timed('cp', ['-r', '--reflink=never', from, output]);

prepareCheckpoint(values.checkpoint, pythonWithDiffusers);
compileOurs();
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const cold = dropCache();
const rows: Record<string, unknown>[] = [];
try {
  await convert(checkpoint, 'tfjs', join(folder, 'tfjs'));
  await convert(checkpoint, 'original', join(folder, 'svd_xt.safetensors'));
  for (const { name, from, to } of cases) {
    const rounds: { copy: Round; conversion: Round }[] = [];
    for (let i = 0; i < Number(values.rounds); i++) {
      const copied = await copy(from);
      rmSync(output, { recursive: true });
      rounds.push({ copy: copied, conversion: await convert(from, to, output) });
      rmSync(output, { recursive: true });
    }
    const middle = (of: (round: (typeof rounds)[number]) => number) => median(rounds.map(of));
    rows.push({
      case: name,
      copy_seconds: middle(({ copy }) => copy.seconds),
      convert_seconds: middle(({ conversion }) => conversion.seconds),
      copy_synced_seconds: middle(({ copy }) => copy.synced_seconds),
      convert_synced_seconds: middle(({ conversion }) => conversion.synced_seconds),
      peak_bytes: Math.max(...rounds.map(({ conversion }) => conversion.peak_bytes)),
      rounds,
    });
    writeFileSync(values.json, `${JSON.stringify({ machine: machine(), cold_cache: cold, rows }, null, 2)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const heads = ['conversion', 'copy s', 'convert s', 'speed', 'copy s, on disk', 'convert s, on disk', 'speed, on disk', 'peak GiB'];
const lines = (rows as Record<string, number>[]).map((row) => {
  const pair = (a: number, b: number) => [seconds(a), seconds(b), `${Math.round((100 * a) / b)} %`];
  const [plain, synced] = [pair(row.copy_seconds, row.convert_seconds), pair(row.copy_synced_seconds, row.convert_synced_seconds)];
  return [`${row.case}`, ...plain, ...synced, gib(row.peak_bytes)];
});
console.log(markdown(heads, lines));
