/** Weights in TensorFlow.js artifacts, read one at a time out of their shards. */
import { describeFirstBytes, TELLING_BYTES } from '../../files/firstBytes.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { halves, widenF16 } from '../safetensors/halfFloat.ts';
import type { ByteReader } from '../safetensors/reader.ts';
import { unknownTensor, type WeightSource } from '../weights/source.ts';
import { dequantize } from './dequantize.ts';
import { type ManifestGroup, type ManifestWeight, manifestOf, storedBytes } from './manifest.ts';

/** Where a weight lies in the shards of its group. */
type Place = ManifestWeight & { shards: ByteReader[]; position: number };

/** The key of a weight in diffusers: its name without that of the model. */
const keyOf = (name: string) => name.split('/').slice(1).join('.');
const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

/**
 * The weights of an artifact as `svd convert` writes it. `json` is the content of its `model.json`
 * at `path`; `open` opens the files beside it.
 * @throws CheckpointError if it is malformed, or files are missing or have the wrong sizes.
 */
export async function tfjsSource(
  path: string,
  json: Record<string, unknown>,
  open: (name: string) => Promise<ByteReader>,
  label = path,
): Promise<WeightSource> {
  const groups = manifestOf(json, path);
  const opened: ByteReader[] = [];
  const close = async () => {
    await Promise.all(opened.map((file) => file.close()));
  };
  const places = new Map<string, Place>();
  try {
    for (const group of groups) {
      const shards: ByteReader[] = [];
      for (const name of group.paths) {
        shards.push(await open(name));
        opened.push(shards.at(-1)!);
      }
      await checkSizes(group, shards, path);
      place(group, shards, path, places);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const entry = (key: string) => places.get(key) ?? unknownTensor(key, label);

  async function readStored(weight: Place): Promise<Uint8Array> {
    const bytes = new Uint8Array(storedBytes(weight));
    await readSpan(weight.shards, bytes, weight.position);
    return bytes;
  }

  async function read(key: string): Promise<Float32Array> {
    const weight = entry(key);
    const { quantization } = weight;
    const stored = await readStored(weight);
    if (quantization === undefined) return new Float32Array(stored.buffer);
    if (quantization.dtype !== 'float16') return dequantize(stored, quantization);
    const values = new Float32Array(stored.length / 2);
    new Uint8Array(halves(values).buffer, halves(values).byteOffset, stored.length).set(stored);
    widenF16(values);
    return values;
  }

  return {
    tfjsAxes: true,
    names: () => [...places.keys()],
    info(key) {
      const { shape, quantization } = entry(key);
      const half = quantization?.dtype === 'float16';
      const bytes = (half ? 2 : 4) * shape.reduce((product, axis) => product * axis, 1);
      const stored =
        quantization === undefined || half
          ? undefined
          : { dtype: quantization.dtype, bytes: storedBytes(entry(key)) };
      return { dtype: half ? 'F16' : 'F32', shape: [...shape], bytes, stored };
    },
    read,
    async readBytes(key, target) {
      const weight = entry(key);
      const { quantization } = weight;
      if (quantization === undefined || quantization.dtype === 'float16')
        return readSpan(weight.shards, target, weight.position);
      target.set(new Uint8Array((await read(key)).buffer));
    },
    close,
  };
}

/** Finds the places of a group's weights. */
function place(
  { weights }: ManifestGroup,
  shards: ByteReader[],
  path: string,
  places: Map<string, Place>,
): void {
  let position = 0;
  for (const weight of weights) {
    const key = keyOf(weight.name);
    if (places.has(key))
      throw new CheckpointError(
        `${path} is not a valid TensorFlow.js artifact: it has ${quoted(weight.name)} twice.`,
      );
    places.set(key, { ...weight, shards, position });
    position += storedBytes(weight);
  }
}

/** @throws CheckpointError if the files have other sizes than the weights of their group need. */
async function checkSizes(
  { paths, weights }: ManifestGroup,
  shards: ByteReader[],
  path: string,
): Promise<void> {
  const size = sum(shards.map((shard) => shard.size));
  const expected = sum(weights.map(storedBytes));
  if (size === expected) return;
  for (const shard of shards) {
    const start = new Uint8Array(Math.min(TELLING_BYTES, shard.size));
    await shard.read(start, 0);
    const instead = describeFirstBytes(start);
    if (instead !== undefined) throw new CheckpointError(`${shard.label} ${instead}.`);
  }
  throw new CheckpointError(
    `The files of ${path} have ${size} bytes instead of ${expected}: ${paths[0]} to ` +
      `${paths.at(-1)}. Copy, download or convert them again.`,
  );
}

/** Fills `target` with bytes that may lie in several files. */
async function readSpan(shards: ByteReader[], target: Uint8Array, position: number): Promise<void> {
  let start = 0;
  let done = 0;
  for (const shard of shards) {
    const from = position + done - start;
    if (done < target.length && from < shard.size) {
      const part = target.subarray(done, done + shard.size - from);
      await shard.read(part, from);
      done += part.length;
    }
    start += shard.size;
  }
}
