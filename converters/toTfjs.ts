/**
 * A checkpoint as TensorFlow.js artifacts: a `model.json` and shards for each component, which
 * `tf.loadLayersModel` reads once this package is imported.
 */
import { version_layers } from '@tensorflow/tfjs';
import { TFJS } from '../src/checkpoints/diffusers/names.ts';
import { CheckpointError } from '../src/checkpoints/errors.ts';
import {
  type ManifestWeight,
  type Quantization,
  storedBytes,
} from '../src/checkpoints/tfjs/manifest.ts';
import { type OpenComponent, readBytes } from '../src/checkpoints/weights/export.ts';
import { reversalFromCheckpoint, valuesFromCheckpoint } from '../src/checkpoints/weights/layout.ts';
import { type OutputFile, type Piece, textFile } from '../src/files/writing/outputFile.ts';
import type { Parameter } from '../src/layers/parameter.ts';
import { type QuantizationError, quantize } from './quantize.ts';
import type { ComponentError, Target, TargetOptions } from './target.ts';
import { convertedConfigs } from './toDiffusers.ts';
import { artifactOf } from './topology.ts';

export const toTfjs: Target = {
  files: (components, options) => [
    ...components.flatMap((component) => artifactFiles(component, options)),
    ...convertedConfigs(options),
  ],
};

/** The shards of a component, and the `model.json` that describes it. */
function artifactFiles(open: OpenComponent, options: TargetOptions): OutputFile[] {
  const { component, source } = open;
  const { topology, parameters } = artifactOf(options.checkpoint, component);
  const weights = source
    .names()
    .filter((key) => parameters.has(key))
    .map((key) => storedWeight(open, key, parameters.get(key)!, options));
  const shards = shardFiles(component, weights, options.shardSize ?? 2 ** 28);
  const paths = shards.map(({ path }) => path.slice(component.length + 1));
  const modelJson = async () => {
    const manifest: ManifestWeight[] = [];
    for (const weight of weights) manifest.push(await weight.described());
    const error = errorOf(weights);
    if (error) options.onError(component, error);
    const json = {
      format: 'layers-model',
      generatedBy: `TensorFlow.js tfjs-layers v${version_layers}`,
      convertedBy: 'stable-video-diffusion-tfjs',
      userDefinedMetadata: {
        convertedFrom: await options.identity,
        ...(error && { quantizationError: error }),
      },
      modelTopology: topology,
      weightsManifest: [{ paths, weights: manifest }],
    };
    return `${JSON.stringify(json)}\n`;
  };
  return [...shards, textFile(`${component}/${TFJS}`, modelJson)];
}

/** A weight in the shards. */
interface StoredWeight {
  key: string;
  bytes: number;
  /** Known once the weight is quantised, if it is. */
  error?: QuantizationError;
  /** Its entry in the manifest. Quantises the weight if a run before this one has written it. */
  described(): Promise<ManifestWeight>;
  /** The bytes of a range, for a shard. All ranges are written in their order. */
  piece(position: number, from: number, to: number): Piece;
}

function storedWeight(
  { component, source }: OpenComponent,
  key: string,
  { layout, variable }: Parameter,
  { quantize: quantizeTo, pool }: TargetOptions,
): StoredWeight {
  const { dtype, shape } = source.info(key);
  const order = source.tfjsAxes ? 'same' : layout;
  // Fewer bits only for matrices and kernels, which are nearly all of the bytes.
  const isQuantized = quantizeTo === 'float16' || variable.shape.length > 1;
  const same = dtype === 'F16' ? 'float16' : undefined;
  const stored = isQuantized && quantizeTo !== 'none' ? quantizeTo : same;
  const isExact = dtype === (stored === 'float16' ? 'F16' : 'F32') && !stored?.startsWith('u');
  let quantization = (stored && { dtype: stored }) as Quantization | undefined;
  let isKnown = isExact || stored === undefined;
  const entry = () => ({
    name: variable.originalName,
    shape: variable.shape as number[],
    dtype: 'float32' as const,
    quantization,
  });
  const make = async (): Promise<Uint8Array> => {
    if (isExact) return readBytes(source, key, pool, reversalFromCheckpoint(order, shape));
    const values = valuesFromCheckpoint(order, shape, await source.read(key));
    if (stored === undefined)
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const quantized = quantize(values, stored, `${component}.${key}`);
    weight.error = quantized.error;
    quantization = quantized.quantization;
    isKnown = true;
    return quantized.bytes;
  };
  let whole: Uint8Array | undefined;
  const weight: StoredWeight = {
    key,
    bytes: storedBytes(entry()),
    async described() {
      if (!isKnown) await make();
      return entry();
    },
    piece: (position, from, to) => ({
      position,
      bytes: to - from,
      async make() {
        whole ??= await make();
        return whole.subarray(from, to);
      },
      release() {
        if (to < weight.bytes) return;
        pool.release(whole!);
        whole = undefined;
      },
    }),
  };
  return weight;
}

/** Distributes weights over files of `shardSize` bytes; the last one may have fewer. */
function shardFiles(component: string, weights: StoredWeight[], shardSize: number): OutputFile[] {
  const count = Math.ceil(weights.reduce((sum, { bytes }) => sum + bytes, 0) / shardSize);
  if (count > 100_000)
    throw new CheckpointError(
      `Shards of ${shardSize} bytes would be ${count} files. Choose larger ones.`,
    );
  const files = Array.from({ length: count }, (_, i) => ({
    path: `${component}/group1-shard${i + 1}of${count}.bin`,
    pieces: [] as Piece[],
  }));
  let start = 0;
  for (const { bytes, piece } of weights) {
    for (let from = 0; from < bytes; ) {
      const position = (start + from) % shardSize;
      const to = Math.min(bytes, from + shardSize - position);
      files[(start + from - position) / shardSize].pieces.push(piece(position, from, to));
      from = to;
    }
    start += bytes;
  }
  return files;
}

function errorOf(weights: StoredWeight[]): ComponentError | undefined {
  let [difference, values, largest, where] = [0, 0, -1, ''];
  for (const { key, error } of weights) {
    if (error === undefined) continue;
    difference += error.squaredDifference;
    values += error.squaredValues;
    if (error.largest > largest) [largest, where] = [error.largest, key];
  }
  const relative = values > 0 ? Math.sqrt(difference / values) : 0;
  return where === '' ? undefined : { relative, largest, where };
}
