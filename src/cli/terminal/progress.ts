/**
 * Shows where a run stands: one line on a terminal, redrawn in place, and the seconds that each
 * stage took.
 */
import { formatShare } from '../../text/bytes.ts';

/** A part of a stage's work that is done: `step` of `steps`. */
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
  private readonly now: () => number;
  private readonly taken = new Map<string, number>();
  private stage?: string;
  private stageStart: number;
  private last: number;
  private shown = '';

  /** `now` gives milliseconds. */
  constructor(terminal?: Terminal, now: () => number = () => performance.now()) {
    this.terminal = terminal;
    this.now = now;
    this.stageStart = now();
    this.last = this.stageStart;
  }

  /** Takes note of what is done and shows it. */
  update({ stage, step, steps }: StageProgress): void {
    const time = this.now();
    if (stage !== this.stage) this.stageStart = step === 0 ? time : this.last;
    // A report that a stage begins ends the work of the one before.
    const worked = step === 0 ? (this.stage ?? stage) : stage;
    this.taken.set(worked, (this.taken.get(worked) ?? 0) + time - this.last);
    this.stage = stage;
    this.last = time;
    const remaining = step === 0 ? undefined : ((time - this.stageStart) / step) * (steps - step);
    this.draw(describe({ stage, step, steps }, remaining));
  }

  /** Removes the line, so that something else can be printed. */
  clear(): void {
    if (this.shown !== '') this.terminal?.write(CLEAR_LINE);
    this.shown = '';
  }

  /** Seconds by stage, in the order in which they began. */
  seconds(): Record<string, number> {
    return Object.fromEntries(
      [...this.taken].map(([stage, milliseconds]) => [stage, Math.round(milliseconds) / 1000]),
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
  const [hours, minutes, rest] = [
    Math.floor(whole / 3600),
    Math.floor(whole / 60) % 60,
    whole % 60,
  ];
  const padded = (value: number) => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
}
