/** The layers that LoRA can be added to. */
import type * as tfl from '@tensorflow/tfjs-layers';
import { type AnyBlock, Block, WeightedLayer } from '../layers/index.ts';
import { shown } from '../text/messages.ts';

/** A layer of this package, or a model of TensorFlow.js that has such layers. */
export type LoraTarget = AnyBlock | tfl.LayersModel;

type Layer = AnyBlock | tfl.layers.Layer;

const insideOf = (layer: Layer): readonly Layer[] =>
  layer instanceof Block ? layer.children : ((layer as Partial<tfl.LayersModel>).layers ?? []);

/** The layers inside `layer` that multiply by a weight, by their paths; itself has the empty one. */
function* weightedIn(layer: Layer, path = ''): Generator<[string, WeightedLayer]> {
  if (layer instanceof WeightedLayer) yield [path, layer];
  for (const inside of insideOf(layer))
    yield* weightedIn(inside, path === '' ? inside.name : `${path}.${inside.name}`);
}

/**
 * The linear maps and convolutions of this package in a layer or model, built, by their paths.
 * @throws Error if it is none, or has none.
 */
export function loraLayers(what: string, target: LoraTarget): Map<string, WeightedLayer> {
  const isModel = Array.isArray((target as Partial<tfl.LayersModel> | undefined)?.layers);
  if (!isModel && !(target instanceof Block))
    throw new Error(
      `\`${what}\` takes a layer of this package, or a model with such layers, first, not ` +
        `${shown(target)}.`,
    );
  if (target instanceof Block && !target.built) target.build();
  const found = new Map(weightedIn(target));
  if (found.size === 0)
    throw new Error(
      `\`${what}\` is given "${target.name}", which has no linear map or convolution of this ` +
        'package.',
    );
  return found;
}

/** Freezes a layer or model and all layers inside it. */
export function freeze(target: LoraTarget): void {
  if (target instanceof Block) target.trainable = false;
  else for (const layer of target.layers) freezeLayer(layer);
}

function freezeLayer(layer: Layer): void {
  if (layer instanceof Block || insideOf(layer).length === 0) layer.trainable = false;
  else for (const inside of insideOf(layer)) freezeLayer(inside);
}
