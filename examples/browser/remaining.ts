/** How much of a call is done, and how long the rest takes, over all stages. */
import type { Progress } from 'stable-video-diffusion-tfjs/browser';

const stages = ['encoding', 'sampling', 'decoding'] as const;
/** How long each stage takes, in any unit. */
export type Costs = Record<(typeof stages)[number], number>;

/** What decides how long a call takes. */
export interface Call {
  numFrames: number;
  numInferenceSteps: number;
  maxGuidanceScale: number;
}

/** Expected costs. The unit is the UNet's work on one frame. */
export const expectedCosts = ({ numFrames, numInferenceSteps, maxGuidanceScale }: Call): Costs => ({
  encoding: 6,
  sampling: numFrames * numInferenceSteps * (maxGuidanceScale > 1 ? 2 : 1),
  decoding: 5 * numFrames,
});

export class RemainingTime {
  readonly #costs: Costs;
  /** The part of each stage that is done, and the seconds that it took. */
  readonly #parts = new Map<string, { done: number; seconds: number }>();
  #begun: { stage: string; at: number } | undefined;

  constructor(costs: Costs) {
    this.#costs = costs;
  }

  /** @returns The part of the work that is done, and the seconds left, if they can be told yet. */
  update(
    { stage, step, steps }: Progress,
    now = performance.now(),
  ): { done: number; seconds?: number } {
    if (this.#begun?.stage !== stage) this.#begun = { stage, at: now };
    this.#parts.set(stage, { done: step / steps, seconds: (now - this.#begun.at) / 1000 });
    const all = stages.reduce((sum, name) => sum + this.#costs[name], 0);
    const done = stages.reduce((sum, name) => sum + this.#costs[name] * this.#done(name), 0) / all;
    if (!this.#done('sampling')) return { done };
    const seconds = stages.reduce(
      (sum, name) => sum + this.#costs[name] * (1 - this.#done(name)) * this.#pace(name),
      0,
    );
    return { done, seconds };
  }

  #done(stage: string): number {
    return this.#parts.get(stage)?.done ?? 0;
  }

  /** Seconds for a unit of cost: the stage's own, or those of sampling. */
  #pace(stage: keyof Costs): number {
    const known = this.#done(stage) > 0 ? stage : 'sampling';
    const { done, seconds } = this.#parts.get(known)!;
    return seconds / (done * this.#costs[known]);
  }
}

/** `about 12 s left`, `about 3 min left`, `about 1.5 h left`. */
export function timeLeft(seconds: number): string {
  if (seconds < 20) return `about ${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 90) return `about ${5 * Math.round(seconds / 5)} s left`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min left` : `about ${(minutes / 60).toFixed(1)} h left`;
}
