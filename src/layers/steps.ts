/**
 * Long computations as generators, so that callers can report progress and stop between their
 * steps.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { settleDevice } from '../ops/device.ts';
import { checkOptionValues, type Kinds, kinds } from '../text/options.ts';
import { Block, type CallArgs, type LayerArgs } from './block.ts';

/**
 * A computation that yields the path of each block before it runs it, and returns its result. Until
 * the next path, it needs only the weights of that block.
 */
export type Steps<T> = Generator<string, T, void>;

/** A block whose forward pass can pause before each of its parts. `call` runs it through. */
export abstract class StepwiseBlock<
  Args extends LayerArgs = LayerArgs,
  Output extends tf.Tensor | tf.Tensor[] = tf.Tensor,
> extends Block<Args, Output> {
  /**
   * The forward pass. Tensors it has allocated are freed when it ends, also by `return` or an
   * error; its result is the caller's.
   */
  abstract steps(inputs: tf.Tensor[], kwargs: CallArgs): Steps<Output>;

  protected forward(inputs: tf.Tensor[], kwargs: CallArgs): Output {
    const steps = this.steps(inputs, kwargs);
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  }
}

/** Puts `name.` in front of the paths that `steps` yields. */
export function* prefixed<T>(name: string, steps: Steps<T>): Steps<T> {
  try {
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      yield `${name}.${value}`;
    }
  } finally {
    // A `return` at the yield above has to reach the inner computation too. Later it has no effect.
    steps.return(undefined as T);
  }
}

/** Weights that are in memory only while their block runs. */
export interface StepWeights {
  /**
   * Loads the weights of the block at `path` into memory. Rejects with the signal's reason when the
   * signal aborts.
   * @param runs The paths of the blocks that the computation runs, if they are not all.
   */
  load(path: string, signal?: AbortSignal, runs?: ReadonlySet<string>): Promise<void>;
  /** Frees them. */
  release(path: string): void;
}

/** Options of a long computation. */
export interface StepOptions {
  /** Stops the computation before its next step; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called with the path of each finished block. */
  onStep?: (path: string) => void;
  /** Where the weights of each block come from, if they are not in memory. */
  weights?: StepWeights;
}

const optionKinds: Kinds<StepOptions> = {
  ...{ signal: kinds.signal, onStep: kinds.listener, weights: kinds.object },
};

// Node's timers wait for at least a millisecond, and small models have thousands of steps.
const nextTurn = () =>
  new Promise<void>((resolve) =>
    'setImmediate' in globalThis ? setImmediate(resolve) : setTimeout(resolve),
  );

/**
 * Runs `steps` to the end. The event loop has a turn after each step.
 * @throws Error if an option has another name or cannot have its value, or what a step throws.
 */
export async function runSteps<T>(steps: Steps<T>, options: StepOptions = {}): Promise<T> {
  checkOptionValues('runSteps', options, optionKinds);
  const { signal, onStep, weights } = options;
  let running: string | undefined;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = steps.next();
      if (running !== undefined) {
        weights?.release(running);
        const finished = running;
        running = undefined;
        onStep?.(finished);
      }
      if (done) return value;
      await nextTurn();
      await settleDevice(value);
      await weights?.load(value, signal);
      running = value;
    }
  } finally {
    if (running !== undefined) weights?.release(running);
    steps.return(undefined as T);
  }
}
