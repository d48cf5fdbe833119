/** `npm run bench`: ours and diffusers, alternately in one run; prints medians, ratios and peak memory, and writes them to a file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const cases = JSON.parse(readFileSync(here('cases.json'), 'utf8')) as Record<string, { what: string }>;
const { values: options } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: Object.keys(cases) },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string', default: here('results/latest.json') },
    list: { type: 'boolean', default: false },
  },
});

interface Round {
  seconds: number;
  peakBytes: number;
}

/** A process that runs one round per line it is sent. */
class Side {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(command: string, args: string[]) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.on('error', (error) => {
      console.error(`${command} could not be started: ${error.message}. Set PYTHON to one with test/reference/requirements.txt installed.`);
      process.exit(1);
    });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  private async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.child.spawnargs.join(' ')} ended early; its own message is above.`);
    return value;
  }

  /** Skips to the line that says the model is built. */
  async ready(): Promise<void> {
    while ((await this.line()) !== 'ready');
  }

  async round(): Promise<Round> {
    this.child.stdin!.write('\n');
    return JSON.parse(await this.line());
  }

  stop(): void {
    this.child.kill();
  }
}

const median = (numbers: number[]) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

async function measure(name: string, rounds: number) {
  const threads = availableParallelism();
  const ours = new Side(process.execPath, ['--import', 'tsx', here('ours.ts'), name]);
  const peer = new Side(process.env.PYTHON ?? 'python3', [here('peer.py'), name, `${threads}`]);
  try {
    await Promise.all([ours.ready(), peer.ready()]);
    await ours.round(); // the first round of either pays for caches and thread pools
    await peer.round();
    const results: [Round, Round][] = [];
    for (let i = 0; i < rounds; i++) {
      results.push([await ours.round(), await peer.round()]);
      const [a, b] = results[i];
      console.error(`${name} round ${i + 1}/${rounds}: ours ${a.seconds.toFixed(2)} s, diffusers ${b.seconds.toFixed(2)} s`);
    }
    const last = results[rounds - 1];
    return {
      case: name,
      rounds,
      ours_seconds: median(results.map(([a]) => a.seconds)),
      peer_seconds: median(results.map(([, b]) => b.seconds)),
      ratio: median(results.map(([a, b]) => a.seconds / b.seconds)),
      ours_peak_bytes: last[0].peakBytes,
      peer_peak_bytes: last[1].peakBytes,
    };
  } finally {
    ours.stop();
    peer.stop();
  }
}

if (options.list) {
  for (const [name, { what }] of Object.entries(cases)) console.log(`${name}: ${what}`);
} else {
  const rows = [];
  for (const name of options.case) {
    if (!(name in cases)) throw new Error(`There is no case ${name}. The cases are ${Object.keys(cases).join(', ')}.`);
    rows.push(await measure(name, Number(options.rounds)));
  }
  const machine = { cpu: cpus()[0].model, threads: availableParallelism(), memory_bytes: totalmem(), node: process.version };
  console.table(rows);
  const command = `npm run bench -- ${options.case.map((name) => `--case ${name}`).join(' ')} --rounds ${options.rounds}`;
  writeFileSync(options.json, `${JSON.stringify({ command, machine, rows }, null, 2)}\n`);
}
