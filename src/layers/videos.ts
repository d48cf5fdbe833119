/**
 * Videos with an axis of their own for frames. In every layer, `[B, F, H, W, C]` means what
 * `[B*F, H, W, C]` with `{ numFrames: F }` does: layers of pictures compute each frame by itself.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { reshapeTo } from '../ops/index.ts';
import type { Axes, Inputs } from './inputs.ts';

/**
 * The axes of the inputs of a call. Those of frames or pictures, `B*F` or `N`, become `B, F` if the
 * first input has one axis more than the layer names. Contexts may then have an axis for frames
 * too.
 */
export function axesInCall(takes: Inputs, shapes: readonly tfl.Shape[]): Inputs {
  const names = Object.keys(takes);
  const indicator = shapes[names.findIndex((name) => takes[name].join() === 'B,F')];
  const isApart = (i: number) => {
    const [axes, shape] = [takes[names[i]], shapes[i]];
    return shape && apartAxes[axes[0]] && hasOneMore(axes, shape, indicator);
  };
  if (!isApart(0)) return takes;
  const split = names.map((name, i): [string, Axes] => {
    const [first, ...others] = takes[name];
    if (isApart(i)) return [name, [...apartAxes[first], ...others]];
    return [name, first === 'N' ? ['B*F', ...others] : takes[name]];
  });
  return Object.fromEntries(split);
}

/** What takes the place of a first axis. Contexts are one per video, frame or pixel. */
const apartAxes: Readonly<Record<number | string, Axes>> = {
  'B*F': ['B', 'F'],
  N: ['B', 'F'],
  b: ['b', 'f'],
};

/**
 * Whether a shape has one axis more. Where any axes may be between, an indicator tells, or else the
 * number of axes: pictures have four.
 */
function hasOneMore(axes: Axes, shape: tfl.Shape, indicator: tfl.Shape | undefined): boolean {
  if (!axes.includes('...')) return shape.length === axes.length + 1;
  if (!indicator) return shape.length === 5;
  return indicator.length === 2 && indicator.every((length, axis) => length === shape[axis]);
}

/**
 * `compute` on frames in a row. If the first input has an axis for frames, so have the results.
 * @param takes The axes of the inputs that `compute` takes.
 * @param compute Gets `{ numFrames }` of such inputs, else nothing.
 */
export function inFrames<Output extends tf.Tensor | tf.Tensor[]>(
  takes: Inputs | undefined,
  inputs: tf.Tensor[],
  compute: (frames: tf.Tensor[], ofVideos: { numFrames?: number }) => Output,
): Output {
  const shapes = inputs.map(({ shape }) => shape);
  const given = takes && axesInCall(takes, shapes);
  if (!given || given === takes) return compute(inputs, {});
  const [batch, numFrames] = shapes[0];
  const names = Object.keys(takes);
  const frames = inputs.map((x, i) =>
    given[names[i]].length === takes[names[i]].length
      ? x
      : reshapeTo(x, [x.shape[0] * x.shape[1]!, ...x.shape.slice(2)]),
  );
  const unfold = (y: tf.Tensor) => reshapeTo(y, [batch, numFrames, ...y.shape.slice(1)]);
  const output = compute(frames, { numFrames });
  return (Array.isArray(output) ? output.map(unfold) : unfold(output)) as Output;
}

/**
 * The shape of pictures or tokens `[..., H, W, C]` with other lengths in place of the last ones,
 * whatever lies in front.
 */
export const withLast = (shape: tfl.Shape, ...last: tfl.Shape): tfl.Shape => [
  ...shape.slice(0, -last.length),
  ...last,
];
