/** The time that all cases have together. What a case takes is known from those before it. */

/** What the time of a process depends on. */
export interface Effort {
  /** Processes of the same name are as fast as each other. */
  speed: string;
  /** Multiply-adds of one round. */
  work: number;
}

/** What a process took, in seconds. */
export interface Taken {
  /** From its start until it was ready, which does not depend on the work. */
  start: number;
  /** Of its slowest round. */
  round: number;
}

/** Rounds of each process: the first fills caches, the other one counts. */
const ROUNDS = 2;

/** Decides which processes still fit into the time. */
export class Budget {
  private readonly seconds: number;
  private readonly now: () => number;
  private readonly began: number;
  private readonly starts = new Map<string, number>();
  private readonly rates = new Map<string, number>();

  /** `now` returns milliseconds. */
  constructor(seconds: number, now: () => number = () => performance.now()) {
    this.seconds = seconds;
    this.now = now;
    this.began = now();
  }

  /** Seconds that are left. */
  left(): number {
    return Math.max(0, this.seconds - (this.now() - this.began) / 1000);
  }

  /** Learns from a process that has ended. */
  note({ speed, work }: Effort, { start, round }: Taken): void {
    raise(this.starts, speed, start);
    if (work > 0) raise(this.rates, speed, round / work);
  }

  /**
   * The seconds that a process is expected to take, 0 if none like it has run. The slowest before it
   * counts.
   */
  expected({ speed, work }: Effort): number {
    return (this.starts.get(speed) ?? 0) + ROUNDS * work * (this.rates.get(speed) ?? 0);
  }

  /** Whether a process is expected to end in time. */
  allows(effort: Effort): boolean {
    const left = this.left();
    return left > 0 && this.expected(effort) <= left;
  }
}

function raise(values: Map<string, number>, key: string, value: number): void {
  values.set(key, Math.max(values.get(key) ?? 0, value));
}
