/**
 * `npm run bench -- --calls`: whole calls of the command at full size, each in a process of its
 * own, with different places for the weights.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtCommand, prepareCheckpoint, pythonWithDiffusers } from './prepare.ts';
import { gib, markdown, seconds } from './table.ts';

const checkpoint = 'bench/checkpoints/full';
const common = `--model ${checkpoint} --num-frames 14 --decode-chunk-size 2 --seed 0 --json`;
const once = '--num-inference-steps 1 --max-guidance-scale 1';
const at256 = `--height 256 --width 256 ${once}`;
const at1024 = '--backend tensorflow --height 576 --width 1024';

/** The options that differ between calls: place and type of the weights, size, or steps. */
const options: Record<string, string> = {
  float32: `--backend tensorflow ${at256} --weight-dtype float32`,
  half: `--backend tensorflow ${at256}`,
  'offload-model': `--backend tensorflow ${at256} --offload model`,
  'offload-sequential': `--backend tensorflow ${at256} --offload sequential`,
  '576x1024': `${at1024} ${once} --memory 20`,
  '576x1024-fast': `${at1024} --fast --memory 20`,
  wasm: `--backend wasm ${at256} --offload sequential`,
};

/** The names of the calls. */
export const calls = Object.keys(options);

/** The part of the command's report that the table shows. */
interface Report {
  timings: Record<'loading' | 'encoding' | 'sampling' | 'decoding' | 'writing', number>;
  peakMemoryBytes: number;
  memory: { predictedBytes: number; choices: string[] };
}

/**
 * Runs calls and prints a table: seconds of each stage, and the measured and the predicted peak
 * memory of the process.
 */
export function wholeCalls(names: string[], write: (rows: object[]) => void): void {
  prepareCheckpoint(checkpoint, pythonWithDiffusers);
  const folder = mkdtempSync(join(tmpdir(), 'svd-bench-'));
  const rows: ({ case: string; options: string } & Report)[] = [];
  try {
    for (const name of names) {
      const given = `${common} ${options[name]}`;
      const command = [
        builtCommand,
        'generate',
        'examples/pictures/rocket.jpg',
        '--output',
        join(folder, 'video.mp4'),
        ...given.split(' '),
      ];
      const { status, stdout } = spawnSync(process.execPath, command, {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      if (status !== 0) throw new Error(`The call "${name}" failed.`);
      const { timings, peakMemoryBytes, memory } = JSON.parse(stdout) as Report;
      rows.push({ case: name, options: given, timings, peakMemoryBytes, memory });
      write(rows);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  const lines = rows.map(({ case: name, timings, peakMemoryBytes, memory }) => [
    ...[
      name,
      ...[timings.loading, timings.encoding, timings.sampling, timings.decoding].map(seconds),
    ],
    ...[gib(peakMemoryBytes), gib(memory.predictedBytes)],
  ]);
  console.log(
    markdown(
      ['call', 'loading s', 'encoding s', 'UNet s', 'decoding s', 'peak GiB', 'predicted GiB'],
      lines,
    ),
  );
}
