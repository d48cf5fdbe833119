/** When the state of a call is kept. */
import type { ProgressLine } from '../../terminal/progress.ts';

/** Milliseconds: what is left of a call that is worth it, and the time between two files. */
const [WORTHWHILE, BETWEEN] = [60_000, 10_000];

/** Whether the state after a step is to be kept. */
export type KeepRule = () => boolean;

/**
 * At most every ten seconds, while the call is estimated to take more than another minute. `now`
 * returns milliseconds.
 */
export function whileLong(
  progress: Pick<ProgressLine, 'timeLeft'>,
  now: () => number = () => performance.now(),
): KeepRule {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const isTime = (progress.timeLeft() ?? 0) > WORTHWHILE && now() - last >= BETWEEN;
    if (isTime) last = now();
    return isTime;
  };
}
