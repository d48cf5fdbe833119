/**
 * Shows where a run stands: one line on a terminal, redrawn in place, or else a line now and then;
 * and the seconds that each stage took.
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
  /** Whether lines can be redrawn. */
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

/** What is known of a run before it begins. */
export interface Expected {
  /** The work of each stage, in order, in any unit; none while that is not known. */
  work: Record<string, number>;
  /** Seconds that a unit takes, until the run itself has shown it. Default: unknown. */
  secondsPerUnit?: number;
}

/**
 * Of several runs, one after the other: where all of them stand.
 * @param left The milliseconds that are left of the run, if known.
 */
export type OfAll = (left: number | undefined) => { name: string; share: number; left?: number };

/** What a line says. */
interface Shown {
  /** The place of the run among several. */
  name?: string;
  /** Of the whole run that is done, as far as that is known; it never goes back. */
  share: number;
  ofStage: number;
  /** Milliseconds of the whole run, or of the stage where that is not known. */
  left?: number;
  isLeftOfStage?: boolean;
  time: number;
}

const CLEAR_LINE = '\r\x1b[2K';
/** Milliseconds between two drawings of a stage, and between two lines without a terminal. */
const [REDRAW, LEAST, MOST] = [150, 1000, 30_000];

/** Measures stages and shows them. Without a stream it only measures. */
export class ProgressLine {
  /** Named at the end of the line: what computes. */
  label?: string;
  private readonly terminal?: Terminal;
  private readonly stopwatch: Stopwatch;
  private readonly now: () => number;
  private readonly ofAll?: OfAll;
  private readonly start: number;
  /** `from`: the steps that an earlier run has done. */
  private current = { stage: '', step: 0, steps: 0, from: 0 };
  private stageStart: number;
  private expected?: Expected;
  /** Work of the stage that is done. */
  private done = 0;
  /** The most of the whole run that has been shown. */
  private most = 0;
  private doneBefore = { stage: '', step: 0 };
  private drawn = { at: Number.NEGATIVE_INFINITY, line: '', stage: '', tenth: 0 };

  /** `now` returns milliseconds. */
  constructor(terminal?: Terminal, now: () => number = () => performance.now(), ofAll?: OfAll) {
    this.terminal = terminal;
    this.now = now;
    this.ofAll = ofAll;
    this.stopwatch = new Stopwatch(now);
    this.start = this.stageStart = this.stopwatch.lastTime;
    this.drawn.at = this.start - REDRAW;
  }

  /** That of the next of several runs, in the place of this one. */
  next(ofAll: OfAll): ProgressLine {
    this.clear();
    const next = new ProgressLine(this.terminal, this.now, ofAll);
    next.label = this.label;
    return next;
  }

  /** Measures and shows what is done. */
  update = (progress: StageProgress): void => {
    const { stage, step, steps } = progress;
    const from = stage === this.doneBefore.stage ? this.doneBefore.step : 0;
    const begins = step === from;
    const before = this.stopwatch.lastTime;
    // A report that a stage begins ends the work of the one before.
    const time = this.stopwatch.lap(begins ? this.current.stage || stage : stage);
    if (stage !== this.current.stage) {
      this.stageStart = begins ? time : before;
      this.done = 0;
      if (this.expected && from > 0) this.expected.work[stage] *= 1 - from / steps;
    }
    this.current = { ...progress, from };
    // The steps of encoding are those of one of its two models.
    if (stage !== 'encoding' && steps > 0)
      this.done = Math.max(this.done, this.shareOfSteps() * (this.expected?.work[stage] ?? 0));
    this.draw(time);
  };

  /** Tells what is to come, for the time that is left. */
  expect(expected: Expected): void {
    this.expected = expected;
  }

  /** Tells that an earlier run has done steps of a stage: its work is only the others. */
  skip(stage: string, step: number): void {
    this.doneBefore = { stage, step };
  }

  /** Milliseconds that are left, if known. */
  timeLeft(): number | undefined {
    return this.whole(this.shareOfStage(), this.now()).left;
  }

  /** Shows that some of the work of the stage is done, before its next report. */
  advance(work: number): void {
    this.done += work;
    this.draw(this.now());
  }

  /** Removes the line, so that something else can be printed. */
  clear(): void {
    if (this.drawn.line !== '' && this.terminal?.isTTY) this.terminal.write(CLEAR_LINE);
    this.drawn.line = '';
  }

  /** Seconds by stage, in the order in which they began. */
  seconds(): Record<string, number> {
    const stages = [...this.stopwatch.laps];
    return Object.fromEntries(
      stages.map(([stage, { milliseconds }]) => [stage, inSeconds(milliseconds)]),
    );
  }

  private draw(time: number): void {
    const { stage } = this.current;
    if (this.terminal === undefined || stage === '') return;
    const since = time - this.drawn.at;
    const changed = stage !== this.drawn.stage;
    if (this.terminal.isTTY && since < REDRAW && !changed) return;
    const ofStage = this.shareOfStage();
    const ofRun = this.whole(ofStage, time);
    const ofRunLeft = ofRun.isLeftOfStage ? undefined : ofRun.left;
    const shown: Omit<Shown, 'ofStage' | 'time'> = this.ofAll?.(ofRunLeft) ?? ofRun;
    const { share } = shown;
    const line = this.describe({ ...shown, ofStage, time });
    const tenth = Math.floor(10 * (shown.isLeftOfStage ? ofStage : share));
    if (this.terminal.isTTY) {
      if (line === this.drawn.line) return;
      const columns = this.terminal.columns || 80; // a terminal that does not know its width says 0
      this.terminal.write(CLEAR_LINE + `${bar(share)} ${line}`.slice(0, columns - 1));
    } else {
      const isNews = since >= LEAST && (tenth > this.drawn.tenth || changed);
      if (!isNews && since < MOST) return;
      this.terminal.write(`progress: ${line}\n`);
    }
    this.drawn = { at: time, line, stage, tenth };
  }

  private shareOfStage(): number {
    const { stage } = this.current;
    const work = this.expected?.work[stage];
    if (work) return Math.min(1, this.done / work);
    return this.shareOfSteps();
  }

  /** The share of the steps of the stage that this run has to do. */
  private shareOfSteps(): number {
    const { step, steps, from } = this.current;
    return steps > from ? (step - from) / (steps - from) : 0;
  }

  /** The share of the whole run that is done, and the milliseconds that are left, if known. */
  private whole(share: number, time: number): Omit<Shown, 'ofStage' | 'time'> {
    const { stage } = this.current;
    const work = this.expected?.work[stage];
    const spent = time - this.stageStart;
    const ofStage = share > 0 ? (spent * (1 - share)) / share : this.millisecondsFor(work);
    const stages = Object.keys(this.expected?.work ?? {});
    const later = stages.slice(stages.indexOf(stage) + 1);
    const following = later.map((name) => this.millisecondsFor(this.expected?.work[name]));
    const left = [ofStage, ...following].reduce(
      (a, b) => (a === undefined || b === undefined ? undefined : a + b),
      0,
    );
    if (this.expected === undefined) return { share, left: ofStage };
    if (left === undefined || stages.length === 0)
      return { share: this.most, left: ofStage, isLeftOfStage: true };
    const elapsed = time - this.start;
    this.most = Math.max(this.most, elapsed + left > 0 ? elapsed / (elapsed + left) : 0);
    return { share: this.most, left };
  }

  /** The time of some work: at the speed of the run so far, or else at the expected one. */
  private millisecondsFor(work: number | undefined): number | undefined {
    if (work === undefined || this.expected === undefined) return undefined;
    const { laps, lastTime } = this.stopwatch;
    let [done, time] = [0, 0];
    for (const [stage, of] of Object.entries(this.expected.work)) {
      const isNow = stage === this.current.stage;
      done += isNow ? this.done : laps.has(stage) ? of : 0;
      time += (laps.get(stage)?.milliseconds ?? 0) + (isNow ? this.now() - lastTime : 0);
    }
    if (done > 0) return (work * time) / done;
    const { secondsPerUnit } = this.expected;
    return secondsPerUnit && 1000 * secondsPerUnit * work;
  }

  /** `34 %, 1:05 left; picture 2 of 9; sampling: step 3 of 25, 2.1 s/step; wasm`. */
  private describe({ name, share, ofStage, left, isLeftOfStage, time }: Shown): string {
    const { stage, step, steps, from } = this.current;
    const remaining = left === undefined || share >= 1 ? '' : `, ${clock(left / 1000)} left`;
    const [ofAll, ofThis] = isLeftOfStage
      ? ['', remaining && `${remaining} of it`]
      : [remaining, ''];
    const perStep = (time - this.stageStart) / 1000 / (ofStage * (steps - from));
    const speed = stage === 'sampling' && ofStage > 0 ? `, ${perStep.toPrecision(2)} s/step` : '';
    const isBytes = ['downloading', 'comparing', 'converting', 'loading'].includes(stage);
    const counted = isBytes ? formatShare(step, steps) : `step ${step} of ${steps}`;
    const done = ['encoding', 'writing'].includes(stage) ? '' : `: ${counted}${speed}`;
    const label = this.label === undefined ? '' : `; ${this.label}`;
    const place = name === undefined ? '' : `; ${name}`;
    return `${Math.floor(100 * share)} %${ofAll}${place}; ${stage}${done}${ofThis}${label}`;
  }
}

/** `[####------]`. */
function bar(share: number): string {
  const full = Math.floor(10 * share);
  return `[${'#'.repeat(full)}${'-'.repeat(10 - full)}]`;
}

/** Seconds as `m:ss` or `h:mm:ss`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const [hours, minutes, rest] = parts.map((part) => String(part).padStart(2, '0'));
  return whole < 3600 ? `${Number(minutes)}:${rest}` : `${Number(hours)}:${minutes}:${rest}`;
}
