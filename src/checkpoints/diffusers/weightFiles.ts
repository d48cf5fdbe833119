/**
 * The files of weights that diffusers' `save_pretrained` writes: one for a component, or shards and
 * their index.
 */
import { tensorBytes } from '../safetensors/dtypes.ts';
import type { TensorToWrite } from '../safetensors/writer.ts';
import { type WeightedComponent, weightFileNames } from './names.ts';

/** How weights are named and split. */
export interface FileOptions {
  /** A word in the names of weight files, such as `fp16`. */
  variant?: string;
  /** Most bytes of tensors in a file; a larger tensor has one for itself. Default 10 GB. */
  maxShardSize?: number;
}

/** The weight files of a component. */
export interface WeightFiles {
  /** Tensors by the file's path in the model's folder. */
  files: [path: string, tensors: Record<string, TensorToWrite>][];
  /** The index, if there are several files. */
  texts: Record<string, string>;
}

/** Distributes a component's tensors over files, in their order. */
export function diffusersFiles(
  component: WeightedComponent,
  tensors: Record<string, TensorToWrite>,
  { variant, maxShardSize = 10e9 }: FileOptions,
): WeightFiles {
  const sizes = Object.entries(tensors).map(
    ([name, { dtype, shape }]) => [name, tensorBytes(dtype, shape)!] as const,
  );
  const shards: string[][] = [[]];
  let filled = 0;
  for (const [name, bytes] of sizes) {
    if (filled > 0 && filled + bytes > maxShardSize) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(name);
    filled += bytes;
  }
  const { single, index } = weightFileNames(component, variant);
  const number = (i: number) => String(i).padStart(5, '0');
  const nameOf = (i: number) =>
    single.replace(/\.safetensors$/, `-${number(i + 1)}-of-${number(shards.length)}.safetensors`);
  const pick = (names: string[]) => Object.fromEntries(names.map((name) => [name, tensors[name]]));
  if (shards.length === 1) return { files: [[`${component}/${single}`, tensors]], texts: {} };
  const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
  const map = shards
    .flatMap((names, i) => names.map((name) => [name, nameOf(i)] as const))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const text = `${JSON.stringify({ metadata: { total_size: total }, weight_map: Object.fromEntries(map) }, null, 2)}\n`;
  return {
    files: shards.map((names, i) => [`${component}/${nameOf(i)}`, pick(names)]),
    texts: { [`${component}/${index}`]: text },
  };
}
