/**
 * Shows where a run stands: one line on a terminal, redrawn in place, and the seconds that each
 * stage took.
 */
import { formatShare } from '../../text/bytes.ts';
import { inSeconds, Stopwatch } from './stopwatch.ts';

/** The part of a stage's work that is done: `step` of `steps`. */
export interface StageProgress {
  stage: string;
  step: number;
  steps: number;
}

/** The part of a terminal stream that is written to. */
export interface Terminal {
  columns?: number;
  write(text: string): unknown;
}

const CLEAR_LINE = '\r\x1b[2K';

/** Measures stages and draws the line. Without a terminal it only measures. */
export class ProgressLine {
  private readonly terminal?: Terminal;
  private readonly stopwatch: Stopwatch;
  private stage?: string;
  private stageStart: number;
  private shown = '';

  /** `now` returns milliseconds. */
  constructor(terminal?: Terminal, now?: () => number) {
    this.terminal = terminal;
    this.stopwatch = new Stopwatch(now);
    this.stageStart = this.stopwatch.lastTime;
  }

  /** Measures and shows what is done. */
  update = ({ stage, step, steps }: StageProgress): void => {
    const before = this.stopwatch.lastTime;
    // A report that a stage begins ends the work of the one before.
    const time = this.stopwatch.lap(step === 0 ? (this.stage ?? stage) : stage);
    if (stage !== this.stage) this.stageStart = step === 0 ? time : before;
    this.stage = stage;
    const remaining = step === 0 ? undefined : ((time - this.stageStart) / step) * (steps - step);
    this.draw(describe({ stage, step, steps }, remaining));
  };

  /** Removes the line, so that something else can be printed. */
  clear(): void {
    if (this.shown !== '') this.terminal?.write(CLEAR_LINE);
    this.shown = '';
  }

  /** Seconds by stage, in the order in which they began. */
  seconds(): Record<string, number> {
    const stages = [...this.stopwatch.laps];
    return Object.fromEntries(
      stages.map(([stage, { milliseconds }]) => [stage, inSeconds(milliseconds)]),
    );
  }

  private draw(line: string): void {
    if (line === this.shown || this.terminal === undefined) return;
    const columns = this.terminal.columns || 80; // a terminal that does not know its width says 0
    this.terminal.write(CLEAR_LINE + line.slice(0, columns - 1));
    this.shown = line;
  }
}

/** `sampling: step 3 of 25, 12 %, 1:05 left`, or `loading: 1.2 of 4.6 GB, 26 %, 0:03 left`. */
function describe({ stage, step, steps }: StageProgress, remaining: number | undefined): string {
  const percentage = steps > 0 ? `, ${Math.floor((100 * step) / steps)} %` : '';
  const left = remaining === undefined || step >= steps ? '' : `, ${clock(remaining / 1000)} left`;
  const done = ['downloading', 'comparing', 'converting', 'loading'].includes(stage)
    ? formatShare(step, steps)
    : `step ${step} of ${steps}`;
  return `${stage}: ${done}${percentage}${left}`;
}

/** Seconds as `m:ss` or `h:mm:ss`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const [hours, minutes, rest] = parts.map((part) => String(part).padStart(2, '0'));
  return whole < 3600 ? `${Number(minutes)}:${rest}` : `${Number(hours)}:${minutes}:${rest}`;
}
