/**
 * A component's weights as they are written, read one at a time from a checkpoint of any format.
 */

import type { Layout, Parameter } from '../../layers/parameter.ts';
import type { WeightedComponent } from '../diffusers/names.ts';
import type { Dtype } from '../safetensors/dtypes.ts';
import type { TensorToWrite } from '../safetensors/writer.ts';
import {
  type Reversal,
  reversalForCheckpoint,
  shapeInCheckpoint,
  valuesForCheckpoint,
} from './layout.ts';
import { BytePool } from './memory.ts';
import type { WeightSource } from './source.ts';

export { type SavedDtype, savedDtypes } from '../safetensors/dtypes.ts';

/** An open component: its weights, and what its model knows of them. */
export interface OpenComponent {
  component: WeightedComponent;
  source: WeightSource;
  parameters: readonly Parameter[];
}

/** The bytes of a tensor in memory of `pool`, with their axes reversed if `reversal` is given. */
export async function readBytes(
  source: WeightSource,
  key: string,
  pool: BytePool,
  reversal?: Reversal,
): Promise<Uint8Array> {
  const bytes = pool.acquire(source.info(key).bytes);
  await source.readBytes!(key, bytes);
  if (reversal === undefined) return bytes;
  return pool.reverse(bytes, reversal);
}

/** The values of a weight of a component, in PyTorch's axis order. */
export async function valuesOf(
  { source, parameters }: Omit<OpenComponent, 'component'>,
  key: string,
): Promise<Float32Array> {
  const values = await source.read(key);
  const { layout } = parameters.find((parameter) => parameter.key === key)!;
  return source.tfjsAxes ? valuesForCheckpoint(layout, source.info(key).shape, values) : values;
}

/**
 * The weights of a component in PyTorch's axis order: converted to `dtype`, or bit for bit without
 * it.
 */
export function tensorsOf(
  { source, parameters }: Omit<OpenComponent, 'component'>,
  dtype?: Dtype,
  pool = new BytePool(),
): Record<string, TensorToWrite> {
  const layouts = new Map<string, Layout>(
    parameters.map(({ key, layout }) => [key, source.tfjsAxes ? layout : 'same']),
  );
  const keys = source.names().filter((key) => layouts.has(key));
  const tensorOf = (key: string): TensorToWrite => {
    const layout = layouts.get(key)!;
    const { dtype: stored, shape } = source.info(key);
    return {
      dtype: dtype ?? stored,
      shape: shapeInCheckpoint(layout, shape),
      data: async () =>
        (dtype ?? stored) === stored
          ? readBytes(source, key, pool, reversalForCheckpoint(layout, shape))
          : valuesForCheckpoint(layout, shape, await source.read(key)),
      release: (bytes) => pool.release(bytes),
    };
  };
  return Object.fromEntries(keys.map((key) => [key, tensorOf(key)]));
}
