/** A checkpoint as one file with the names and shapes of Stability AI's original files. */
import { CheckpointError } from '../src/checkpoints/errors.ts';
import type { CheckpointIdentity } from '../src/checkpoints/identity.ts';
import { originalLayout, originalPlace } from '../src/checkpoints/original/keys.ts';
import { tensorBytes } from '../src/checkpoints/safetensors/dtypes.ts';
import {
  encodedTensor,
  safetensorsFile,
  type TensorToWrite,
} from '../src/checkpoints/safetensors/writer.ts';
import { tensorsOf } from '../src/checkpoints/weights/export.ts';
import { reversalFromCheckpoint } from '../src/checkpoints/weights/layout.ts';
import type { BytePool } from '../src/checkpoints/weights/memory.ts';
import type { Target } from './target.ts';

export const toOriginal: Target = {
  files(components, { checkpoint, identity, unhashed, dtype, pool }) {
    const layout = originalLayout(checkpoint.config('unet'), checkpoint.config('vae'));
    const tensors: Record<string, TensorToWrite> = {};
    const fused = new Map<string, TensorToWrite[]>();
    for (const open of components) {
      for (const [key, tensor] of Object.entries(tensorsOf(open, dtype, pool))) {
        const place = originalPlace(open.component, key, layout);
        const [name] = place.names;
        if (place.third !== undefined) {
          const thirds = fused.get(name) ?? [];
          thirds[place.third] = tensor;
          fused.set(name, thirds);
        } else if (place.transposed) tensors[name] = transposed(name, tensor, pool);
        else if (place.asConvolution) tensors[name] = { ...tensor, shape: [...tensor.shape, 1, 1] };
        else tensors[name] = tensor;
      }
    }
    for (const [name, thirds] of fused) tensors[name] = joined(name, thirds, pool);
    const metadata = (source: CheckpointIdentity) => ({
      format: 'pt',
      converted_from: JSON.stringify(source),
    });
    return [safetensorsFile('', tensors, metadata(unhashed), async () => metadata(await identity))];
  },
};

/** A matrix with its axes the other way round. */
function transposed(name: string, tensor: TensorToWrite, pool: BytePool): TensorToWrite {
  const data = async () => {
    const bytes = await encodedTensor(name, tensor, name);
    return pool.reverse(bytes, reversalFromCheckpoint('linear', tensor.shape)!);
  };
  return { ...tensor, shape: [...tensor.shape].reverse(), data };
}

/** One tensor of three with one below the other. */
function joined(name: string, thirds: TensorToWrite[], pool: BytePool): TensorToWrite {
  const [{ dtype, shape, release }] = thirds;
  const other = thirds.find((third) => third.dtype !== dtype);
  if (other)
    throw new CheckpointError(
      `The parts of ${name} are of the types ${dtype} and ${other.dtype}. Convert all weights ` +
        'to one type.',
    );
  const data = async () => {
    const whole = pool.acquire(3 * tensorBytes(dtype, shape)!);
    for (const [i, third] of thirds.entries()) {
      const part = await encodedTensor(name, third, name);
      whole.set(part, i * part.length);
      pool.release(part);
    }
    return whole;
  };
  return { dtype, shape: [3 * shape[0], ...shape.slice(1)], data, release };
}
