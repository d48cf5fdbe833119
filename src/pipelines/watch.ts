/** Passes what a caller of the sampling call wants to know on to the models' computations. */
import type { StepOptions, StepWeights } from '../layers/index.ts';
import type { GenerateOptions } from './types.ts';

/**
 * How a part of a sampling call is watched and stopped, and where the weights of its model come
 * from if they are not in memory.
 */
export type CallWatch = Pick<GenerateOptions, 'signal' | 'onProgress' | 'onBlock'> & {
  weights?: StepWeights;
};

/**
 * Options for the computation of a model: its blocks, and the waits for their weights, are reported
 * with `path` in front. `onStep` is told of each, too.
 */
export function stepOptions(
  { signal, onBlock, weights }: CallWatch,
  path: string,
  onStep?: () => void,
): StepOptions {
  return {
    signal,
    weights: weights && {
      release: (block) => weights.release(block),
      async load(block, signal) {
        await weights.load(block, signal);
        onBlock?.('offload');
      },
    },
    onStep: (block) => {
      onBlock?.(`${path}.${block}`);
      onStep?.();
    },
  };
}
