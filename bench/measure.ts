/** Measures one case: runs both processes in turns, then compares their figures and results. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case, Work } from './cases.ts';
import { median, relativeL2 } from './numbers.ts';
import { MeasuredProcess } from './processes/process.ts';

/** A row of the results: `ours` is this package, `peer` what it is compared with. */
export interface Row {
  case: string;
  rounds: number;
  ours_seconds: number;
  peer_seconds: number;
  /** `ours_seconds` divided by `peer_seconds`. */
  ratio: number;
  /** Peak of the resident memory during the rounds. */
  ours_peak_bytes: number;
  peer_peak_bytes: number;
  /** Norm of the outputs' difference divided by the norm of the peer's output. */
  relative_l2: number;
  /** Resident memory before the first round: weights, inputs and the runtime itself. */
  ours_resting_bytes: number;
  peer_resting_bytes: number;
  /** Name and version of the backend or of torch. */
  ours: string;
  peer: string;
  /** Seconds of every round. */
  ours_rounds: number[];
  peer_rounds: number[];
}

interface Options {
  rounds: number;
  threads: number;
  python: string;
}

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** What a process gets besides its work. */
interface Surroundings {
  env?: NodeJS.ProcessEnv;
  onErrorLine?: (line: string) => void;
}

/** Starts this package's process. `compilePackage` has to run before. */
export function startPackage(
  work: Work,
  backend: string,
  threads: number,
  { env, onErrorLine }: Surroundings = {},
): MeasuredProcess {
  const args = ['--work', JSON.stringify(work), '--backend', backend, '--threads', `${threads}`];
  return new MeasuredProcess(
    `this package on ${backend}`,
    process.execPath,
    [here('.built/bench/processes/tfjs.js'), ...args],
    env,
    onErrorLine,
  );
}

function startPeer(work: Work, peer: string, { threads, python }: Options): MeasuredProcess {
  return peer === 'diffusers'
    ? startDiffusers(work, python, threads)
    : startPackage(work, peer, threads);
}

/** Starts diffusers' process. */
export function startDiffusers(
  work: Work,
  python: string,
  threads: number,
  onErrorLine?: (line: string) => void,
): MeasuredProcess {
  // the checkpoints are folders, so nothing needs the network
  const env = { HF_HUB_OFFLINE: '1', TRANSFORMERS_VERBOSITY: 'error' };
  return new MeasuredProcess(
    'diffusers',
    python,
    [here('processes/run_diffusers.py'), JSON.stringify(work), `${threads}`],
    env,
    onErrorLine,
  );
}

/** The values in a file of float32. */
export function valuesIn(path: string): Float32Array {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** The figures of all rounds. Pairs are this package's and the peer's. */
interface Measured {
  /** Seconds of each round. */
  times: number[][];
  versions: string[];
  peaks: number[];
  /** Memory before the first round. */
  resting: number[];
}

type Report = (times: number[]) => void;

/** Runs the rounds in two processes, in turns. `files` receive the outputs of the last round. */
async function inTurns(
  start: (() => MeasuredProcess)[],
  rounds: number,
  files: string[],
  report: Report,
): Promise<Measured> {
  const processes: MeasuredProcess[] = [];
  try {
    const [versions, resting]: [string[], number[]] = [[], []];
    // They load one after the other: together they would be slower and need more memory.
    for (const create of start) {
      processes.push(create());
      const { version, restingBytes } = await processes[processes.length - 1].ready();
      versions.push(version);
      resting.push(restingBytes);
    }
    // the first rounds, which do not count, fill caches and start threads
    for (const child of processes) await child.round();
    const times: number[][] = [];
    for (let i = 0; i < rounds; i++) {
      times.push([await processes[0].round(), await processes[1].round()]);
      report(times[i]);
    }
    const peaks = [await processes[0].peakBytes(), await processes[1].peakBytes()];
    for (const [i, child] of processes.entries()) await child.save(files[i]);
    return { times, versions, peaks, resting };
  } finally {
    for (const child of processes) await child.end();
  }
}

/**
 * Runs each round in a new process, timed from its start or only during its round. The first
 * processes bring the files into the system's cache and do not count. Each process ends before the
 * next begins, because both together may need more memory than the machine has.
 */
async function inFreshProcesses(
  timed: 'start' | 'round',
  start: (() => MeasuredProcess)[],
  rounds: number,
  files: string[],
  report: Report,
): Promise<Measured> {
  const result: Measured = { times: [], versions: [], peaks: [], resting: [] };
  for (let i = 0; i <= rounds; i++) {
    const times: number[] = [];
    for (const [which, create] of start.entries()) {
      const child = create();
      try {
        const { seconds, version, restingBytes } = await child.ready();
        result.versions[which] = version;
        result.resting[which] = restingBytes;
        const first = await child.round();
        times.push(timed === 'start' ? seconds : first);
        result.peaks[which] = await child.peakBytes();
        await child.save(files[which]);
      } finally {
        await child.end();
      }
    }
    if (i === 0) continue;
    result.times.push(times);
    report(times);
  }
  return result;
}

/** Measures a case. */
export async function measure(
  name: string,
  { work, fresh, backend, peer }: Case,
  options: Options,
): Promise<Row> {
  const { rounds, threads } = options;
  const start = [
    () => startPackage(work, backend ?? 'tensorflow', threads),
    () => startPeer(work, peer ?? 'diffusers', options),
  ];
  let count = 0;
  const report: Report = ([ours, theirs]) =>
    console.error(
      `${name} round ${++count}/${rounds}: ours ${ours.toFixed(3)} s, ${peer ?? 'diffusers'} ` +
        `${theirs.toFixed(3)} s`,
    );
  const folder = mkdtempSync(join(tmpdir(), 'svd-bench-'));
  try {
    const files = [join(folder, 'ours'), join(folder, 'peer')];
    const { times, versions, peaks, resting } = await (fresh
      ? inFreshProcesses(fresh, start, rounds, files, report)
      : inTurns(start, rounds, files, report));
    const [oursRounds, peerRounds] = [
      times.map(([ours]) => ours),
      times.map(([, theirs]) => theirs),
    ];
    const [ours_seconds, peer_seconds] = [median(oursRounds), median(peerRounds)];
    return {
      ...{ case: name, rounds, ours_seconds, peer_seconds, ratio: ours_seconds / peer_seconds },
      ...{
        ours_peak_bytes: peaks[0],
        peer_peak_bytes: peaks[1],
        relative_l2: relativeL2(valuesIn(files[0]), valuesIn(files[1])),
      },
      ...{ ours_resting_bytes: resting[0], peer_resting_bytes: resting[1] },
      ...{ ours: versions[0], peer: versions[1], ours_rounds: oursRounds, peer_rounds: peerRounds },
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
