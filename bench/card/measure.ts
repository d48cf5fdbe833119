/** Runs one process of `--card`, whatever becomes of it. */
import type { Work } from '../cases.ts';
import { startDiffusers, startPackage } from '../measure.ts';
import type { MeasuredProcess } from '../processes/process.ts';
import type { Budget, Effort } from './budget.ts';
import { sampleCardMemory } from './cardMemory.ts';
import type { Peer, Target } from './devices.ts';

/** What a process took. `failure` says why there is nothing, or not all. */
export interface Figures {
  version?: string;
  /** Of the second round. */
  seconds?: number;
  /** Of the first round, in which kernels are chosen. */
  first_seconds?: number;
  load_seconds?: number;
  process_bytes?: number;
  device_bytes?: number;
  /** Kernels that ran on the processor though there is a card. */
  host_kernels?: string[];
  failure?: string;
}

/** The kernels that TensorFlow's log places on the processor. */
export function hostKernelIn(line: string): string | undefined {
  return /Executing op (\S+) in device \S*\/device:CPU:/.exec(line)?.[1];
}

/** How TensorFlow is made to log on which device each kernel runs. That takes time. */
const logPlacement = { TF_CPP_MIN_LOG_LEVEL: '0', TF_CPP_VMODULE: 'execute=1' };

/** Who computes: a backend of this package, or diffusers. */
export type Side = { target: Target } | { peer: Peer };

/** The line of standard error that says why a process ended. */
export function reasonIn(lines: string[]): string | undefined {
  const said = lines.map((line) => line.trim()).filter((line) => line !== '');
  const errors = said.filter((line) => /error|exhausted|out of memory|oom/i.test(line));
  return (errors.length > 0 ? errors : said).at(-1);
}

/** Measures one work in a process of its own, which is ended when the time is over. */
export async function measureOne(
  side: Side,
  work: Work,
  threads: number,
  budget: Budget,
  effort: Effort,
  output: string,
  logsPlacement = false,
): Promise<Figures> {
  const placed = new Set<string>();
  const lines: string[] = [];
  const onErrorLine = (line: string) => {
    const kernel = hostKernelIn(line);
    if (kernel) placed.add(kernel);
    else if (!line.includes(' execute.cc:')) lines.push(line);
  };
  const usesCuda = 'peer' in side ? side.peer.device === 'cuda' : side.target.backend === 'cuda';
  const cardMemory = usesCuda ? sampleCardMemory() : () => undefined;
  const began = performance.now();
  const child: MeasuredProcess =
    'peer' in side
      ? startDiffusers(work, side.peer.python, threads, onErrorLine)
      : startPackage(work, side.target.backend, threads, {
          env: { NVIDIA_TF32_OVERRIDE: '0', ...(logsPlacement && logPlacement) },
          onErrorLine,
        });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void child.end();
  }, 1000 * budget.left());
  const figures: Figures = {};
  try {
    const ready = await child.ready();
    Object.assign(figures, { version: ready.version, load_seconds: ready.seconds });
    figures.first_seconds = await child.round();
    figures.seconds = await child.round();
    const { peakBytes, deviceBytes, hostKernels = {} } = await child.memory();
    const kernels = Object.entries(hostKernels).map(([name, count]) => `${name} (${count})`);
    if ('target' in side && side.target.onCard)
      figures.host_kernels = [...placed, ...kernels].sort();
    Object.assign(figures, { process_bytes: peakBytes, device_bytes: deviceBytes });
    await child.save(output);
    budget.note(effort, {
      start: (performance.now() - began) / 1000 - figures.first_seconds - figures.seconds,
      round: Math.max(figures.first_seconds, figures.seconds),
    });
  } catch (error) {
    figures.failure = late
      ? 'it was ended because the time was over'
      : (reasonIn(lines) ?? (error as Error).message);
  } finally {
    clearTimeout(timer);
    const grown = cardMemory();
    if (grown !== undefined) figures.device_bytes = grown;
    await child.end();
  }
  return figures;
}
