/** Running again what was run before with the same shapes, without its cost per operation. */
import type * as tf from '@tensorflow/tfjs';
import {
  type AnyBlock,
  type Parameter,
  runSteps,
  type StepOptions,
  type Steps,
} from '../layers/index.ts';
import { formulationsInUse, isHalf } from '../ops/index.ts';

/**
 * A computation that was recorded: it takes tensors of the shapes that it was recorded with, and
 * gives new results.
 */
export interface RecordedGraph {
  run(inputs: tf.Tensor[]): tf.Tensor[];
  dispose(): void;
}

/** Runs `compute`, whose inputs and weights may differ the next time, and records it. */
export type RecordGraph = (
  inputs: tf.Tensor[],
  weights: readonly { read(): tf.Tensor }[],
  compute: () => tf.Tensor[],
) => { results: tf.Tensor[]; graph: RecordedGraph };

/**
 * A model's computation: which one, of which tensors, and with which settings besides the model's
 * own.
 */
export interface Evaluation<T extends tf.Tensor | tf.Tensor[]> {
  model: AnyBlock;
  inputs: tf.Tensor[];
  settings: unknown[];
  steps: (inputs: tf.Tensor[]) => Steps<T>;
}

/** When evaluations are recorded. */
export interface ReplayLimits {
  /**
   * Making a graph ready takes about as long as this. It is done when so much was spent without it,
   * so that it never more than doubles the time. Default 500.
   */
  worthwhileMs?: number;
  /**
   * Longer evaluations are not recorded: they can be watched and stopped between their blocks, and
   * their operations are large. Default 1000.
   */
  longestMs?: number;
}

/**
 * The oldest makes room for the next. A pipeline that makes videos of one size needs four or five.
 */
const MOST_GRAPHS = 8;

/** Time spent on what is not to be recorded. */
const NEVER = Number.POSITIVE_INFINITY;

/** The evaluations of one pipeline's models, some of them recorded. */
export class Replays {
  private readonly record: RecordGraph;
  private readonly spent = new Map<string, number>();
  private readonly graphs = new Map<
    string,
    { graph: RecordedGraph; paths: string[]; single: boolean }
  >();
  private readonly parameters = new Map<AnyBlock, Parameter[]>();
  private readonly limits: Required<ReplayLimits>;

  constructor(record: RecordGraph, { worthwhileMs = 500, longestMs = 1000 }: ReplayLimits = {}) {
    this.record = record;
    this.limits = { worthwhileMs, longestMs };
  }

  /** Evaluates, from a recording if there is one. */
  async run<T extends tf.Tensor | tf.Tensor[]>(
    evaluation: Evaluation<T>,
    options: StepOptions,
  ): Promise<T> {
    const { inputs, steps } = evaluation;
    const key = this.keyOf(evaluation);
    const known = this.graphs.get(key);
    if (known) {
      options.signal?.throwIfAborted();
      const results = known.graph.run(inputs);
      for (const path of known.paths) options.onStep?.(path);
      return (known.single ? results[0] : results) as T;
    }
    const spent = this.spent.get(key) ?? 0;
    const { worthwhileMs, longestMs } = this.limits;
    if (spent >= worthwhileMs && spent < NEVER) return this.recordAs(key, evaluation, options);
    const start = performance.now();
    const result = await runSteps(steps(inputs), options);
    const took = performance.now() - start;
    this.spent.set(key, took > longestMs ? NEVER : spent + took);
    return result;
  }

  private recordAs<T extends tf.Tensor | tf.Tensor[]>(
    key: string,
    { model, inputs, steps }: Evaluation<T>,
    options: StepOptions,
  ): T {
    options.signal?.throwIfAborted();
    const paths: string[] = [];
    let single = true;
    const weights = this.parametersOf(model).map(({ variable }) => variable);
    const { results, graph } = this.record(inputs, weights, () => {
      // All at once, because what else the program does between steps would be recorded too.
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
    const [oldest] = this.graphs.keys();
    if (this.graphs.size === MOST_GRAPHS) this.forget(oldest);
    this.graphs.set(key, { graph, paths, single });
    for (const path of paths) options.onStep?.(path);
    return (single ? results[0] : results) as T;
  }

  private forget(key: string): void {
    this.graphs.get(key)?.graph.dispose();
    this.graphs.delete(key);
    this.spent.delete(key);
  }

  private parametersOf(model: AnyBlock): Parameter[] {
    const known = this.parameters.get(model) ?? model.parameters();
    this.parameters.set(model, known);
    return known;
  }

  /** What two evaluations have to agree in so that a recording of one gives the other. */
  private keyOf({ model, inputs, settings }: Evaluation<tf.Tensor | tf.Tensor[]>): string {
    const inHalf = this.parametersOf(model).map(({ variable }) =>
      isHalf(variable.read()) ? 'h' : 'f',
    );
    return JSON.stringify([
      model.name,
      settings,
      inputs.map(({ shape }) => shape),
      model.computeDtype,
      formulationsInUse(),
      inHalf.join(''),
    ]);
  }

  /** Frees all recordings. */
  dispose(): void {
    for (const key of [...this.graphs.keys()]) this.forget(key);
  }
}
