/** A checkpoint as one file with the names and shapes of Stability AI's original files. */
import { CheckpointError } from '../src/checkpoints/errors.ts';
import type { CheckpointIdentity } from '../src/checkpoints/identity.ts';
import {
  encoderCopy,
  isInEncoder,
  originalLayout,
  originalPlaces,
} from '../src/checkpoints/original/keys.ts';
import { type Dtype, dtypeBeside, tensorBytes } from '../src/checkpoints/safetensors/dtypes.ts';
import {
  encodedTensor,
  safetensorsFile,
  type TensorToWrite,
} from '../src/checkpoints/safetensors/writer.ts';
import { type OpenComponent, tensorsOf, valuesOf } from '../src/checkpoints/weights/export.ts';
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
        const [place] = originalPlaces(open.component, key, layout);
        const { name } = place;
        if (place.third !== undefined) {
          const thirds = fused.get(name) ?? [];
          thirds[place.third] = tensor;
          fused.set(name, thirds);
        } else if (place.transposed) tensors[name] = transposed(name, tensor, pool);
        else if (place.asConvolution) tensors[name] = { ...tensor, shape: [...tensor.shape, 1, 1] };
        else tensors[name] = tensor;
      }
      if (open.component === 'vae') Object.assign(tensors, copyOfEncoder(open, tensors, dtype));
    }
    for (const [name, thirds] of fused) tensors[name] = joined(name, thirds, pool);
    const metadata = (source: CheckpointIdentity) => ({
      format: 'pt',
      converted_from: JSON.stringify(source),
    });
    return [safetensorsFile('', tensors, metadata(unhashed), async () => metadata(await identity))];
  },
};

/**
 * The encoder as it stands beside the decoder, where Stability's code and ComfyUI take it from. It
 * has no `quant_conv` there: the convolution before does what both do.
 */
function copyOfEncoder(
  vae: OpenComponent,
  tensors: Record<string, TensorToWrite>,
  dtype?: Dtype,
): Record<string, TensorToWrite> {
  const copies: Record<string, TensorToWrite> = {};
  for (const [name, tensor] of Object.entries(tensors))
    if (isInEncoder(name) && !name.includes('.quant_conv.')) copies[encoderCopy(name)] = tensor;
  for (const leaf of ['weight', 'bias'] as const) {
    const name = `first_stage_model.encoder.conv_out.${leaf}`;
    const { shape, dtype: stored } = copies[name];
    copies[name] = {
      dtype: dtypeBeside(dtype ?? stored),
      shape,
      data: () => convOutWithQuantConv(vae, leaf),
    };
  }
  return copies;
}

/** Weights of the encoder's last convolution that are followed by those of `quant_conv`. */
async function convOutWithQuantConv(
  vae: OpenComponent,
  leaf: 'weight' | 'bias',
): Promise<Float32Array> {
  const quant = await valuesOf(vae, 'quant_conv.weight');
  const bias = await valuesOf(vae, 'quant_conv.bias');
  const last = await valuesOf(vae, `encoder.conv_out.${leaf}`);
  const channels = bias.length;
  const columns = last.length / channels;
  const result = new Float32Array(last.length);
  for (let row = 0; row < channels; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = leaf === 'bias' ? bias[row] : 0;
      for (let i = 0; i < channels; i++)
        sum += quant[row * channels + i] * last[i * columns + column];
      result[row * columns + column] = sum;
    }
  }
  return result;
}

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
