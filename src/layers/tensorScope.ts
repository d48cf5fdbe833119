/** Tensors that live from one step of a long computation to the next, freed by `using`. */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyBlock, CallArgs } from './block.ts';
import { prefixed, type Steps, StepwiseBlock } from './steps.ts';

// Browsers before 2025 lack it.
(Symbol as { dispose: symbol }).dispose ??= Symbol.for('Symbol.dispose');

/** The output of a block. */
type OutputOf<B> = B extends { call(...args: never): infer Output } ? Output : never;

/**
 * The tensors that a computation in steps holds. `using scope = new TensorScope()` frees all that
 * it still holds when the function ends, also by an error or by `return` of a generator.
 */
export class TensorScope {
  private readonly tensors = new Set<tf.Tensor>();

  /** Takes over tensors that exist. */
  keep<T extends tf.Tensor | tf.Tensor[]>(tensors: T): T {
    for (const tensor of [tensors].flat()) this.tensors.add(tensor);
    return tensors;
  }

  /** Computes inside `tf.tidy` and keeps the result. */
  tidy<T extends tf.Tensor | tf.Tensor[]>(compute: () => T): T {
    return this.keep(tf.tidy(compute));
  }

  /**
   * Runs `layer` as the next step and keeps its output. A stepwise block runs in its own steps,
   * whose paths begin with its name. Inputs may be made within the step, which frees them at its
   * end.
   */
  *run<B extends AnyBlock>(
    layer: B,
    inputs: tf.Tensor[] | (() => tf.Tensor[]),
    kwargs: CallArgs = {},
  ): Steps<OutputOf<B>> {
    if (layer instanceof StepwiseBlock && Array.isArray(inputs)) {
      const output = this.keep(yield* prefixed(layer.name, layer.steps(inputs, kwargs)));
      return this.map(output, (all) => layer.emit(all));
    }
    yield layer.name;
    const made = () => (Array.isArray(inputs) ? inputs : inputs());
    return this.tidy(() => layer.call(made(), kwargs) as OutputOf<B>);
  }

  /** Frees those of `tensors` that it holds. */
  free(...tensors: tf.Tensor[]): void {
    for (const tensor of tensors) if (this.tensors.delete(tensor)) tensor.dispose();
  }

  /** Returns `after` and frees what it holds of `before` and is not in it. */
  replace<T extends tf.Tensor | tf.Tensor[]>(before: tf.Tensor | tf.Tensor[], after: T): T {
    const next: tf.Tensor[] = [after].flat();
    this.free(...[before].flat().filter((tensor) => !next.includes(tensor)));
    return after;
  }

  /** Computes from `tensors` inside `tf.tidy` what takes their place, as `replace` does. */
  map<T extends tf.Tensor | tf.Tensor[]>(tensors: T, compute: (tensors: T) => T): T {
    return this.replace(
      tensors,
      this.tidy(() => compute(tensors)),
    );
  }

  /** Hands `tensors` over to the caller. */
  release<T extends tf.Tensor | tf.Tensor[]>(tensors: T): T {
    for (const tensor of [tensors].flat()) this.tensors.delete(tensor);
    return tensors;
  }

  /** Frees all that it holds. */
  [Symbol.dispose](): void {
    this.free(...this.tensors);
  }
}
