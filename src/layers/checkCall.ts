/** The check of a call: the shapes of its inputs, and of what would come out. */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { optional, wrongValue } from '../text/kinds.ts';
import { type Checks, pictureSize } from './checks.ts';
import { checkInputs, type Inputs } from './inputs.ts';
import { axesInCall } from './videos.ts';

/** What is checked of a layer. */
interface Called {
  args: object;
  inputAxes: Inputs | undefined;
  computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape | tfl.Shape[];
}

/** The call arguments that do not depend on the inputs. */
const checks: Checks = { upsampleSize: optional(pictureSize), outputSize: optional(pictureSize) };

/**
 * Checks the inputs and arguments of a call.
 * @throws Error if one does not fit, or if an input is so small that nothing would be left of it.
 */
export function checkCall(
  label: string,
  layer: Called,
  inputs: readonly (tf.Tensor | tfl.SymbolicTensor)[],
  kwargs: { numFrames?: number } & object = {},
): void {
  const given = kwargs as Record<string, unknown>;
  const wrong = Object.entries(checks).map(([name, kind]) => wrongValue(name, given[name], kind));
  const fault = wrong.find(Boolean);
  if (fault) throw new Error(`${label}: ${fault}`);
  const takes = layer.inputAxes;
  if (!takes) return;
  const shapes = inputs.map(({ shape }): tfl.Shape => shape);
  checkInputs(label, axesInCall(takes, shapes), shapes, kwargs.numFrames);
  const output = layer.computeOutputShape(shapes.length === 1 ? shapes[0] : shapes);
  const outputs = (Array.isArray(output[0]) ? output : [output]) as tfl.Shape[];
  const empty = outputs.find((shape) => shape.some((length) => length !== null && length < 1));
  if (!empty) return;
  throw new Error(
    `${label}: an input of [${shapes[0]}] is too small for the arguments ` +
      `${JSON.stringify(layer.args)}, as the output would be of shape [${empty}].`,
  );
}
