/** Passes what a caller of the sampling call wants to know on to the models' computations. */
import { runSteps, type StepOptions, type Steps } from '../layers/index.ts';
import type { GenerateOptions } from './types.ts';

/** How a part of a sampling call is watched and stopped. */
export type Watch = Pick<GenerateOptions, 'signal' | 'onProgress' | 'onBlock'>;

/** Options for the computation of a model: its blocks are reported with `path` in front. `onStep` is told of each, too. */
export function watched({ signal, onBlock }: Watch, path: string, onStep?: () => void): StepOptions {
  return {
    signal,
    onStep: (block) => {
      onBlock?.(`${path}.${block}`);
      onStep?.();
    },
  };
}

/** Runs a model. `last` names what it does after its last step. */
export async function runWatched<T>(steps: Steps<T>, watch: Watch, path: string, last: string, onStep?: () => void): Promise<T> {
  const result = await runSteps(steps, watched(watch, path, onStep));
  watch.onBlock?.(`${path}.${last}`);
  return result;
}
