/** Converts checkpoints between the formats, one tensor at a time. */

import { realpath, stat } from 'node:fs/promises';
import { type Checkpoint, type Format, formats } from '../src/checkpoints/checkpoint.ts';
import { openComponent } from '../src/checkpoints/components.ts';
import { type WeightedComponent, weightedComponents } from '../src/checkpoints/diffusers/names.ts';
import { CheckpointError } from '../src/checkpoints/errors.ts';
import { type CheckpointIdentity, nameCheckpoint, placesOf } from '../src/checkpoints/identity.ts';
import { type OpenOptions, openCheckpoint } from '../src/checkpoints/openCheckpoint.ts';
import {
  type OpenComponent,
  type SavedDtype,
  savedDtypes,
} from '../src/checkpoints/weights/export.ts';
import { fileKey } from '../src/files/sameFile.ts';
import { hasEnding } from '../src/text/endings.ts';
import { wrongValue } from '../src/text/kinds.ts';
import { checkOptionValues, type Kinds, kinds } from '../src/text/options.ts';
import { type QuantizeTo, quantizations } from './quantize.ts';
import { checkFree, writeResumably } from './resumableOutput.ts';
import type { ComponentError, Target } from './target.ts';
import { toDiffusers } from './toDiffusers.ts';
import { toOriginal } from './toOriginal.ts';
import { toTfjs } from './toTfjs.ts';
import { TransposePool } from './transpose/transposePool.ts';

/** Options of `convertCheckpoint`. */
export interface ConvertOptions extends OpenOptions {
  /** The format to write. */
  to: Format;
  /** The format that the input has to be in. Default: any. */
  from?: Format;
  /** The type to store weights in. Default: the one that they have. For `tfjs` see `quantize`. */
  dtype?: SavedDtype;
  /**
   * For `tfjs`: what weights are stored as. Default `none`: as they are, in half precision if the
   * checkpoint is in half precision.
   */
  quantize?: QuantizeTo;
  /**
   * Maximum size of a weight file in bytes. Default: 10 GB for `diffusers`, 256 MiB for `tfjs`; an
   * original checkpoint is always one file.
   */
  shardSize?: number;
  /** Called with the bytes that are written. */
  onProgress?: (progress: { stage: 'converting'; step: number; steps: number }) => void;
  /** Stops the work; the next call keeps the files that are complete. */
  signal?: AbortSignal;
}

/** The result of a conversion. */
export interface Conversion {
  /** The checkpoint that was read; its hashes are also in the output. */
  source: CheckpointIdentity;
  /** An assumption about the input that the input does not confirm. */
  assumption?: string;
  /** How far quantised weights are from the exact ones. */
  errors: Partial<Record<WeightedComponent, ComponentError>>;
}

const targets: Record<Format, Target> = {
  diffusers: toDiffusers,
  original: toOriginal,
  tfjs: toTfjs,
};

/**
 * Converts the checkpoint at `input`, of any format, to another format at `output`, which appears
 * when it is complete. After an interruption, the same call keeps the files that are complete.
 * Without `dtype` and `quantize`, not a bit of a weight changes.
 * @throws Error if an option is unknown; CheckpointError if the input is not a whole checkpoint,
 * `output` exists or has the wrong ending, or the disk is full; the signal's reason.
 */
export async function convertCheckpoint(
  input: string,
  output: string,
  options: ConvertOptions,
): Promise<Conversion> {
  checkOptions(options);
  const { to, from, dtype, quantize = 'none', shardSize, onProgress, signal, ...opening } = options;
  if ((await fileKey(input)) === (await fileKey(output)))
    throw new CheckpointError(`${output} already exists: it is the input. Choose another place.`);
  await checkFree(output);
  checkEnding(output, to);
  const checkpoint = await openCheckpoint(input, opening);
  const hashing = new AbortController();
  try {
    if (from !== undefined && checkpoint.format !== from)
      throw new CheckpointError(`${input} is in the format ${checkpoint.format}, not ${from}.`);
    const { unhashed, hash } = await nameCheckpoint(input, opening);
    // Hash while converting, in the same file order, so that each file is read from disk only once.
    const identity = hash(signal ? AbortSignal.any([signal, hashing.signal]) : hashing.signal);
    identity.catch(() => {}); // awaited where it is needed
    const components = await openComponents(checkpoint);
    const quantizationErrors: Conversion['errors'] = {};
    const files = targets[to].files(components, {
      ...{ checkpoint, identity, unhashed, quantize, shardSize },
      dtype: dtype && savedDtypes[dtype],
      pool: new TransposePool(largestTensor(components)),
      onError: (component, error) => {
        quantizationErrors[component] = error;
      },
    });
    const { config, numFrames } = opening;
    const source = await fingerprint(checkpoint);
    await writeResumably(output, files, {
      job: { source, to, dtype, quantize, shardSize, config, numFrames },
      signal,
      onProgress: (step, steps) => onProgress?.({ stage: 'converting', step, steps }),
    });
    const { assumption } = checkpoint;
    return { source: await identity, assumption, errors: quantizationErrors };
  } finally {
    hashing.abort();
    await checkpoint.close();
  }
}

/** An original checkpoint is a file, which its ending shows; the other formats are folders. */
function checkEnding(output: string, to: Format): void {
  const isFile = hasEnding(output, '.safetensors');
  if (to === 'original' && !isFile)
    throw new CheckpointError(
      `An original checkpoint is one file: use ${output.replace(/[/\\]+$/, '')}.safetensors.`,
    );
  if (to !== 'original' && isFile)
    throw new CheckpointError(
      `The format ${to} is a folder, but ${output} has the ending of a file. Leave out .safetensors.`,
    );
}

async function openComponents(checkpoint: Checkpoint): Promise<OpenComponent[]> {
  const components: OpenComponent[] = [];
  for (const component of [...weightedComponents].sort())
    components.push(await openComponent(checkpoint, component));
  return components;
}

/** The bytes of the largest tensor. */
const largestTensor = (components: OpenComponent[]): number =>
  Math.max(
    ...components.flatMap(({ source }) => source.names().map((name) => source.info(name).bytes)),
  );

const own = kinds.any; // checked below, with the others
const convertOptionKinds: Kinds<ConvertOptions> = {
  ...{ to: own, from: own, dtype: own, quantize: own, shardSize: own },
  ...{ variant: kinds.text, config: kinds.text, numFrames: kinds.count, unet: kinds.text },
  ...{ onProgress: kinds.listener, signal: kinds.signal },
};

function checkOptions(options: ConvertOptions): void {
  checkOptionValues('convertCheckpoint', options, convertOptionKinds);
  const { to, from, dtype, quantize = 'none', shardSize } = options;
  const refuse = (why: string): never => {
    throw new CheckpointError(why);
  };
  const oneOf = (name: string, value: string, allowed: readonly string[]) => {
    const wrong = wrongValue(name, value, { oneOf: allowed });
    if (wrong) refuse(wrong);
  };
  oneOf('to', to, formats);
  if (from !== undefined) oneOf('from', from, formats);
  if (dtype) oneOf('dtype', dtype, Object.keys(savedDtypes));
  oneOf('quantize', quantize, quantizations);
  if (to === 'tfjs' && dtype) refuse('`dtype` is not for tfjs. Use `quantize`.');
  if (to !== 'tfjs' && quantize !== 'none')
    refuse('`quantize` is only for tfjs. Use `dtype` for half precision.');
  if (shardSize === undefined) return;
  if (to === 'original') refuse('`shardSize` is not for original checkpoints, which are one file.');
  if (!(Number.isSafeInteger(shardSize) && shardSize > 0))
    refuse(`\`shardSize\` has to be a number of bytes but is ${shardSize}.`);
}

/** Tells one input from another by the names, sizes and dates of its files. */
async function fingerprint(checkpoint: Checkpoint): Promise<unknown> {
  const places = [...(await placesOf(checkpoint))].sort();
  const entries = places.map(async ([file, place]) => {
    const { size, mtimeMs } = await stat(place);
    return [file, size, mtimeMs];
  });
  return [await realpath(checkpoint.path), ...(await Promise.all(entries))];
}
