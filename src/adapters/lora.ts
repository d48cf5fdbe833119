/**
 * LoRA (Hu et al. 2021, arXiv 2106.09685) on the layers that multiply by a weight: a product of two
 * small matrices is added to it. The stored weights do not change.
 */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import type { Layout, WeightAdapter, WeightedLayer } from '../layers/index.ts';
import { widened } from '../ops/index.ts';

/** The two matrices of a layer, in the axis order of TensorFlow.js. */
export interface LoraMatrices {
  /** `[..., in, rank]`, with the kernel of a convolution in front. */
  down: tf.Tensor;
  /** `[..., rank, out]`, with a kernel of size 1 in front. */
  up: tf.Tensor;
}

/** How strong a LoRA is. */
export interface LoraStrength {
  /** Its name among those of the model. */
  name: string;
  /** Times `alpha / rank`, the factor of the product. */
  scale: number;
  /** Default: the rank. */
  alpha?: number;
}

/** The weight of a layer, and how its axes lie. */
export function weightOfLayer(layer: WeightedLayer): {
  variable: tfl.LayerVariable;
  layout: Layout;
} {
  return layer.parameters().find(({ key }) => key === 'weight')!;
}

/** The LoRA of one layer. */
export class LoraAdapter implements WeightAdapter {
  readonly name: string;
  scale: number;
  readonly rank: number;
  readonly alpha: number;
  readonly down: tfl.LayerVariable;
  readonly up: tfl.LayerVariable;

  /** Takes the matrices over. @param label Names its variables. */
  constructor({ down, up }: LoraMatrices, strength: LoraStrength, label: string, trains = false) {
    this.name = strength.name;
    this.scale = strength.scale;
    this.rank = down.shape.at(-1)!;
    this.alpha = strength.alpha ?? this.rank;
    this.down = new tfl.LayerVariable(down, 'float32', `${label}/lora_A`, trains);
    this.up = new tfl.LayerVariable(up, 'float32', `${label}/lora_B`, trains);
    tf.dispose([down, up]); // the variables keep the data
  }

  get variables(): tfl.LayerVariable[] {
    return [this.down, this.up];
  }

  adapt(weight: tf.Tensor): tf.Tensor {
    const factor = (this.scale * this.alpha) / this.rank;
    if (factor === 0) return weight;
    const down = tf.reshape(this.down.read(), [-1, this.rank]);
    const up = tf.mul(tf.reshape(this.up.read(), [this.rank, -1]), factor);
    return tf.add(weight, tf.reshape(tf.matMul(down, up), weight.shape));
  }
}

/** Adds LoRA of two matrices, which it takes over, to a layer. */
export function addToLayer(
  layer: WeightedLayer,
  matrices: LoraMatrices,
  strength: LoraStrength,
  trains = false,
): void {
  unfuse(layer);
  const label = weightOfLayer(layer).variable.originalName;
  layer.adapters = [...layer.adapters, new LoraAdapter(matrices, strength, label, trains)];
}

/** The LoRA that are in the stored weight of a layer, with what it was before. */
class FusedLora implements WeightAdapter {
  readonly inside: readonly LoraAdapter[];
  readonly original: tfl.LayerVariable;

  constructor(inside: readonly LoraAdapter[], original: tf.Tensor, label: string) {
    this.inside = inside;
    this.original = new tfl.LayerVariable(original, 'float32', `${label}/original`, false);
  }

  get variables(): tfl.LayerVariable[] {
    return [...this.inside.flatMap(({ variables }) => variables), this.original];
  }
}

/** The LoRA of a layer, whether they are fused or not. */
export const lorasOf = ({ adapters }: WeightedLayer): LoraAdapter[] =>
  adapters.flatMap((adapter) => {
    if (adapter instanceof FusedLora) return adapter.inside;
    return adapter instanceof LoraAdapter ? [adapter] : [];
  });

/** Whether the stored weight of a layer has LoRA in it. */
export const isFused = ({ adapters }: WeightedLayer): boolean =>
  adapters.some((adapter) => adapter instanceof FusedLora);

/** Adds the LoRA of a layer to its stored weight, in float32. */
export function fuse(layer: WeightedLayer): void {
  unfuse(layer);
  const inside = lorasOf(layer);
  if (inside.length === 0) return;
  const { variable } = weightOfLayer(layer);
  const original = tf.clone(variable.read());
  const sum = tf.tidy(() => inside.reduce((weight, each) => each.adapt(weight), widened(original)));
  layer.adapters = [
    ...layer.adapters.filter((adapter) => !(adapter instanceof LoraAdapter)),
    new FusedLora(inside, original, variable.originalName),
  ];
  variable.write(sum);
  tf.dispose([original, sum]); // the variables keep the data
}

/** Restores the stored weight of a layer to the bit. */
export function unfuse(layer: WeightedLayer): void {
  const fused = layer.adapters.find((adapter) => adapter instanceof FusedLora);
  if (!fused) return;
  weightOfLayer(layer).variable.write(fused.original.read());
  fused.original.dispose();
  layer.adapters = [...layer.adapters.filter((adapter) => adapter !== fused), ...fused.inside];
}

/** Frees the LoRA of a name from a layer, or all. The stored weight is as before. */
export function removeLora(layer: WeightedLayer, name?: string): void {
  const gone = lorasOf(layer).filter((each) => name === undefined || each.name === name);
  if (gone.length === 0) return;
  unfuse(layer);
  layer.adapters = layer.adapters.filter((each) => !gone.some((one) => one === each));
  for (const variable of gone.flatMap(({ variables }) => variables)) variable.dispose();
}
