/**
 * Components as TensorFlow.js artifacts: a `model.json` and shards, which `tf.loadLayersModel`
 * reads once this package is imported.
 */
import { version_layers } from '@tensorflow/tfjs';
import type { Checkpoint } from '../src/checkpoints/checkpoint.ts';
import { TFJS } from '../src/checkpoints/diffusers/names.ts';
import { CheckpointError } from '../src/checkpoints/errors.ts';
import type { CheckpointIdentity } from '../src/checkpoints/identity.ts';
import {
  type ManifestWeight,
  type Quantization,
  storedBytes,
} from '../src/checkpoints/tfjs/manifest.ts';
import {
  type QuantizationError,
  type QuantizeTo,
  quantized,
} from '../src/checkpoints/tfjs/quantize.ts';
import type { Buffers } from '../src/checkpoints/weights/buffers.ts';
import { bytesOf, type OpenComponent, type Transpose } from '../src/checkpoints/weights/export.ts';
import { bytesFromCheckpoint, valuesFromCheckpoint } from '../src/checkpoints/weights/layout.ts';
import type { Run } from './resumable.ts';
import { artifactOf } from './topology.ts';

/** What is remembered of a weight that is written. */
interface Note {
  quantization?: Quantization;
  error?: QuantizationError;
}

/** How far a component's quantised weights are from the exact ones. */
export interface ComponentError {
  /** Relative L2 distance of all its weights together. */
  relative: number;
  /** The largest difference of a value. */
  largest: number;
  /** The weight that has it. */
  where: string;
}

/** How artifacts are written. */
export interface TfjsOptions {
  quantize: QuantizeTo;
  /** Bytes of a shard; the last one may have fewer. */
  shardSize: number;
  /** Memory for weights. */
  buffers: Buffers;
  /** What they are made from. */
  identity: Promise<CheckpointIdentity>;
  /** Told of the error of a quantised component. */
  onError?: (component: string, error: ComponentError) => void;
}

/**
 * What a weight is stored as: half precision as it is; fewer bits only for matrices and kernels,
 * which are nearly all of the bytes.
 */
function storedAs(
  dtype: string,
  rank: number,
  quantize: QuantizeTo,
): Quantization['dtype'] | undefined {
  if (quantize !== 'none' && (quantize === 'float16' || rank > 1)) return quantize;
  return dtype === 'F16' ? 'float16' : undefined;
}

/** The work of writing one component. */
export function tfjsRun(
  files: Checkpoint,
  { component, source }: OpenComponent,
  options: TfjsOptions,
): Run {
  const { topology, parameters } = artifactOf(files, component);
  const weights = source
    .names()
    .filter((key) => parameters.has(key))
    .map((key) => {
      const { layout, variable } = parameters.get(key)!;
      const info = source.info(key);
      const dtype = storedAs(info.dtype, variable.shape.length, options.quantize);
      const weight = {
        name: variable.originalName,
        shape: variable.shape as number[],
        dtype: 'float32',
      } as const;
      const bytes = storedBytes({
        shape: weight.shape,
        quantization: dtype && ({ dtype } as Quantization),
      });
      const toOurs = source.ours ? 'same' : layout;
      const exact =
        info.dtype === (dtype === 'float16' ? 'F16' : 'F32') &&
        (dtype === undefined || dtype === 'float16');
      const make = async (): Promise<{ data: Uint8Array; note: Note }> => {
        if (exact) {
          const turn: Transpose = (bytes, memory) =>
            bytesFromCheckpoint(toOurs, info.shape, bytes, memory);
          const data = await bytesOf(source, key, options.buffers, turn);
          return { data, note: dtype === undefined ? {} : { quantization: { dtype: 'float16' } } };
        }
        const values = valuesFromCheckpoint(toOurs, info.shape, await source.read(key));
        if (dtype === undefined)
          return {
            data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
            note: {},
          };
        const { bytes, quantization, error } = quantized(values, dtype, `${component}.${key}`);
        return { data: bytes, note: { quantization, error } };
      };
      return { key, weight, bytes, make };
    });
  const total = weights.reduce((sum, { bytes }) => sum + bytes, 0);
  const count = Math.ceil(total / options.shardSize);
  if (count > 100_000)
    throw new CheckpointError(
      `Shards of ${options.shardSize} bytes would be ${count} files. Choose larger ones.`,
    );
  const paths = Array.from({ length: count }, (_, i) => `group1-shard${i + 1}of${count}.bin`);
  return {
    pieces: paths.map((path, i) => ({
      path: `${component}/${path}`,
      bytes: Math.min(options.shardSize, total - i * options.shardSize),
    })),
    headBytes: 0,
    parts: weights,
    async finish(notes) {
      const known = notes as Note[];
      const manifest = weights.map(
        ({ weight }, i): ManifestWeight => ({ ...weight, quantization: known[i].quantization }),
      );
      const error = errorOf(weights.map(({ key }, i) => ({ key, error: known[i].error })));
      if (error) options.onError?.(component, error);
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
      return { texts: { [`${component}/${TFJS}`]: `${JSON.stringify(json)}\n` } };
    },
  };
}

function errorOf(
  weights: { key: string; error?: QuantizationError }[],
): ComponentError | undefined {
  let [difference, values] = [0, 0];
  let worst: { largest: number; where: string } | undefined;
  for (const { key, error } of weights) {
    if (error === undefined) continue;
    difference += error.squaredDifference;
    values += error.squaredValues;
    if (worst === undefined || error.largest > worst.largest)
      worst = { largest: error.largest, where: key };
  }
  return worst && { relative: values > 0 ? Math.sqrt(difference / values) : 0, ...worst };
}
