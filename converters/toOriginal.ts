/**
 * Weights of a whole model under their names in the original files, in the shapes that they have
 * there.
 */

import type { WeightedComponent } from '../src/checkpoints/diffusers/names.ts';
import { CheckpointError } from '../src/checkpoints/errors.ts';
import { type OriginalLayout, originalPlace } from '../src/checkpoints/original/keys.ts';
import { type Dtype, tensorBytes } from '../src/checkpoints/safetensors/dtypes.ts';
import type { TensorData, TensorToWrite } from '../src/checkpoints/safetensors/writer.ts';
import type { Buffers } from '../src/checkpoints/weights/buffers.ts';
import { bytesFromCheckpoint, valuesFromCheckpoint } from '../src/checkpoints/weights/layout.ts';

/**
 * Renames the tensors of a component; queries, keys and values of the image encoder become one.
 * Whoever has written one gives its memory back to `buffers`.
 * @throws CheckpointError if a weight has no place in the original files.
 */
export function originalTensors(
  component: WeightedComponent,
  tensors: Record<string, TensorToWrite>,
  layout: OriginalLayout,
  buffers: Buffers,
): Record<string, TensorToWrite> {
  const result: Record<string, TensorToWrite> = {};
  const fused = new Map<string, TensorToWrite[]>();
  for (const [key, tensor] of Object.entries(tensors)) {
    const { names, third, transposed, asConvolution } = originalPlace(component, key, layout);
    const [name] = names;
    if (third !== undefined) {
      const thirds = fused.get(name) ?? [];
      thirds[third] = tensor;
      fused.set(name, thirds);
    } else if (transposed) {
      const { dtype, shape } = tensor;
      result[name] = {
        dtype,
        shape: [...shape].reverse(),
        data: async () => transpose(await dataOf(tensor), shape, buffers),
      };
    } else
      result[name] = { ...tensor, shape: asConvolution ? [...tensor.shape, 1, 1] : tensor.shape };
  }
  for (const [name, thirds] of fused) result[name] = joined(name, thirds, buffers);
  return result;
}

const dataOf = async ({ data }: TensorToWrite): Promise<TensorData> =>
  typeof data === 'function' ? data() : data;

function transpose(data: TensorData, shape: number[], buffers: Buffers): TensorData {
  if (!(data instanceof Uint8Array)) return valuesFromCheckpoint('linear', shape, data);
  const turned = bytesFromCheckpoint('linear', shape, data, buffers);
  buffers.give(data);
  return turned;
}

/** One tensor of three with one below the other. */
function joined(name: string, thirds: TensorToWrite[], buffers: Buffers): TensorToWrite {
  const [{ dtype, shape }] = thirds;
  const other = thirds.find(
    (third): third is TensorToWrite & { dtype: Dtype } => third.dtype !== dtype,
  );
  if (other)
    throw new CheckpointError(
      `The parts of ${name} are of the types ${dtype} and ${other.dtype}. Convert all weights to one type.`,
    );
  const data = async () => {
    let whole: TensorData | undefined;
    for (const [i, third] of thirds.entries()) {
      const part = await dataOf(third);
      whole ??=
        part instanceof Uint8Array
          ? buffers.take(3 * tensorBytes(dtype, shape)!)
          : new Float32Array(3 * part.length);
      whole.set(part, i * part.length);
      buffers.give(part);
    }
    return whole!;
  };
  return { dtype, shape: [3 * shape[0], ...shape.slice(1)], data };
}
