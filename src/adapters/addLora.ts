/** LoRA that learns: new matrices on the layers of a model, whose own weights do not change. */
import * as tf from '@tensorflow/tfjs-core';
import { checkOptionValues, type Kinds, kinds } from '../text/options.ts';
import { type LoraLayers, newName } from './load.ts';
import { addToLayer } from './lora.ts';
import { shapesOf } from './loraFile.ts';
import { freeze, type LoraTarget, loraLayers } from './targets.ts';

/** Options of `addLora`. */
export interface AddLoraOptions {
  /** The number of columns of the first matrix and of rows of the second. Default 8. */
  rank?: number;
  /** `alpha / rank` is the factor of their product. Default: the rank. */
  alpha?: number;
  /**
   * The layers, by their paths or the ends of these: `to_q`, `attn1.to_q`. Default: the projections
   * of all attentions or, where there are none, all linear maps and convolutions.
   */
  targets?: readonly string[];
  /** Its name among those of the model. Default: `default_0`, `default_1`, ... */
  name?: string;
  /** Times `alpha / rank`. Default 1. */
  scale?: number;
  /** Seed of the values that it starts with. Default: a random one. */
  seed?: number;
}

const optionKinds: Kinds<AddLoraOptions> = {
  rank: kinds.count,
  alpha: kinds.number,
  targets: kinds.list,
  name: kinds.text,
  scale: kinds.number,
  seed: kinds.number,
};

/** The projections of attention. */
const ATTENTION = ['to_q', 'to_k', 'to_v', 'to_out.0'];

/**
 * Adds LoRA to layers, freezes all weights of the layer or model, and makes those of the LoRA
 * trainable: `fit`, and `trainableWeights` in a loop of one's own, have no others. The output is as
 * before until it has learned, because the second matrices start with zeros. A layer that is not
 * built yet gets built. Call it before `compile`.
 * @returns The paths of its layers.
 * @throws Error if the model has no such layers, the name is taken, or an option is wrong.
 */
export function addLora(target: LoraTarget, options: AddLoraOptions = {}): string[] {
  const layers = loraLayers('addLora', target);
  checkOptionValues('addLora', options, optionKinds);
  const { rank = 8, alpha, scale = 1, seed, targets } = options;
  const name = newName(layers, options.name);
  const paths = chosen(layers, targets);
  freeze(target);
  for (const [i, path] of paths.entries()) {
    const layer = layers.get(path)!;
    const { down, up } = shapesOf(layer, rank);
    // As torch and peft do: uniform within 1 / sqrt of the inputs of an output.
    const bound = 1 / Math.sqrt(tf.util.sizeFromShape(down) / rank);
    const start = tf.randomUniform(down, -bound, bound, 'float32', seed && seed + i);
    addToLayer(layer, { down: start, up: tf.zeros(up) }, { name, scale, alpha }, true);
  }
  return paths;
}

function chosen(layers: LoraLayers, targets?: readonly string[]): string[] {
  const paths = [...layers.keys()];
  const matching = (ends: readonly string[]) =>
    paths.filter((path) => ends.some((end) => `.${path}`.endsWith(`.${end}`)));
  if (targets === undefined) {
    const ofAttention = matching(ATTENTION);
    return ofAttention.length > 0 ? ofAttention : paths;
  }
  const without = targets.filter((end) => matching([end]).length === 0);
  if (without.length === 0 && targets.length > 0) return matching(targets);
  const ends = [...new Set(paths.map((path) => path.replace(/.*\.(?=\D)/, '')))];
  throw new Error(
    `\`targets\` names ${without.join(', ') || 'no layer'}, but the layers end with ` +
      `${ends.slice(0, 20).join(', ')}.`,
  );
}
