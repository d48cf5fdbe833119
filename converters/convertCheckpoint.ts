/** Converts checkpoints between the formats, one tensor at a time. */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Checkpoint, type Format, formats } from '../src/checkpoints/checkpoint.ts';
import { declaredModel } from '../src/checkpoints/components.ts';
import {
  componentNames,
  type WeightedComponent,
  weightedComponents,
} from '../src/checkpoints/diffusers/names.ts';
import { diffusersFiles } from '../src/checkpoints/diffusers/weightFiles.ts';
import { configTexts, type ModelToWrite } from '../src/checkpoints/diffusers/writeFolder.ts';
import { CheckpointError } from '../src/checkpoints/errors.ts';
import { type CheckpointIdentity, identifyCheckpoint } from '../src/checkpoints/identity.ts';
import { type OpenOptions, openCheckpoint } from '../src/checkpoints/openCheckpoint.ts';
import { originalLayout } from '../src/checkpoints/original/keys.ts';
import { layOut, type TensorToWrite } from '../src/checkpoints/safetensors/writer.ts';
import { type QuantizeTo, quantizations } from '../src/checkpoints/tfjs/quantize.ts';
import { Buffers } from '../src/checkpoints/weights/buffers.ts';
import {
  type OpenComponent,
  type SavedDtype,
  savedDtypes,
  tensorsOf,
} from '../src/checkpoints/weights/export.ts';
import { checkWeights } from '../src/checkpoints/weights/load.ts';
import { checkFree, type Run, writeResumably } from './resumable.ts';
import { originalTensors } from './toOriginal.ts';
import { type ComponentError, tfjsRun } from './toTfjs.ts';

/** Options of `convertCheckpoint`. */
export interface ConvertOptions extends OpenOptions {
  /** The format to write. */
  to: Format;
  /** The format that the input has to be of. Default: any. */
  from?: Format;
  /** The type to store weights in. Default: the one that they have. For `tfjs` see `quantize`. */
  dtype?: SavedDtype;
  /**
   * For `tfjs`: what weights are stored as. Default `none`: as they are, in half precision if the
   * checkpoint has that.
   */
  quantize?: QuantizeTo;
  /**
   * Most bytes of a weight file. Default: 10 GB for `diffusers`, 256 MiB for `tfjs`; an original
   * file is always one.
   */
  shardSize?: number;
  /** Told of the bytes that are written. */
  onProgress?: (progress: { stage: 'converting'; step: number; steps: number }) => void;
  /** Stops the work; the next call goes on where it ended. */
  signal?: AbortSignal;
}

/** What a conversion has found out. */
export interface Conversion {
  /** The checkpoint that was read; its hashes are also in the result. */
  source: CheckpointIdentity;
  /** What the input did not say and had to be supposed. */
  assumption?: string;
  /** How far quantised weights are from the exact ones. */
  errors: Partial<Record<WeightedComponent, ComponentError>>;
}

/** Bytes of a shard of a TensorFlow.js artifact. */
const TFJS_SHARD = 2 ** 28;

/**
 * Converts the checkpoint at `input`, of any format, to another one at `output`, which appears when
 * it is complete. What was interrupted, at whatever byte, goes on where it ended when the same is
 * asked for again. Without `dtype` and `quantize`, not a bit of a weight changes.
 * @throws CheckpointError if the input is no whole checkpoint, there is something at `output`, or
 * the disk is full; the signal's reason.
 */
export async function convertCheckpoint(
  input: string,
  output: string,
  options: ConvertOptions,
): Promise<Conversion> {
  const { to, from, dtype, quantize = 'none', shardSize, onProgress, signal, ...opening } = options;
  checkOptions(options);
  await checkFree(output);
  const files = await openCheckpoint(input, opening);
  const hashing = new AbortController();
  try {
    if (from !== undefined && files.format !== from)
      throw new CheckpointError(`${input} is in the format ${files.format}, not ${from}.`);
    // Beside the conversion, which takes the components in the same order: the bytes are read once
    // from the disk.
    const identity = identifyCheckpoint(input, {
      ...opening,
      signal: signal ? AbortSignal.any([signal, hashing.signal]) : hashing.signal,
    });
    identity.catch(() => {}); // looked at when it is needed
    const open: OpenComponent[] = [];
    for (const component of [...weightedComponents].sort())
      open.push(await openComponent(files, component));
    const errors: Conversion['errors'] = {};
    const onError = (component: string, error: ComponentError) => {
      errors[component as WeightedComponent] = error;
    };
    const stored = dtype && savedDtypes[dtype];
    const buffers = new Buffers();
    let runs: Run[];
    if (to === 'tfjs') {
      const settings = { quantize, shardSize: shardSize ?? TFJS_SHARD, buffers, identity, onError };
      runs = open.map((component) => tfjsRun(files, component, settings));
    } else if (to === 'diffusers') {
      runs = open.flatMap((component) =>
        diffusersRuns(component.component, tensorsOf(component, stored, buffers), shardSize),
      );
    } else {
      const layout = originalLayout(files.config('unet'), files.config('vae'));
      const tensors = open.map((component) =>
        originalTensors(
          component.component,
          tensorsOf(component, stored, buffers),
          layout,
          buffers,
        ),
      );
      const metadata = (source: CheckpointIdentity) => ({ converted_from: JSON.stringify(source) });
      const room = metadata(await identifyCheckpoint(input, { ...opening, hashes: 'zeros' }));
      runs = [
        safetensorsRun('', Object.assign({}, ...tensors), room, async () =>
          metadata(await identity),
        ),
      ];
    }
    if (to !== 'original') runs.push(configsRun(files, identity));
    const job = {
      input: await fingerprint(files),
      to,
      dtype,
      quantize,
      shardSize,
      config: opening.config,
      numFrames: opening.numFrames,
    };
    await writeResumably(output, {
      job,
      runs,
      signal,
      onWritten: (data) => buffers.give(data),
      onProgress: (step, steps) => onProgress?.({ stage: 'converting', step, steps }),
    });
    return { source: await identity, assumption: files.assumption, errors };
  } finally {
    hashing.abort();
    await files.close();
  }
}

function checkOptions({ to, dtype, quantize, shardSize }: ConvertOptions): void {
  const oneOf = (name: string, value: string | undefined, allowed: readonly string[]) => {
    if (value === undefined || allowed.includes(value)) return;
    throw new CheckpointError(
      `\`${name}\` has to be one of ${allowed.join(', ')} but is ${value}.`,
    );
  };
  oneOf('to', to, formats);
  oneOf('dtype', dtype, Object.keys(savedDtypes));
  oneOf('quantize', quantize, quantizations);
  if (to === 'tfjs' && dtype !== undefined)
    throw new CheckpointError(
      '`dtype` is not for tfjs, whose weights are float32 or quantised. Give `quantize`.',
    );
  if (to !== 'tfjs' && quantize !== undefined && quantize !== 'none') {
    throw new CheckpointError(
      '`quantize` is for tfjs alone. Give `dtype` for weights in half precision.',
    );
  }
  if (to === 'original' && shardSize !== undefined)
    throw new CheckpointError('`shardSize` is not for original files, which are one.');
  if (shardSize !== undefined && !(Number.isSafeInteger(shardSize) && shardSize > 0)) {
    throw new CheckpointError(`\`shardSize\` has to be a number of bytes but is ${shardSize}.`);
  }
}

async function openComponent(
  files: Checkpoint,
  component: WeightedComponent,
): Promise<OpenComponent> {
  const source = await files.weights(component);
  const model = declaredModel(files, component);
  try {
    checkWeights(model, source, { label: component });
    return { component, source, parameters: model.parameters() };
  } finally {
    model.dispose();
  }
}

function diffusersRuns(
  component: WeightedComponent,
  tensors: Record<string, TensorToWrite>,
  maxShardSize?: number,
): Run[] {
  const { files, texts } = diffusersFiles(component, tensors, { maxShardSize });
  const runs = files.map(([path, shard]) => safetensorsRun(path, shard));
  return [...runs, textsRun(async () => texts)];
}

/**
 * The work of writing a safetensors file. Its header is written last, so that a file without the
 * rest is none, and that its metadata need not be known before: `metadata` says how long it is,
 * `complete` what it is.
 */
function safetensorsRun(
  path: string,
  tensors: Record<string, TensorToWrite>,
  metadata: Record<string, string> = {},
  complete: () => Promise<Record<string, string>> = async () => metadata,
): Run {
  const { header, entries } = layOut(tensors, path, { format: 'pt', ...metadata });
  return {
    pieces: [{ path, bytes: header.length + entries.reduce((sum, { bytes }) => sum + bytes, 0) }],
    headBytes: header.length,
    parts: entries.map(({ bytes, encoded }) => ({
      bytes,
      make: async () => ({ data: await encoded() }),
    })),
    finish: async () => ({
      head: layOut(tensors, path, { format: 'pt', ...(await complete()) }).header,
    }),
  };
}

/** The work of writing small files alone. */
function textsRun(texts: () => Promise<Record<string, string>>): Run {
  return { pieces: [], headBytes: 0, parts: [], finish: async () => ({ texts: await texts() }) };
}

/**
 * The work of writing all configs. What the weights are made from stands in `model_index.json`,
 * where diffusers passes it over.
 */
function configsRun(files: Checkpoint, identity: Promise<CheckpointIdentity>): Run {
  const configs = Object.fromEntries(
    componentNames.map((name) => [name, files.config(name)]),
  ) as ModelToWrite['configs'];
  return textsRun(async () =>
    configTexts({ index: { ...files.index, _converted_from: await identity }, configs }),
  );
}

/** What tells one input from another without reading it whole. */
async function fingerprint(files: Checkpoint): Promise<unknown> {
  const folder = files.format === 'original' ? dirname(files.path) : files.path;
  const entries = (await files.files()).sort().map(async (file) => {
    const { size, mtimeMs } = await stat(join(folder, file));
    return [file, size, mtimeMs];
  });
  return [await realpath(files.path), basename(files.path), ...(await Promise.all(entries))];
}
