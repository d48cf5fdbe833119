/**
 * Weights out of the original single-file checkpoints, under their names in diffusers and in its
 * shapes.
 */

import type { WeightedComponent } from '../diffusers/names.ts';
import { dtypeBeside, floatTypes, tensorBytes } from '../safetensors/dtypes.ts';
import type { SafetensorsFile } from '../safetensors/reader.ts';
import { reversalFromCheckpoint, reverseBytes, valuesFromCheckpoint } from '../weights/layout.ts';
import { type TensorInfo, unknownTensor, type WeightSource } from '../weights/source.ts';
import { isInEncoder, type OriginalPlace } from './keys.ts';

/** The places where a component's weights can be, by their names in diffusers. */
export type Places = ReadonlyMap<string, OriginalPlace[]>;

/**
 * Those of a component's weights that an open original file has, and tensors of the file that have
 * no place. The file stays open when the source is closed.
 */
export function originalSource(
  file: SafetensorsFile,
  component: WeightedComponent,
  candidates: Places,
  surplus: string[],
): WeightSource {
  const present = new Set(file.names());
  const hasEncoder = file.names().some(isInEncoder);
  const found = new Map<string, OriginalPlace>();
  for (const name of surplus) if (!candidates.has(name)) found.set(name, { name });
  for (const [key, places] of candidates) {
    // of two copies of the encoder one, whole
    const usable = hasEncoder && isInEncoder(places[0].name) ? places.slice(0, 1) : places;
    const place = usable.find(({ name }) => present.has(name));
    if (place !== undefined) found.set(key, place);
  }
  const source = placedSource(file, component, found);
  return component === 'vae' ? withQuantConv(source, found) : source;
}

/** The tensors of a file at these places. */
function placedSource(
  file: SafetensorsFile,
  component: WeightedComponent,
  places: ReadonlyMap<string, OriginalPlace>,
): WeightSource {
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

/**
 * A VAE with the convolution behind its encoder. The copy of the encoder that ComfyUI saves has
 * none: what it does is part of the convolution before it, and so it changes nothing here.
 */
function withQuantConv(
  source: WeightSource,
  places: ReadonlyMap<string, OriginalPlace>,
): WeightSource {
  const last = places.get('encoder.conv_out.weight');
  if (last === undefined || isInEncoder(last.name) || places.has('quant_conv.weight'))
    return source;
  const { dtype: beside, shape } = source.info('encoder.conv_out.weight');
  const [channels] = shape;
  const dtype = dtypeBeside(beside);
  const made = new Map([
    ['quant_conv.weight', { shape: [channels, channels, 1, 1], values: () => identity(channels) }],
    ['quant_conv.bias', { shape: [channels], values: () => new Float32Array(channels) }],
  ]);
  return {
    ...source,
    names: () => [...source.names(), ...made.keys()],
    info(key) {
      const own = made.get(key);
      if (own === undefined) return source.info(key);
      return { dtype, shape: own.shape, bytes: tensorBytes(dtype, own.shape)! };
    },
    read: async (key) => made.get(key)?.values() ?? source.read(key),
    async readBytes(key, target) {
      const own = made.get(key);
      if (own === undefined) return source.readBytes!(key, target);
      target.set(new Uint8Array(floatTypes[dtype]!.encode!(own.values()).buffer));
    },
  };
}

function identity(size: number): Float32Array {
  const values = new Float32Array(size * size);
  for (let i = 0; i < size; i++) values[i * (size + 1)] = 1;
  return values;
}
