/**
 * The values of a layer's weights, which are on the backend, in float32 or half precision, or
 * nowhere.
 */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { forProducts, isHalf, sliceForProducts, widened, widenedSlice } from '../ops/index.ts';
import type { Parameter } from './parameter.ts';

/** A backend that stores nothing. Reading from it throws the reason. */
class MetaBackend {
  private readonly references = new WeakMap<object, number>();
  private readonly why: string;

  constructor(why: string) {
    this.why = why;
  }
  incRef(dataId: object): void {
    this.references.set(dataId, (this.references.get(dataId) ?? 1) + 1);
  }
  disposeData(dataId: object): boolean {
    const left = (this.references.get(dataId) ?? 1) - 1;
    this.references.set(dataId, left);
    return left === 0;
  }
  readSync(): never {
    throw new Error(this.why);
  }
}

/** The backend of weights that `withoutWeights` declares. */
const declared = new MetaBackend(
  'This layer was built without weights. Load a checkpoint into it before using it.',
);

/** The backend of weights that were freed. */
const released = new MetaBackend(
  'The weights of this layer are not in memory. Load a checkpoint into it before using it. ' +
    'A model that is offloaded has weights only inside the calls of its pipeline.',
);

let building: 'values' | 'shapes' = 'values';

/**
 * Runs `build` so that layers built inside it declare their weights without allocating or
 * initialising them, as PyTorch's `meta` device does. Fill them by `loadWeights` before use.
 */
export function withoutWeights<T>(build: () => T): T {
  const before = building;
  building = 'shapes';
  try {
    return build();
  } finally {
    building = before;
  }
}

/** Whether layers that are built now only declare their weights. */
export const isMeta = (): boolean => building === 'shapes';

/** Runs `declare` with an engine whose new tensors have a shape and no memory. */
export function onMeta<T>(declare: () => T, place = declared): T {
  // The engine has no public way to say where a variable lives; this field is what `tf.setBackend`
  // sets.
  const engine = tf.engine() as unknown as { backendInstance: unknown };
  const before = engine.backendInstance;
  engine.backendInstance = place;
  try {
    return declare();
  } finally {
    engine.backendInstance = before;
  }
}

/** A tensor without values. Call it inside `onMeta`. */
export const metaTensor = (shape: number[]) =>
  tf.engine().makeTensorFromTensorInfo({ dataId: {}, shape, dtype: 'float32' });

/**
 * The value of a weight as a tensor of known rank. If it is in half precision, returns its float32
 * values, which the surrounding `tf.tidy` frees. Training turns the weight itself into float32.
 */
export function weightOf<T extends tf.Tensor>(variable: tfl.LayerVariable): T {
  if (variable.trainable && tf.engine().isTapeOn()) holdInFloat32(variable);
  return widened(variable.read()) as T;
}

/** As `weightOf`, for a range of the value, as `tf.slice` takes it. */
export function weightSlice<T extends tf.Tensor>(
  variable: tfl.LayerVariable,
  begin: number[],
  size: number[],
): T {
  if (variable.trainable && tf.engine().isTapeOn()) holdInFloat32(variable);
  return widenedSlice(variable.read(), begin, size) as T;
}

/**
 * A weight, or a range of it, for a product or a convolution and nothing else: if these compute in
 * the half precision that it is held in, it is not widened.
 */
export function weightForProducts<T extends tf.Tensor>(
  variable: tfl.LayerVariable,
  range?: { begin: number[]; size: number[] },
): T {
  if (variable.trainable && tf.engine().isTapeOn()) holdInFloat32(variable);
  const value = variable.read();
  return (range ? sliceForProducts(value, range.begin, range.size) : forProducts(value)) as T;
}

/** Widens a weight that is held in half precision for good. */
export function holdInFloat32(variable: tfl.LayerVariable): void {
  const held = variable.read();
  if (!isHalf(held)) return;
  const values = widened(held);
  variable.write(values);
  values.dispose(); // the variable keeps the data
}

/** Frees the values of weights and keeps the declarations. */
export function releaseValues(parameters: readonly Parameter[]): void {
  onMeta(() => {
    for (const { variable } of parameters) {
      const empty = metaTensor(variable.shape as number[]);
      variable.write(empty);
      empty.dispose();
    }
  }, released);
}

/** How the values of a weight are chosen before it is trained or loaded. */
export type Initializer = ReturnType<typeof tfl.initializers.zeros>;

/**
 * PyTorch's default for weights and biases: uniform within `1 / sqrt(fanIn)`, where `fanIn` counts
 * the inputs of an output.
 */
export function uniformFor(fanIn: number): Initializer {
  const bound = 1 / Math.sqrt(fanIn);
  return tfl.initializers.randomUniform({ minval: -bound, maxval: bound });
}
