/**
 * Runs the models of a pipeline with their weights in memory, reports blocks, and can be stopped.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { runSteps, type StepOptions, type StepWeights } from '../../layers/index.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import { pathsOf } from '../../memory/shapes/dryRun.ts';
import type { ModelName } from '../../models/names.ts';
import { deviceName } from '../../ops/device.ts';
import type { Evaluation } from '../../recording/replay.ts';
import type { Components } from '../components.ts';
import { componentOf } from '../loading/modelConfigs.ts';
import type { GenerateOptions } from '../types.ts';

/** Call options plus the weight source of the model that is running. */
export type RunOptions = GenerateOptions & { weights?: StepWeights };

/** Runs the models of a pipeline. */
export class ModelRunner {
  private readonly components: Components;

  constructor(components: Components) {
    this.components = components;
  }

  /** Does `work` with the weights of a model in memory, or with their source in its options. */
  async withWeights<T>(
    model: ModelName,
    options: RunOptions,
    work: (options: RunOptions) => Promise<T>,
  ): Promise<T> {
    const { offload } = this.components;
    if (!offload) return work(options);
    await using _weights = { [Symbol.asyncDispose]: () => offload.release(model) };
    const weights = await offload.load(model, options.signal);
    options.onBlock?.('offload');
    return await work({ ...options, weights });
  }

  /**
   * Evaluates a model, whose blocks are reported under its name: from a recording, if there may be
   * one.
   */
  evaluate<T extends tf.Tensor | tf.Tensor[]>(
    model: ModelName,
    {
      isPart,
      ...evaluation
    }: Omit<Evaluation<T>, 'model'> & {
      /** Whether it leaves out blocks that other evaluations of the model run. */
      isPart?: boolean;
    },
    options: RunOptions,
    onStep?: () => void,
  ): Promise<T> {
    const { replays, [model]: block } = this.components;
    const runs = isPart && options.weights ? blocksOf(evaluation) : undefined;
    const steps = stepOptions(options, componentOf[model], onStep, runs);
    const { recording = !options.onBlock } = options;
    if (replays && recording) return replays.run({ model: block, ...evaluation }, steps);
    return runSteps(evaluation.steps(evaluation.inputs), steps);
  }
}

/** The paths of the blocks that an evaluation runs. */
const blocksOf = ({
  inputs,
  steps,
}: Pick<Evaluation<tf.Tensor | tf.Tensor[]>, 'inputs' | 'steps'>) =>
  new Set(
    pathsOf(deviceName() as Device, (input) => steps(inputs.map(({ shape }) => input(...shape)))),
  );

/**
 * Options for the computation of a model: its blocks, and the waits for their weights, are reported
 * with `path` in front.
 */
function stepOptions(
  { signal, onBlock, weights }: RunOptions,
  path: string,
  onStep?: () => void,
  runs?: ReadonlySet<string>,
): StepOptions {
  return {
    signal,
    weights: weights && {
      release: (block) => weights.release(block),
      async load(block, signal) {
        await weights.load(block, signal, runs);
        onBlock?.('offload');
      },
    },
    onStep: (block) => {
      onBlock?.(`${path}.${block}`);
      onStep?.();
    },
  };
}
