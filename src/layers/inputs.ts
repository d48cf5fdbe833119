/** The tensors that a layer takes, and the error for others. */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { shown } from '../text/messages.ts';
import type { CallArgs } from './layerArgs.ts';

/**
 * The axes of a tensor: a number where the length is fixed, a letter where it is not, `...` for any
 * axes. A capital letter or `...` means the same lengths in all inputs of a call, and `B*F` the
 * product of B and F. Other letters are only names.
 */
export type Axes = readonly (number | string)[];

/**
 * The tensors that a layer takes, by name, in order. Those whose names end in `?` may be left out
 * at the end.
 */
export type Inputs = Readonly<Record<string, Axes>>;

/** @throws Error if what the function `taker` is given is no layer of this package. */
export function checkIsBlock(taker: string, block: unknown): void {
  if (typeof (block as { parameters?: unknown } | undefined)?.parameters !== 'function')
    throw new Error(`\`${taker}\` takes a layer of this package first, not ${shown(block)}.`);
}

/** @throws Error if what a call is given is no tensor, or one that has been disposed of. */
export function checkTensors(layer: string, inputs: readonly unknown[]): void {
  for (const input of inputs) {
    if (input instanceof tfl.SymbolicTensor) continue;
    if (!(input instanceof tf.Tensor))
      throw new Error(
        `${layer} takes tensors, which \`tf.tensor\` makes, but is given ${shown(input)}.`,
      );
    if (input.isDisposed)
      throw new Error(`${layer} is given a tensor [${input.shape}] that has been disposed of.`);
  }
  if (inputs.length === 0) throw new Error(`${layer} takes tensors but is given an empty list.`);
}

/**
 * Compares the shapes of a call with those that the layer takes.
 * @param numFrames The length that the call gives for F.
 * @throws Error if one does not fit.
 */
export function checkInputs(
  layer: string,
  takes: Inputs,
  shapes: readonly tfl.Shape[],
  numFrames?: number,
): void {
  const names = Object.keys(takes);
  const required = names.filter((name) => !name.endsWith('?')).length;
  if (shapes.length < required || shapes.length > names.length) {
    const given = shapes.length === 1 ? `one tensor [${shapes[0]}]` : `${shapes.length} tensors`;
    const inputs = names.map(
      (name) =>
        `${name.replace('?', '')} ` +
        `[${takes[name]!.join(', ')}]${name.endsWith('?') ? ' (optional)' : ''}`,
    );
    throw new Error(
      `${layer} takes ${names.length > 1 ? 'the array of ' : ''}${inputs.join(', ')} but is ` +
        `given ${given}.`,
    );
  }
  const lengths = new Map<string, number>();
  if (Number.isInteger(numFrames)) lengths.set('F', numFrames as number);
  let between: Axes | undefined; // what `...` stands for in this call
  for (const [i, shape] of shapes.entries()) {
    if (shape.includes(0))
      throw new Error(
        `${layer}: ${names[i]!.replace('?', '')} has no values, as its shape is [${shape}].`,
      );
    const axes = takes[names[i]!]!.flatMap((axis) =>
      axis === '...' && between ? between : [axis],
    );
    const letters = axes.flatMap(lettersOf);
    const bound = [...lengths]
      .filter(([axis]) => lettersOf(axis).some((letter) => letters.includes(letter)))
      .map(([letter, length]) => `${letter} = ${length}`);
    if (fits(axes, shape, lengths)) {
      const any = axes.indexOf('...');
      if (any >= 0)
        between = shape
          .slice(any, any + shape.length - axes.length + 1)
          .map((length) => length ?? '?');
      continue;
    }
    const where = bound.length > 0 ? ` with ${bound.join(', ')}` : '';
    throw new Error(
      `${layer}: ${names[i]!.replace('?', '')} has to be of shape ` +
        `[${axes.join(', ')}]${where} but is [${shape}].`,
    );
  }
}

/** Those of the product `B*F` are B and F. */
const lettersOf = (axis: number | string) => `${axis}`.split('*');

/**
 * Whether a shape has these axes. Remembers the lengths of capital letters; unknown lengths,
 * `null`, fit anything.
 */
function fits(axes: Axes, shape: tfl.Shape, lengths: Map<string, number>): boolean {
  const any = axes.indexOf('...');
  if (any < 0 ? shape.length !== axes.length : shape.length < axes.length - 1) return false;
  const pairs = axes.flatMap((axis, i): [number | string, number | null][] => {
    if (axis === '...') return [];
    return [[axis, shape[any >= 0 && i > any ? shape.length - axes.length + i : i]!]];
  });
  const known = pairs.filter((pair): pair is [number | string, number] => pair[1] !== null);
  const matches = known.every(
    ([axis, length]) =>
      length === (lengths.get(`${axis}`) ?? (typeof axis === 'number' ? axis : length)),
  );
  if (matches)
    for (const [axis, length] of known)
      if (/^[A-Z*]+$/.test(`${axis}`)) lengths.set(`${axis}`, length);
  const [batch, videos, frames] = ['B*F', 'B', 'F'].map((letter) => lengths.get(letter));
  return (
    matches &&
    (batch === undefined ||
      videos === undefined ||
      frames === undefined ||
      batch === videos * frames)
  );
}

/**
 * Checks the number of contexts, as some backends compute nonsense where it does not divide the
 * number of items.
 * @throws Error if it does not.
 */
export function checkContexts(context: tf.Tensor, batch: number): void {
  const [contexts] = context.shape;
  if (batch % contexts === 0) return;
  throw new Error(
    `The number of contexts has to divide the ${batch} items that attend to them but is ` +
      `${contexts}.`,
  );
}

/**
 * Whole numbers and truth values as float32, in which all layers compute.
 * @throws Error if a tensor has neither of them nor float32.
 */
export const asFloats = (tensors: tf.Tensor[]): tf.Tensor[] =>
  tensors.map((tensor) => {
    if (tensor.dtype === 'float32') return tensor;
    if (tensor.dtype === 'int32' || tensor.dtype === 'bool') return tf.cast(tensor, 'float32');
    throw new Error(`Layers take tensors of float32, int32 or bool, not of ${tensor.dtype}.`);
  });

/** The shape of the first or only input. */
export function firstShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
  return (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tfl.Shape;
}

/**
 * The number of frames per video of a call.
 * @throws Error if it does not divide the batch of frames.
 */
export function framesOf({ numFrames }: CallArgs, frames: tf.Tensor): number {
  if (
    numFrames === undefined ||
    !Number.isInteger(numFrames) ||
    numFrames < 1 ||
    frames.shape[0] % numFrames !== 0
  ) {
    throw new Error(
      `\`numFrames\` has to be a whole number that divides the batch of ${frames.shape[0]} ` +
        `frames but is ${shown(numFrames)}.`,
    );
  }
  return numFrames;
}
