/**
 * Weights out of the original single-file checkpoints, under their names in diffusers and in its
 * shapes.
 */

import type { WeightedComponent } from '../diffusers/names.ts';
import type { SafetensorsFile } from '../safetensors/reader.ts';
import { reversalFromCheckpoint, reverseBytes, valuesFromCheckpoint } from '../weights/layout.ts';
import { type TensorInfo, unknownTensor, type WeightSource } from '../weights/source.ts';
import { type OriginalLayout, type OriginalPlace, originalPlace } from './keys.ts';

/** The name and the place of one weight that a file has. */
type Found = OriginalPlace & { name: string };

/**
 * Those of a component's weights `keys` that an open original file has. The file stays open when
 * the source is closed.
 */
export function originalSource(
  file: SafetensorsFile,
  component: WeightedComponent,
  keys: string[],
  layout: OriginalLayout,
): WeightSource {
  const present = new Set(file.names());
  const places = new Map<string, Found>();
  for (const key of keys) {
    const place = originalPlace(component, key, layout);
    const name = place.names.find((candidate) => present.has(candidate));
    if (name !== undefined) places.set(key, { ...place, name });
  }
  const place = (key: string) => places.get(key) ?? unknownTensor(key, component);
  const info = (key: string): TensorInfo => {
    const found = place(key);
    const { dtype, shape, bytes } = file.info(found.name);
    return {
      dtype,
      shape: shapeHere(found, shape),
      bytes: found.third === undefined ? bytes : bytes / 3,
    };
  };
  return {
    names: () => [...places.keys()],
    info,
    async read(key) {
      const found = place(key);
      const values = await file.read(found.name);
      if (found.third !== undefined)
        return values.slice(
          (found.third * values.length) / 3,
          ((found.third + 1) * values.length) / 3,
        );
      return found.transposed
        ? valuesFromCheckpoint('linear', file.info(found.name).shape, values)
        : values;
    },
    async readBytes(key, target) {
      const found = place(key);
      if (!found.transposed)
        return file.readBytes(found.name, target, (found.third ?? 0) * target.length);
      const bytes = await file.readRaw(found.name);
      const transposed = new Uint8Array(bytes.length); // `target` may begin anywhere
      const reversal = reversalFromCheckpoint('linear', file.info(found.name).shape)!;
      reverseBytes(bytes, reversal, transposed);
      target.set(transposed);
    },
    close: async () => {},
  };
}

function shapeHere({ third, transposed, asConvolution }: OriginalPlace, shape: number[]): number[] {
  if (third !== undefined) return [shape[0] / 3, ...shape.slice(1)];
  if (transposed) return [...shape].reverse();
  return asConvolution && shape.length === 4 ? shape.slice(0, 2) : shape;
}
