/** What DeepCache (Ma et al. 2023) keeps from the evaluations of one step for those of the next. */
import * as tf from '@tensorflow/tfjs-core';
import { TensorScope } from '../../layers/index.ts';
import { DEEP_CACHE_BRANCH } from '../defaults.ts';
import type { DeepCacheOptions } from '../types.ts';

/** The options with their defaults, or none where every step runs in full. */
export function activeDeepCache(
  options: DeepCacheOptions | null | undefined,
): Required<DeepCacheOptions> | undefined {
  if (!options || options.interval === 1) return undefined;
  return { interval: options.interval, branch: branchOf(options) };
}

/** The branch, the default one if none is given. */
export const branchOf = ({ branch }: DeepCacheOptions): number => branch ?? DEEP_CACHE_BRANCH;

/** The states of the UNet that are kept: one for each evaluation of the last step in full. */
export class KeptStates implements Disposable {
  /** The branch of the UNet; undefined where nothing is kept. */
  readonly branch?: number;
  private readonly interval: number;
  private readonly scope = new TensorScope();
  private states: tf.Tensor[] = [];

  constructor(options?: DeepCacheOptions) {
    const active = activeDeepCache(options);
    this.branch = active?.branch;
    this.interval = active?.interval ?? 1;
  }

  /** Whether every evaluation of a step runs in full, so that none needs what is kept. */
  isRenewedAt(step: number): boolean {
    return step % this.interval === 0;
  }

  /**
   * The states for the evaluations of a step, the conditional half of guidance last. None if it
   * runs in full: every few steps, and where the half that it needs has not been kept.
   * @param frames The frames of each evaluation.
   */
  forStep(step: number, frames: readonly number[]): readonly tf.Tensor[] {
    const needed = frames.reduce((sum, count) => sum + count, 0);
    const kept = this.states.reduce((sum, { shape }) => sum + shape[0], 0);
    if (this.isRenewedAt(step) || kept < needed) this.states = this.scope.replace(this.states, []);
    else if (kept > needed) this.keepLast(needed);
    return this.states;
  }

  /** Takes over what an evaluation in full keeps. */
  keep(states: tf.Tensor[]): void {
    this.states = [...this.states, ...this.scope.keep(states)];
  }

  private keepLast(frames: number): void {
    const [last] = this.states.slice(-1);
    const half = this.scope.tidy(() => tf.slice(last, last.shape[0] - frames));
    this.states = this.scope.replace(this.states, [half]);
  }

  /** Frees them. */
  [Symbol.dispose](): void {
    this.scope[Symbol.dispose]();
  }
}
