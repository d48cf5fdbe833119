/** A stopwatch that adds up the time between events by name. */

/** Measures the time between events, from its making on. */
export class Stopwatch {
  /** How often something was done and how long it took, by name, in the order of beginning. */
  readonly laps = new Map<string, { count: number; milliseconds: number }>();
  private readonly now: () => number;
  private last: number;

  /** `now` returns milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.now = now;
    this.last = now();
  }

  /** The time of the last event. */
  get lastTime(): number {
    return this.last;
  }

  /** Adds the time since the last event to that of `name`, and returns the time now. */
  lap(name: string): number {
    const time = this.now();
    const { count, milliseconds } = this.laps.get(name) ?? { count: 0, milliseconds: 0 };
    this.laps.set(name, { count: count + 1, milliseconds: milliseconds + time - this.last });
    this.last = time;
    return time;
  }
}

/** Milliseconds as seconds with three decimals. */
export const inSeconds = (milliseconds: number): number => Math.round(milliseconds) / 1000;
