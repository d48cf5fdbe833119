/** LoRA whose values follow from their names. */
import { memorySource, type WeightSource } from '../../src/checkpoints/index.ts';
import type { Fixture } from './fixtures.ts';
import { weightValues } from './nameHash.ts';

/** Tensors by their names, in PyTorch's axis order. */
export type Tensors = Record<string, { shape: number[]; data: Float32Array }>;

/** The tensors of an adapter of a fixture, by their names in peft. */
export function peftTensors({ metadata }: Pick<Fixture, 'metadata'>, adapter: string): Tensors {
  const shapes = JSON.parse(metadata.shapes!)[adapter] as Record<string, number[]>;
  return Object.fromEntries(
    Object.entries(shapes).map(([key, shape]) => [
      key,
      { shape, data: weightValues(`${adapter}.${key}`, shape) },
    ]),
  );
}

/** A file of these tensors. */
export const loraSource = (
  tensors: Tensors,
  metadata: Record<string, string> = {},
): WeightSource & { metadata: Record<string, string> } => ({
  ...memorySource(tensors),
  metadata,
});
