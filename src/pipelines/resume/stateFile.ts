/** Writes the state of a call into a file, and reads it: for Node. */
import { CheckpointError } from '../../checkpoints/errors.ts';
import type { Dtype } from '../../checkpoints/safetensors/dtypes.ts';
import { openBytes } from '../../checkpoints/safetensors/file.ts';
import { readSafetensors, type SafetensorsFile } from '../../checkpoints/safetensors/reader.ts';
import { writeSafetensors } from '../../checkpoints/safetensors/writer.ts';
import type { FloatArray } from '../../media/image.ts';
import { checkArgument, checkPath } from '../../text/options.ts';
import { type SamplingState, stateKind } from './state.ts';

/** What else a file of a state can hold. */
export interface StateExtras {
  /** Texts of your own by name. */
  metadata?: Record<string, string>;
  /** Tensors of your own by name. */
  tensors?: Record<string, FloatArray>;
}

type Stored = Record<string, { dtype: Dtype; shape: number[]; data: Uint8Array<ArrayBuffer> }>;

/** What the names of tensors begin with, besides those of every state. */
const [OUTPUT, EXTRA] = ['model_outputs.', 'extra.'];

/**
 * Writes the state of a call into a `.safetensors` file, which appears only when it is whole, with
 * the SHA-256 of everything in it. Its tensor `latents` is `[B, F, 4, h, w]`.
 * @throws CheckpointError if it cannot be written.
 */
export async function saveSamplingState(
  path: string,
  state: SamplingState,
  { metadata = {}, tensors = {} }: StateExtras = {},
): Promise<void> {
  checkPath('saveSamplingState', path);
  checkArgument('saveSamplingState', state, stateKind, 'second');
  const { latents, generators, firstGenerators, scheduler, step, settings } = state;
  const stored: Stored = {
    latents: floats(latents),
    generators: bytes(generators),
    first_generators: bytes(firstGenerators),
    ...prefixed(OUTPUT, Object.fromEntries(scheduler.modelOutputs.entries())),
    ...prefixed(EXTRA, tensors),
  };
  const texts = {
    ...metadata,
    format: 'pt',
    state: JSON.stringify({ step, settings, stepIndex: scheduler.stepIndex }),
  };
  await writeSafetensors(path, stored, { ...texts, sha256: await hashOf(stored, texts) });
}

/**
 * Reads a file of `saveSamplingState`, for `resumeFrom`.
 * @throws CheckpointError if it cannot be read, or is not whole.
 */
export async function loadSamplingState(
  path: string,
): Promise<SamplingState & Required<StateExtras>> {
  await using reader = await openBytes(path).then((opened) => ({
    opened,
    [Symbol.asyncDispose]: () => opened.close(),
  }));
  try {
    return await stateIn(await readSafetensors(reader.opened));
  } catch (cause) {
    throw new CheckpointError(`${path} is damaged, cut short or not the state of a call.`, {
      cause,
    });
  }
}

async function stateIn(file: SafetensorsFile) {
  const { sha256, ...texts } = file.metadata;
  const stored: Stored = {};
  for (const name of file.names())
    stored[name] = { ...file.info(name), data: await file.readRaw(name) } as Stored[string];
  if (sha256 !== (await hashOf(stored, texts))) throw new Error('its SHA-256 is another one');
  const { state, format, ...metadata } = texts;
  const { step, settings, stepIndex } = JSON.parse(state);
  return {
    ...{ step, settings, metadata },
    latents: floatsIn(stored.latents),
    generators: bytesIn(stored.generators),
    firstGenerators: bytesIn(stored.first_generators),
    scheduler: { stepIndex, modelOutputs: Object.values(unprefixed(OUTPUT, stored)) },
    tensors: unprefixed(EXTRA, stored),
  };
}

/** The SHA-256 of names, texts and tensors, in the order of names. */
async function hashOf(stored: Stored, metadata: Record<string, string>): Promise<string> {
  const tensors = Object.entries(stored).sort(([a], [b]) => (a < b ? -1 : 1));
  const head = JSON.stringify([
    Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)),
    tensors.map(([name, { dtype, shape }]) => [name, dtype, shape]),
  ]);
  const parts = [new TextEncoder().encode(head), ...tensors.map(([, { data }]) => data)];
  const hash = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const floats = ({ data, shape }: FloatArray): Stored[string] => ({
  ...{ dtype: 'F32', shape: [...shape] },
  data: new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength),
});

const floatsIn = ({ data, shape }: Stored[string]): FloatArray => ({
  data: new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4),
  shape,
});

/** Rows of equally many bytes. */
function bytes(rows: Uint8Array[]): Stored[string] {
  const length = rows[0].length;
  const data = new Uint8Array(rows.length * length);
  for (const [i, row] of rows.entries()) data.set(row, i * length);
  return { dtype: 'U8', shape: [rows.length, length], data };
}

const bytesIn = ({ data, shape: [count, length] }: Stored[string]): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => data.slice(i * length, (i + 1) * length));

const prefixed = (prefix: string, tensors: Record<string, FloatArray>): Stored =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [prefix + name, floats(tensor)]),
  );

const unprefixed = (prefix: string, stored: Stored): Record<string, FloatArray> =>
  Object.fromEntries(
    Object.entries(stored)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), floatsIn(tensor)]),
  );
