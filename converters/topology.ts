/** Components as TensorFlow.js layers models: one layer behind named inputs. */
import * as tfl from '@tensorflow/tfjs-layers';
import type { Checkpoint } from '../src/checkpoints/checkpoint.ts';
import { componentModel } from '../src/checkpoints/components.ts';
import type { WeightedComponent } from '../src/checkpoints/diffusers/names.ts';
import { type CallArgs, withoutWeights } from '../src/layers/block.ts';
import type { Parameter } from '../src/layers/parameter.ts';

/** The topology of a component for `model.json`, and its weights by key. */
export function artifactOf(
  checkpoint: Checkpoint,
  component: WeightedComponent,
): { topology: unknown; parameters: Map<string, Parameter> } {
  const layer = componentModel(checkpoint, component);
  const inputs = Object.entries(layer.inputAxes!)
    .filter(([name]) => !name.endsWith('?'))
    .map(([name, [, ...axes]]) => {
      const shape = axes.map((axis) => (typeof axis === 'number' ? axis : null)); // null: any
      return tfl.input({ name, shape });
    });
  // The default of `numFrames`, which a call of the loaded model may set.
  const { num_frames: numFrames = 25 } = checkpoint.config('unet') as { num_frames?: number };
  const kwargs: CallArgs = component === 'image_encoder' ? {} : { numFrames };
  const outputs = withoutWeights(() =>
    layer.apply(inputs.length === 1 ? inputs[0] : inputs, kwargs),
  );
  const model = tfl.model({ name: component, inputs, outputs });
  const topology = model.toJSON(null, false);
  const parameters = new Map(layer.parameters().map((parameter) => [parameter.key, parameter]));
  model.dispose();
  return { topology, parameters };
}
