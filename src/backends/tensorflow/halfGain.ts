/** What this processor gains by oneDNN's kernels in half precision. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { HalfDtype, HalfGain } from '../../ops/tensorflow/computeIn.ts';
import { chosen } from '../../ops/tensorflow/trials.ts';
import { scriptArguments } from '../packages.ts';

/** Without one of these instructions, oneDNN's kernels in a type cannot be fast. */
const instructions: Record<HalfDtype, string[]> = {
  bfloat16: ['avx512_bf16', 'amx_bf16'],
  float16: ['avx512_fp16', 'amx_fp16'],
};

/** Half precision rounds: it has to save more than a fifth of the time of products. */
const WORTHWHILE = 0.8;

/** In place of a share of the time: the kernels end their process. */
const FATAL = -1;

/**
 * Finds what is gained in a type by three gates: the instructions of the processor, a process of its
 * own that tries the kernels, which end it where they cannot run, and their times in it. What the
 * process shows is kept with the choices of kernels.
 */
export function findHalfGain(dtype: HalfDtype): HalfGain {
  const cannot = (finding: string) => ({ pays: false, finding });
  if (lacks(instructions[dtype]))
    return cannot(`The processor has neither ${instructions[dtype].join(' nor ')}.`);
  let share: number;
  try {
    share = chosen(`${dtype} by oneDNN`, () => tryInProcess(dtype));
  } catch (error) {
    return cannot(`The trial of oneDNN's kernels in ${dtype} failed: ${(error as Error).message}.`);
  }
  if (share === FATAL)
    return cannot(`oneDNN's kernels in ${dtype} end the process on this processor.`);
  const pays = share < WORTHWHILE;
  const finding =
    `Products and convolutions in ${dtype} take ${share.toFixed(2)} of float32's time` +
    (pays ? '.' : `, which is not below ${WORTHWHILE}.`);
  return { share, pays, finding };
}

/** Whether the system lists the processor's instructions, and none of `names` among them. */
function lacks(names: string[]): boolean {
  let flags: string[];
  try {
    const line = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    if (!line) return false;
    flags = line[1].split(' ');
  } catch {
    return false; // no such file outside Linux
  }
  return !names.some((name) => flags.includes(name));
}

/**
 * The kernels' time divided by float32's in another process, or `FATAL`.
 * @throws When the process shows neither.
 */
function tryInProcess(dtype: HalfDtype): number {
  const script = scriptArguments('tensorflow/halfTrial');
  const { stdout, status, signal, error } = spawnSync(process.execPath, [...script, dtype], {
    encoding: 'utf8',
    timeout: 120_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const share = Number(/^share (\S+)$/m.exec(stdout ?? '')?.[1]);
  if (share > 0) return share;
  const fatal =
    ['SIGABRT', 'SIGSEGV', 'SIGILL'].includes(signal ?? '') || [134, 139].includes(status ?? 0);
  if (fatal) return FATAL;
  throw error ?? new Error(`it ended with ${signal ?? `exit code ${status}`}`);
}
