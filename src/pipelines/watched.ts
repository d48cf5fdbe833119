/** Passes what a caller of the sampling call wants to know on to the models' computations. */
import type { StepOptions } from '../layers/index.ts';
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
