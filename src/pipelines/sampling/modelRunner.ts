/** Runs the models of a pipeline: with their weights in memory, watched, and stopped in time. */
import type * as tf from '@tensorflow/tfjs';
import { runSteps, type StepOptions, type StepWeights } from '../../layers/index.ts';
import type { ModelName } from '../../models/names.ts';
import type { Evaluation } from '../../recording/replay.ts';
import type { Components } from '../components.ts';
import { componentOf } from '../loading/modelConfigs.ts';
import type { GenerateOptions } from '../types.ts';

/**
 * How a part of a sampling call is watched and stopped, and where the weights of its model come
 * from if they are not in memory.
 */
export type CallWatch = Pick<GenerateOptions, 'signal' | 'onProgress' | 'onBlock'> & {
  weights?: StepWeights;
};

/** Runs the models of a pipeline. */
export class ModelRunner {
  private readonly components: Components;

  constructor(components: Components) {
    this.components = components;
  }

  /** Does `work` with the weights of a model in memory, or with what brings them there. */
  async withWeights<T, W extends CallWatch>(
    model: ModelName,
    watch: W,
    work: (watch: W) => Promise<T>,
  ): Promise<T> {
    const { offload } = this.components;
    if (!offload) return work(watch);
    await using _weights = { [Symbol.asyncDispose]: () => offload.release(model) };
    const weights = await offload.load(model, watch.signal);
    watch.onBlock?.('offload');
    return await work({ ...watch, weights });
  }

  /**
   * Evaluates a model, whose blocks are reported under its name: from a recording, if there may be
   * one and nobody times the blocks.
   */
  evaluate<T extends tf.Tensor | tf.Tensor[]>(
    model: ModelName,
    evaluation: Omit<Evaluation<T>, 'model'>,
    watch: CallWatch,
    onStep?: () => void,
  ): Promise<T> {
    const { replays, [model]: block } = this.components;
    const options = stepOptions(watch, componentOf[model], onStep);
    if (replays && !watch.onBlock) return replays.run({ model: block, ...evaluation }, options);
    return runSteps(evaluation.steps(evaluation.inputs), options);
  }
}

/**
 * Options for the computation of a model: its blocks, and the waits for their weights, are reported
 * with `path` in front.
 */
function stepOptions(
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
