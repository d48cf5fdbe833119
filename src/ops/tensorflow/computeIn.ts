/** The type that products and convolutions compute in, and whether oneDNN's kernels serve it. */
import { type ComputeDtype, computeDtypes } from '../choices.ts';
import { deviceName } from '../device.ts';

export { type ComputeDtype, computeDtypes };

/** A type of half precision. */
export type HalfDtype = Exclude<ComputeDtype, 'float32'>;

/** What a processor gains by oneDNN's kernels in half precision. */
export interface HalfGain {
  /** Their time divided by float32's; undefined where they cannot run. */
  share?: number;
  /** Whether they are used. */
  pays: boolean;
  /** What was found, as a sentence. */
  finding: string;
}

let current: ComputeDtype = 'float32';

/** Runs `work` with products and convolutions in `dtype`. */
export function computeIn<T>(dtype: ComputeDtype, work: () => T): T {
  const before = current;
  current = dtype;
  try {
    return work();
  } finally {
    current = before;
  }
}

/** The type that products and convolutions compute in now. */
export const computeDtype = (): ComputeDtype => current;

/** Finds out what this processor gains, without ever trying the kernels in this process. */
type FindHalfGain = (dtype: HalfDtype) => HalfGain;

const found = new Map<HalfDtype, HalfGain>();
let find: FindHalfGain | undefined;

/**
 * Finds gains by a function from now on. Those of this process are forgotten.
 * @returns The function before.
 */
export function useHalfGain(newFind: FindHalfGain | undefined): FindHalfGain | undefined {
  const before = find;
  find = newFind;
  found.clear();
  return before;
}

let isLikeCard = false;

/** Lets a processor compute as a graphics card does, which has no kernels of oneDNN. */
export function computeLikeCard(does: boolean): void {
  isLikeCard = does;
}

/** What this processor gains in a type; undefined for float32, and on other devices. */
export function halfGain(dtype: ComputeDtype): HalfGain | undefined {
  if (dtype === 'float32' || !find || isLikeCard || deviceName() !== 'tensorflow-cpu')
    return undefined;
  const gain = found.get(dtype) ?? find(dtype);
  found.set(dtype, gain);
  return gain;
}

/**
 * Whether products and convolutions in `dtype` run by oneDNN's kernels, called by name, which take
 * half of float32's time or less on processors with instructions for it. The usual kernels gain
 * nothing.
 */
export const oneDnnServes = (dtype: ComputeDtype): boolean => halfGain(dtype)?.pays ?? false;
