/**
 * What a component is as a TensorFlow.js layers model: one layer behind named inputs, and the names
 * of its weights.
 */
import * as tf from '@tensorflow/tfjs';
import type { Checkpoint } from '../src/checkpoints/checkpoint.ts';
import { componentModel } from '../src/checkpoints/components.ts';
import type { WeightedComponent } from '../src/checkpoints/diffusers/names.ts';
import { type AnyBlock, type CallArgs, withoutWeights } from '../src/layers/block.ts';
import type { Parameter } from '../src/layers/parameter.ts';

/** A component's topology, as `model.json` has it, and its weights by key. */
export interface Artifact {
  topology: unknown;
  parameters: Map<string, Parameter>;
}

/** Shapes of a component's inputs without the first axis; null where any length will do. */
function inputsOf(layer: AnyBlock): Record<string, tf.Shape> {
  const entries = Object.entries(layer.inputAxes!).filter(([name]) => !name.endsWith('?'));
  return Object.fromEntries(
    entries.map(([name, axes]) => [
      name,
      axes.slice(1).map((axis) => (typeof axis === 'number' ? axis : null)),
    ]),
  );
}

/** Builds the model of a component without weights and describes it. */
export function artifactOf(files: Checkpoint, component: WeightedComponent): Artifact {
  const layer = componentModel(files, component);
  const inputs = Object.entries(inputsOf(layer)).map(([name, shape]) => tf.input({ name, shape }));
  // What `numFrames` is if nobody says so: a call of the loaded model may.
  const { num_frames: numFrames = 25 } = files.config('unet') as { num_frames?: number };
  const kwargs: CallArgs = component === 'image_encoder' ? {} : { numFrames };
  const outputs = withoutWeights(() =>
    layer.apply(inputs.length === 1 ? inputs[0] : inputs, kwargs),
  );
  const model = tf.model({ name: component, inputs, outputs });
  const topology = model.toJSON(null, false);
  const parameters = new Map(layer.parameters().map((parameter) => [parameter.key, parameter]));
  model.dispose();
  return { topology, parameters };
}
