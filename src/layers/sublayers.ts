/** What was set on the layers inside of another one, so that it survives saving. */
import type { ComputeDtype } from '../ops/index.ts';
import type { SublayerState } from './layerArgs.ts';

/** A layer with others inside. */
interface Parent {
  readonly children: readonly Parent[];
}

/** Every layer of a class in `block`, itself included. */
export const layersIn = <T extends Parent>(
  block: Parent,
  ofClass: abstract new (...args: never) => T,
): T[] => [
  ...(block instanceof ofClass ? [block] : []),
  ...block.children.flatMap((child) => layersIn(child, ofClass)),
];

/** What this file knows of a layer. */
interface Settable {
  readonly name: string;
  readonly children: readonly Settable[];
  /** Whether it was made like its parent: trainable, and with no type of its own to compute in. */
  readonly inherits: boolean;
  trainable: boolean;
  computeDtype: ComputeDtype;
}

/** A layer that may have adapters, or others inside that do. */
interface Adaptable extends Parent {
  readonly name: string;
  readonly children: readonly Adaptable[];
  readonly adapters?: readonly object[];
}

/** @throws Error if there are adapters, whose weights a saved model could not give back. */
export function checkSavable({ name, children, adapters = [] }: Adaptable): void {
  if (adapters.length > 0)
    throw new Error(
      `The layer "${name}" has LoRA, which saved models and copies of layers do not hold. Write ` +
        'them by `saveLora`, and call `unloadLora` first.',
    );
  for (const child of children) checkSavable(child);
}

/** The states of the layers inside `parent` that differ from it, or have others inside that do. */
export function statesInside(parent: Settable): SublayerState[] {
  return parent.children.flatMap((child) => {
    const { name, trainable, computeDtype } = child;
    const sublayers = statesInside(child);
    const same = trainable === parent.trainable && computeDtype === parent.computeDtype;
    return same && child.inherits && sublayers.length === 0
      ? []
      : [{ name, trainable, computeDtype, sublayers }];
  });
}

/** Sets what `states` holds of a layer and of those inside it. */
export function setState(layer: Settable, states: readonly SublayerState[]): void {
  const state = states.find(({ name }) => name === layer.name);
  if (!state) return;
  layer.trainable = state.trainable;
  layer.computeDtype = state.computeDtype;
  for (const child of layer.children) setState(child, state.sublayers);
}
