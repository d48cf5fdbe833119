/** The description of the machine that is stored with each measurement. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

/** A machine and its software. */
export interface Machine {
  cpu: string;
  /** The vector instructions that it has, of those that matter here. */
  instructions: string[];
  threads: number;
  memory_bytes: number;
  system: string;
  node: string;
  /** Mean number of busy processes in the last minute, the benchmark's included. */
  load_average: number;
}

/** Describes this machine. */
export function machine(): Machine {
  const flags =
    /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' ') ?? [];
  return {
    cpu: cpus()[0].model,
    instructions: [
      'avx2',
      'fma',
      'f16c',
      'avx512f',
      'avx512_bf16',
      'avx512_fp16',
      'amx_tile',
    ].filter((name) => flags.includes(name)),
    threads: availableParallelism(),
    memory_bytes: totalmem(),
    system: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    load_average: loadavg()[0],
  };
}
