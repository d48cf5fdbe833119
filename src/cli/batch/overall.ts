/** How far many calls are: the time that is left of all of them. */
import type { OfAll } from '../terminal/progress.ts';

/** Adds up the time of runs, one after the other, whose work is known in some unit. */
export class Overall<Run> {
  private readonly runs: Run[];
  private readonly workOf: (run: Run) => number;
  private readonly now: () => number;
  private current?: { work: number; start: number };
  private done = 0;
  private spent = 0;
  private most = 0;

  /** `now` returns milliseconds. */
  constructor(runs: Run[], workOf: (run: Run) => number, now = () => performance.now()) {
    this.runs = runs;
    this.workOf = workOf;
    this.now = now;
  }

  /** A run begins. @returns What its progress shows of all. */
  begin(run: Run): OfAll {
    const index = this.runs.indexOf(run);
    const work = this.workOf(run);
    const start = this.now();
    const rest = this.runs.slice(index + 1).reduce((sum, one) => sum + this.workOf(one), 0);
    const name = `picture ${index + 1} of ${this.runs.length}`;
    this.current = { work, start };
    return (left) => {
      const now = this.now() - start;
      const perUnit =
        left === undefined
          ? this.done && this.spent / this.done
          : (this.spent + now + left) / (this.done + work);
      if (perUnit === 0) return { name, share: this.most };
      const ofAll = (left ?? Math.max(0, perUnit * work - now)) + perUnit * rest;
      const elapsed = this.spent + now;
      this.most = Math.max(this.most, elapsed / (elapsed + ofAll || 1));
      return { name, share: this.most, left: ofAll };
    };
  }

  /** The run that has begun has ended. */
  end(): void {
    this.done += this.current?.work ?? 0;
    this.spent += this.current ? this.now() - this.current.start : 0;
    this.current = undefined;
  }
}
