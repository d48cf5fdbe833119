/**
 * A process that runs one side of a comparison. It is stopped (SIGSTOP) except while it answers, so
 * that it takes no time from the other one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** The first answer of a process. */
export interface Ready {
  version: string;
  /** Memory in use before the first round. */
  restingBytes: number;
}

/** The memory that a process has taken, and what it did on the processor beside a card. */
export interface Memory {
  peakBytes: number;
  /** Of the card, where the backend counts them. */
  deviceBytes?: number;
  /** Kernels that a card's backend left to the processor, and how often. */
  hostKernels?: Record<string, number>;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
// A stopped process does not notice that its parent has ended.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

/** A child process that answers each line with a line of JSON. It starts with its construction. */
export class MeasuredProcess {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  private readonly start = performance.now();
  private readonly name: string;
  private failure?: Error;

  /** `onErrorLine` receives the lines of standard error, which are shown by default. */
  constructor(
    name: string,
    command: string,
    args: string[],
    env: NodeJS.ProcessEnv = {},
    onErrorLine?: (line: string) => void,
  ) {
    this.name = name;
    this.child = spawn(command, args, {
      stdio: ['pipe', 'pipe', onErrorLine ? 'pipe' : 'inherit'],
      env: { ...process.env, ...env },
    });
    if (onErrorLine) createInterface({ input: this.child.stderr! }).on('line', onErrorLine);
    running.add(this.child);
    this.child.on('exit', () => running.delete(this.child));
    this.child.on('error', (error) => {
      this.failure = error;
    });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  /** The next line of JSON. Lines that libraries print are skipped. */
  private async answer<T>(): Promise<T> {
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done)
        throw new Error(
          `${this.name} ended ` +
            `early${this.failure ? `: ${this.failure.message}` : '; its own message is above'}.`,
        );
      if (value.startsWith('{')) return JSON.parse(value);
    }
  }

  /** Waits until everything is built. `seconds` is the time since the process was started. */
  async ready(): Promise<Ready & { seconds: number }> {
    const ready = await this.answer<Ready>();
    const seconds = (performance.now() - this.start) / 1000;
    this.child.kill('SIGSTOP');
    return { ...ready, seconds };
  }

  private async ask<T>(line: string): Promise<T> {
    this.child.kill('SIGCONT');
    this.child.stdin!.write(`${line}\n`);
    const answer = await this.answer<T>();
    this.child.kill('SIGSTOP');
    return answer;
  }

  /** Runs one round and returns its seconds. */
  round = async (): Promise<number> => (await this.ask<{ seconds: number }>('round')).seconds;

  /** The memory of the process since it was ready. */
  memory = async (): Promise<Memory> => this.ask<Memory>('peak');

  /** The peak memory of the process since it was ready, in bytes. */
  peakBytes = async (): Promise<number> => (await this.memory()).peakBytes;

  /** Writes the last round's output to a file, as float32 values in diffusers' axis order. */
  save = async (path: string): Promise<unknown> => this.ask(`save ${path}`);

  /** Kills the process and waits for its end, which frees its memory. */
  async end(): Promise<void> {
    if (
      this.child.exitCode !== null ||
      this.child.signalCode !== null ||
      this.child.pid === undefined
    )
      return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }
}
