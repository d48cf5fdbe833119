/** A component's weights as they shall be written, one read at a time out of any format. */

import type { Parameter } from '../../layers/parameter.ts';
import type { WeightedComponent } from '../diffusers/names.ts';
import type { Dtype } from '../safetensors/dtypes.ts';
import type { TensorToWrite } from '../safetensors/writer.ts';
import { ownMemory, type TensorMemory } from './buffers.ts';
import {
  bytesForCheckpoint,
  shapeInCheckpoint,
  type TransposeMemory,
  valuesForCheckpoint,
} from './layout.ts';
import type { WeightSource } from './source.ts';

/** Float types that weights can be converted to, by their names in TensorFlow.js and PyTorch. */
export const savedDtypes = {
  /** 32 bits. */
  float32: 'F32',
  /** 16 bits, IEEE 754's half precision. */
  float16: 'F16',
  /** 16 bits, the upper half of float32. */
  bfloat16: 'BF16',
} as const satisfies Record<string, Dtype>;
/** The name of one of them. */
export type SavedDtype = keyof typeof savedDtypes;

/** An open component: its weights, and what its model knows of them. */
export interface OpenComponent {
  component: WeightedComponent;
  source: WeightSource;
  parameters: readonly Parameter[];
}

/** Puts bytes into another order, in other memory, or returns them as they are. */
export type Transpose = (bytes: Uint8Array, memory: TransposeMemory) => Uint8Array;

/**
 * Bytes of a tensor, in `memory`: as the source has them, or in the order that `turn` puts them
 * into.
 */
export async function bytesOf(
  source: WeightSource,
  key: string,
  memory: TensorMemory,
  turn: Transpose = (bytes) => bytes,
): Promise<Uint8Array> {
  const bytes = memory.take(source.info(key).bytes);
  await source.readBytes!(key, bytes);
  const result = turn(bytes, memory);
  if (result !== bytes) memory.give(bytes);
  return result;
}

/**
 * The weights of a component in PyTorch's axis order; of another type than they have, if `dtype`
 * says so, else bit for bit. Whoever gives `memory` gives back to it what has been written.
 */
export function tensorsOf(
  { source, parameters }: Omit<OpenComponent, 'component'>,
  dtype?: Dtype,
  memory = ownMemory,
): Record<string, TensorToWrite> {
  const layouts = new Map(parameters.map(({ key, layout }) => [key, layout]));
  const entries = source
    .names()
    .filter((key) => layouts.has(key))
    .map((key): [string, TensorToWrite] => {
      const layout = layouts.get(key)!;
      const { dtype: stored, shape } = source.info(key);
      const data = async () => {
        if (dtype === undefined || dtype === stored) {
          const turn: Transpose = (bytes, target) =>
            bytesForCheckpoint(layout, shape, bytes, target);
          return bytesOf(source, key, memory, source.ours && turn);
        }
        const values = await source.read(key);
        return source.ours ? valuesForCheckpoint(layout, shape, values) : values;
      };
      return [
        key,
        {
          dtype: dtype ?? stored,
          shape: source.ours ? shapeInCheckpoint(layout, shape) : shape,
          data,
        },
      ];
    });
  return Object.fromEntries(entries);
}
