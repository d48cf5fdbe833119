/** Records the outputs of the blocks inside a model. */
import * as tf from '@tensorflow/tfjs';
import type { AnyBlock } from '../../src/layers/index.ts';

/**
 * Keeps a copy of the (last) output of every block below `model` from now on, by its path. The
 * caller disposes of the copies.
 */
export function recordOutputs(model: AnyBlock): Map<string, tf.Tensor> {
  const outputs = new Map<string, tf.Tensor>();
  const visit = (block: AnyBlock, prefix: string) => {
    for (const child of block.children) {
      const path = prefix + child.name;
      child.onOutput = (output) => {
        outputs.get(path)?.dispose();
        outputs.set(path, tf.keep(tf.clone(output)));
        return output;
      };
      visit(child, `${path}.`);
    }
  };
  visit(model, '');
  return outputs;
}
