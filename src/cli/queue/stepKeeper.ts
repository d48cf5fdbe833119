/** Keeps the state of a job after its steps, and ends the job after one. */
import { Interrupted } from '../terminal/errors.ts';
import type { ProgressLine, StageProgress } from '../terminal/progress.ts';

/** The part of the time that keeping states takes at most. */
const SHARE = 1 / 20;

/** Watches one job by its progress. */
export class StepKeeper {
  private readonly controller = new AbortController();
  private isStopping = false;
  private stage = '';
  /** When the state that is being kept was asked for; undefined if none is. */
  private asked?: number;
  private keptAt = Number.NEGATIVE_INFINITY;
  private cost = 0;

  /**
   * @param onProgress Called with each report of progress.
   * @param onKept Called when a state has been kept.
   */
  constructor(
    progress: ProgressLine,
    onProgress: (progress: StageProgress) => void,
    onKept: () => void,
  ) {
    const { update } = progress;
    progress.update = (step) => {
      update(step);
      onProgress(step);
      this.stage = step.stage;
      if (this.asked !== undefined) {
        this.keptAt = performance.now();
        this.cost = this.keptAt - this.asked;
        this.asked = undefined;
        onKept();
        if (this.isStopping) this.end();
      } else if (this.isStopping) this.endBetweenSteps();
    };
  }

  /** Aborts when the job has to end. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Whether the state after the step that has ended is kept. */
  readonly isKept = (): boolean => {
    const now = performance.now();
    const isDue = this.isStopping || (now - this.keptAt) * SHARE >= this.cost;
    if (isDue) this.asked = now;
    return isDue;
  };

  /** Ends the job: after its step while it samples, not any more while it writes. */
  stop(): void {
    this.isStopping = true;
    this.endBetweenSteps();
  }

  private endBetweenSteps(): void {
    if (!['sampling', 'writing'].includes(this.stage)) this.end();
  }

  private end(): void {
    this.controller.abort(new Interrupted());
  }
}
