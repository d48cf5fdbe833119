/**
 * The call arguments of each place where a layer stands in models. TensorFlow.js keeps them in the
 * nodes of the layer, but hands them neither to `apply` nor to `computeOutputShape` when a model
 * runs. What it reads just before tells which node is meant: the `inputs` of the symbolic output
 * before `apply` (engine/executor.ts), and the `inboundLayers` of the node before
 * `computeOutputShape` (engine/container.ts).
 */
import type * as tfl from '@tensorflow/tfjs-layers';
import type { CallArgs } from './layerArgs.ts';

type Layer = tfl.layers.Layer;
type Node = Layer['inboundNodes'][number];
type Purpose = 'apply' | 'computeOutputShape';

let next: { node: Node; purpose: Purpose } | undefined;

/** Runs `onRead` whenever the property is read. */
function watch(owner: object, property: string, onRead: () => void): void {
  const value = (owner as Record<string, unknown>)[property];
  const get = () => {
    onRead();
    return value;
  };
  Object.defineProperty(owner, property, { get, configurable: true });
}

/** Remembers the place where `layer` has just been put. */
export function markPlace(layer: Layer): void {
  const node = layer.inboundNodes.at(-1)!;
  const expect = (purpose: Purpose) => {
    const place = { node, purpose };
    next = place;
    // A model runs at once. Whatever is called later is another call.
    queueMicrotask(() => {
      if (next === place) next = undefined;
    });
  };
  for (const output of node.outputTensors) watch(output, 'inputs', () => expect('apply'));
  watch(node, 'inboundLayers', () => expect('computeOutputShape'));
  // The constructor of a model reads both, and the tensors last.
  watch(node, 'outputTensors', () => {
    next = undefined;
  });
}

/** The call arguments of the place in which a model calls `layer` now, if it is a model. */
export function takeCallArgs(layer: Layer, purpose: Purpose): CallArgs | undefined {
  if (next?.node.outboundLayer !== layer || next.purpose !== purpose) return undefined;
  const { callArgs } = next.node;
  next = undefined;
  return callArgs as CallArgs;
}
