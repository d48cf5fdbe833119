/**
 * For small models on the tensorflow backend: runs again what was run before with the same shapes,
 * without its cost per operation.
 */
import type * as tf from '@tensorflow/tfjs-core';
import {
  type AnyBlock,
  type Parameter,
  runSteps,
  type StepOptions,
  type Steps,
  type WeightedLayer,
  weightedLayersIn,
} from '../layers/index.ts';
import { formulationsInUse, isHalf } from '../ops/index.ts';
import type { RecordedGraph, recordGraph } from './recordGraph.ts';

/** Runs a computation, whose inputs and weights may differ the next time, and records it. */
export type RecordGraph = typeof recordGraph;

/** A computation of a model. */
export interface Evaluation<T extends tf.Tensor | tf.Tensor[]> {
  model: AnyBlock;
  inputs: tf.Tensor[];
  /** The settings that change what `steps` computes, besides those of the model. */
  replayKey: unknown[];
  steps: (inputs: tf.Tensor[]) => Steps<T>;
}

/** Limits that decide which evaluations are recorded. */
export interface ReplayLimits {
  /**
   * An evaluation is recorded once it has taken so much time in all. Making a graph ready takes
   * about as long, so that recording at most doubles the time. Default 500.
   */
  worthwhileMs?: number;
  /**
   * Longer evaluations are not recorded: their operations are large, and between their blocks they
   * report progress and can be stopped. Default 1000.
   */
  longestMs?: number;
}

/** The most graphs that are kept. A pipeline that makes videos of one size needs four or five. */
const MOST_GRAPHS = 8;

/** The time spent on an evaluation that is not recorded. */
const NEVER = Number.POSITIVE_INFINITY;

/** A recorded evaluation, the paths of its steps, and whether its result is a single tensor. */
interface Replay {
  graph: RecordedGraph;
  paths: string[];
  single: boolean;
}

/** The evaluations of one pipeline's models, some of them recorded. */
export class Replays {
  private readonly record: RecordGraph;
  private readonly spent = new Map<string, number>();
  private readonly replays = new Map<string, Replay>();
  private readonly parameters = new Map<AnyBlock, Parameter[]>();
  private readonly weighted = new Map<AnyBlock, WeightedLayer[]>();
  private readonly limits: Required<ReplayLimits>;

  constructor(record: RecordGraph, { worthwhileMs = 500, longestMs = 1000 }: ReplayLimits = {}) {
    this.record = record;
    this.limits = { worthwhileMs, longestMs };
  }

  /** Runs an evaluation, from a recording if there is one. */
  async run<T extends tf.Tensor | tf.Tensor[]>(
    evaluation: Evaluation<T>,
    options: StepOptions,
  ): Promise<T> {
    const { inputs, steps } = evaluation;
    const { worthwhileMs, longestMs } = this.limits;
    // A recording reads the stored weights, and an adapter may compute with other tensors.
    if (this.weightedIn(evaluation.model).some(({ isAdapted }) => isAdapted))
      return runSteps(steps(inputs), options);
    const key = this.keyOf(evaluation);
    const known = this.replays.get(key);
    const spent = this.spent.get(key) ?? 0;
    if (!known && (spent < worthwhileMs || spent === NEVER)) {
      const start = performance.now();
      const result = await runSteps(steps(inputs), options);
      const took = performance.now() - start;
      this.spent.set(key, took > longestMs ? NEVER : spent + took);
      return result;
    }
    options.signal?.throwIfAborted();
    const { results, paths, single } = known
      ? { ...known, results: known.graph.run(inputs) }
      : this.recordAs(key, evaluation);
    for (const path of paths) options.onStep?.(path);
    return (single ? results[0] : results) as T;
  }

  private recordAs<T extends tf.Tensor | tf.Tensor[]>(
    key: string,
    { model, inputs, steps }: Evaluation<T>,
  ): Replay & { results: tf.Tensor[] } {
    const paths: string[] = [];
    let single = true;
    const weights = this.parametersOf(model).map(({ variable }) => variable);
    const { results, graph } = this.record(inputs, weights, () => {
      // Without waiting: other work of the program between steps would be recorded too.
      const running = steps(inputs);
      for (;;) {
        const { done, value } = running.next();
        if (!done) paths.push(value);
        else {
          single = !Array.isArray(value);
          return [value].flat();
        }
      }
    });
    const [oldest] = this.replays.keys();
    if (this.replays.size === MOST_GRAPHS) this.forget(oldest);
    this.replays.set(key, { graph, paths, single });
    return { graph, paths, single, results };
  }

  private forget(key: string): void {
    this.replays.get(key)?.graph.dispose();
    this.replays.delete(key);
    this.spent.delete(key);
  }

  private parametersOf(model: AnyBlock): Parameter[] {
    const known = this.parameters.get(model) ?? model.parameters();
    this.parameters.set(model, known);
    return known;
  }

  private weightedIn(model: AnyBlock): WeightedLayer[] {
    const known = this.weighted.get(model) ?? weightedLayersIn(model);
    this.weighted.set(model, known);
    return known;
  }

  /** A key that is equal for two evaluations if a recording of one serves the other. */
  private keyOf({ model, inputs, replayKey }: Evaluation<tf.Tensor | tf.Tensor[]>): string {
    const inHalf = this.parametersOf(model).map(({ variable }) =>
      isHalf(variable.read()) ? 'h' : 'f',
    );
    return JSON.stringify([
      model.name,
      replayKey,
      inputs.map(({ shape }) => shape),
      model.computeDtype,
      formulationsInUse(),
      inHalf.join(''),
    ]);
  }

  /** Frees all recordings. */
  dispose(): void {
    for (const key of [...this.replays.keys()]) this.forget(key);
  }
}
