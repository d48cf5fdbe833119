/** Records the outputs of the blocks inside a model. */
import * as tf from '@tensorflow/tfjs';
import { type AnyBlock, type Steps, StepwiseBlock } from '../../src/layers/index.ts';

/**
 * Keeps a copy of the (last) output of every block below `model` from now on, by its path. The
 * caller disposes of the copies.
 */
export function recordOutputs(model: AnyBlock): Map<string, tf.Tensor> {
  const outputs = new Map<string, tf.Tensor>();
  const record = (path: string, output: tf.Tensor | tf.Tensor[]) => {
    const hidden = [output].flat().at(-1) as tf.Tensor;
    outputs.get(path)?.dispose();
    outputs.set(path, tf.keep(tf.clone(hidden)));
  };
  const visit = (block: AnyBlock, prefix: string) => {
    for (const child of block.children) {
      const path = prefix + child.name;
      if (child instanceof StepwiseBlock) {
        const steps = child.steps.bind(child);
        child.steps = function* (inputs, kwargs): Steps<tf.Tensor | tf.Tensor[]> {
          const output = yield* steps(inputs, kwargs);
          record(path, output);
          return output;
        };
      } else {
        const call = child.call.bind(child);
        child.call = (inputs, kwargs) => {
          const output = call(inputs, kwargs);
          record(path, output);
          return output;
        };
      }
      visit(child, `${path}.`);
    }
  };
  visit(model, '');
  return outputs;
}
