/** Parity on a card: the tests compare with diffusers' reference tensors, with their own bounds. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backendOf } from '../../src/backends/types.ts';
import { root } from '../prepare.ts';
import type { ParityCase } from './cases.ts';
import type { Target } from './devices.ts';

/** What the tests have found. */
export interface Parity {
  passed: number;
  failed: number;
  /** Titles of tests that failed, with the first line of what they say. */
  failures: string[];
  seconds: number;
}

interface MochaReport {
  stats: { passes: number; failures: number };
  failures: { fullTitle: string; err: { message?: string } }[];
}

/**
 * Runs the tests of a comparison in a process of their own.
 * @throws Error if they do not end by themselves within so many seconds.
 */
export function compareWithGoldens(
  { files, onProcessor }: ParityCase,
  { backend, onCard }: Target,
  secondsLeft: number,
): Parity {
  const folder = mkdtempSync(join(tmpdir(), 'svd-bench-'));
  const output = join(folder, 'report.json');
  const tests = onCard ? files : files.filter((file) => !file.startsWith('layers/'));
  const start = performance.now();
  try {
    const { status, signal, stderr } = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/mocha/bin/mocha.js'),
        ...tests.map((file) => `test/${file}.test.ts`),
        ...(onCard ? [] : ['--grep', onProcessor]),
        ...['--reporter', 'json', '--reporter-option', `output=${output}`],
      ],
      {
        ...{
          cwd: root,
          encoding: 'utf8',
          timeout: Math.ceil(1000 * secondsLeft),
          killSignal: 'SIGKILL',
        },
        ...{ stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 2 ** 30 },
        env: { ...process.env, TEST_BACKEND: backendOf(backend), NVIDIA_TF32_OVERRIDE: '0' },
      },
    );
    if (signal || status === null) throw new Error(`the tests were ended by ${signal}`);
    const { stats, failures } = reportIn(output, stderr);
    return {
      ...{ passed: stats.passes, failed: stats.failures },
      failures: failures.map(
        ({ fullTitle, err }) => `${fullTitle}: ${(err.message ?? '').split('\n')[0]}`,
      ),
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function reportIn(path: string, stderr: string): MochaReport {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    throw new Error(`the tests did not start: ${stderr.trim().split('\n').at(-1)}`);
  }
}
