/** The ranks of LoRA, by which memory is planned. */
import type { AnyBlock, WeightedLayer } from '../layers/index.ts';
import { metaTensor, onMeta } from '../layers/weights.ts';
import { addToLayer, isFused, lorasOf, removeLora } from './lora.ts';
import { contentsOf, type LoraFile, shapesOf } from './loraFile.ts';
import { loraLayers } from './targets.ts';

/** The sum of the ranks of all LoRA on a layer, by its path. */
export type LoraRanks = Readonly<Record<string, number>>;

type Layers = ReadonlyMap<string, WeightedLayer>;

/** The ranks of the LoRA that are on the layers of a model; undefined if there are none. */
export const ranksOn = (layers: Layers): LoraRanks | undefined =>
  ranks(layers, (layer) => (isFused(layer) ? [] : lorasOf(layer).map(({ rank }) => rank)));

/**
 * The ranks that the LoRA of files will have; undefined if there are none.
 * @throws CheckpointError if one is no LoRA for the model.
 */
export function ranksIn(
  files: readonly LoraFile[],
  layers: Layers,
  othersOf?: (path: string) => string[],
): LoraRanks | undefined {
  const found = files.map((file) => contentsOf(file, layers, othersOf).layers);
  return ranks(layers, (_, path) => found.flatMap((each) => each.get(path)?.rank ?? []));
}

function ranks(
  layers: Layers,
  of: (layer: WeightedLayer, path: string) => number[],
): LoraRanks | undefined {
  const all = [...layers].map(([path, layer]): [string, number] => [
    path,
    of(layer, path).reduce((sum, rank) => sum + rank, 0),
  ]);
  const there = all.filter(([, rank]) => rank > 0);
  return there.length > 0 ? Object.fromEntries(there) : undefined;
}

/** Puts LoRA without values on a model without weights, until the result is disposed of. */
export function declareLora(model: AnyBlock, ranks: LoraRanks = {}): Disposable {
  const layers = loraLayers('declareLora', model);
  const adapted = Object.entries(ranks).map(([path, rank]) => ({ layer: layers.get(path)!, rank }));
  onMeta(() => {
    for (const { layer, rank } of adapted) {
      const { down, up } = shapesOf(layer, rank);
      const matrices = { down: metaTensor(down), up: metaTensor(up) };
      addToLayer(layer, matrices, { name: 'declared', scale: 1 });
    }
  });
  return {
    [Symbol.dispose]() {
      for (const { layer } of adapted) removeLora(layer);
    },
  };
}

/** The bytes of the matrices of LoRA on a model. */
export function loraBytes(model: AnyBlock, ranks: LoraRanks = {}): number {
  const layers = loraLayers('loraBytes', model);
  const sizes = Object.entries(ranks).flatMap(([path, rank]) =>
    Object.values(shapesOf(layers.get(path)!, rank)),
  );
  return sizes.reduce((sum, shape) => sum + 4 * shape.reduce((size, axis) => size * axis, 1), 0);
}
