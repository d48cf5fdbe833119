/**
 * Measures one case: both sides by turns, then what they needed and how far their results are
 * apart.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case, Work } from './cases.ts';
import { median, relativeL2 } from './numbers.ts';
import { Side } from './processes/process.ts';

/** A row of the results; bytes are the most resident memory during the rounds. */
export interface Row {
  case: string;
  rounds: number;
  ours_seconds: number;
  peer_seconds: number;
  /** Ours divided by the other's. */
  ratio: number;
  ours_peak_bytes: number;
  peer_peak_bytes: number;
  /** Norm of the outputs' difference divided by the norm of the other's output. */
  relative_l2: number;
  /** Resident memory before the first round: weights, inputs and the runtime itself. */
  ours_resting_bytes: number;
  peer_resting_bytes: number;
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

/** Starts our side, which has to be compiled. */
export function startOurs(work: Work, backend: string, threads: number): Side {
  const args = ['--work', JSON.stringify(work), '--backend', backend, '--threads', `${threads}`];
  return new Side(`ours on ${backend}`, process.execPath, [
    here('.built/bench/processes/tfjs.js'),
    ...args,
  ]);
}

function startPeer(work: Work, peer: string, { threads, python }: Options): Side {
  if (peer !== 'diffusers') return startOurs(work, peer, threads);
  // checkpoints are folders; nothing is to be fetched
  const env = { HF_HUB_OFFLINE: '1', TRANSFORMERS_VERBOSITY: 'error' };
  return new Side(
    'diffusers',
    python,
    [here('processes/run_diffusers.py'), JSON.stringify(work), `${threads}`],
    env,
  );
}

/** The values in a file of float32. */
function valuesIn(path: string): Float32Array {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** What rounds have shown; pairs are ours and the other's. */
interface Measured {
  /** Seconds of each round. */
  times: number[][];
  versions: string[];
  peaks: number[];
  /** Memory before the first round. */
  resting: number[];
}

type Tell = (times: number[]) => void;

/**
 * Rounds in two processes that live through all of them. The outputs of the last go into `files`.
 */
async function inTurns(
  start: (() => Side)[],
  rounds: number,
  files: string[],
  tell: Tell,
): Promise<Measured> {
  const sides: Side[] = [];
  try {
    const [versions, resting]: [string[], number[]] = [[], []];
    // One after the other, for the two would slow each other down and take more memory while they
    // load.
    for (const create of start) {
      sides.push(create());
      const { version, restingBytes } = await sides[sides.length - 1].ready();
      versions.push(version);
      resting.push(restingBytes);
    }
    // the first round of either pays for caches and thread pools
    for (const side of sides) await side.round();
    const times: number[][] = [];
    for (let i = 0; i < rounds; i++) {
      times.push([await sides[0].round(), await sides[1].round()]);
      tell(times[i]);
    }
    const peaks = [await sides[0].peakBytes(), await sides[1].peakBytes()];
    for (const [i, side] of sides.entries()) await side.save(files[i]);
    return { times, versions, peaks, resting };
  } finally {
    for (const side of sides) await side.end();
  }
}

/**
 * Rounds that are processes of their own, measured from their start, or in their first round alone.
 * The first ones bring the files into memory and don't count. Each ends before the next begins,
 * because both together may need more memory than there is.
 */
async function inFreshProcesses(
  timed: 'start' | 'round',
  start: (() => Side)[],
  rounds: number,
  files: string[],
  tell: Tell,
): Promise<Measured> {
  const result: Measured = { times: [], versions: [], peaks: [], resting: [] };
  for (let i = 0; i <= rounds; i++) {
    const times: number[] = [];
    for (const [which, create] of start.entries()) {
      const side = create();
      try {
        const { seconds, version, restingBytes } = await side.ready();
        result.versions[which] = version;
        result.resting[which] = restingBytes;
        const first = await side.round();
        times.push(timed === 'start' ? seconds : first);
        result.peaks[which] = await side.peakBytes();
        await side.save(files[which]);
      } finally {
        await side.end();
      }
    }
    if (i === 0) continue;
    result.times.push(times);
    tell(times);
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
    () => startOurs(work, backend ?? 'tensorflow', threads),
    () => startPeer(work, peer ?? 'diffusers', options),
  ];
  let count = 0;
  const tell: Tell = ([ours, theirs]) =>
    console.error(
      `${name} round ${++count}/${rounds}: ours ${ours.toFixed(3)} s, ${peer ?? 'diffusers'} ${theirs.toFixed(3)} s`,
    );
  const folder = mkdtempSync(join(tmpdir(), 'svd-bench-'));
  try {
    const files = [join(folder, 'ours'), join(folder, 'peer')];
    const { times, versions, peaks, resting } = await (fresh
      ? inFreshProcesses(fresh, start, rounds, files, tell)
      : inTurns(start, rounds, files, tell));
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
