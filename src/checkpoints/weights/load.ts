/**
 * Moves a checkpoint's tensors into the weights of a block, and names a block's weights for a
 * checkpoint.
 */

import { type AnyBlock, weightOf } from '../../layers/block.ts';
import { checkIsBlock } from '../../layers/inputs.ts';
import type { Parameter } from '../../layers/parameter.ts';
import { settleDevice } from '../../ops/device.ts';
import { counted } from '../../text/messages.ts';
import { checkOptionValues, kinds } from '../../text/options.ts';
import { printable } from '../../text/printable.ts';
import { CheckpointError, listed, quoted } from '../errors.ts';
import { floatTypes, readableDtypes, type SavedDtype, savedDtypes } from '../safetensors/dtypes.ts';
import { shapeInCheckpoint, valuesForCheckpoint } from './layout.ts';
import { type WeightDtype, weightReader } from './reader.ts';
import type { WeightSource } from './source.ts';

/** Options of `loadWeights` and, the first three, of `checkWeights`. */
export interface LoadWeightsOptions {
  /**
   * The start of the block's keys in the source, such as `unet.`. Other tensors are ignored.
   */
  prefix?: string;
  /** Names the weights in messages, such as `unet`. Default: the block's name. */
  label?: string;
  /**
   * Whether a surplus tensor, by its key without prefix, is left aside without an error. Default:
   * `position_ids` buffers, which old checkpoints hold.
   */
  ignore?: (key: string) => boolean;
  /**
   * How weights are held in memory. `float32` (default), or `auto`: those of an F16 or BF16
   * checkpoint stay so on the tensorflow and webgpu backends and are widened at each use. This
   * halves their memory and does not change the results. With `auto`, those of layers that compute in half
   * precision where `oneDnnServes` it are rounded to it.
   */
  weightDtype?: WeightDtype;
  /** Called after each tensor with the bytes read so far and the bytes to read in all. */
  onProgress?: (done: number, total: number) => void;
  /** Stops between two tensors; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Whether `key` is CLIP's list of positions: a buffer of old checkpoints, not a weight. */
const isPositionIds = (key: string) => key.endsWith('.position_ids');

/** Names of the scales that other programs store beside quantised weights. */
const SCALE =
  /(^|\.)(scaled_fp8|scale_weight|weight_scale\w*|SCB|absmax|nested_absmax|quant_map|quant_state\.\S+|comfy_quant)$/;

/** The longest time without a turn for timers, signals and other input, in milliseconds. */
const YIELD_MS = 30;

/**
 * How many bytes are read ahead, besides the next tensor: of small ones several, so that none is
 * waited for.
 */
const AHEAD = 2 ** 22;

/**
 * Fills a built block from a source. Names and shapes are compared first, so that nothing changes
 * if they don't fit. Reads tensor by tensor in the source's order, the next ones while the backend
 * takes one over: memory beyond the weights is about three tensors. If reading fails or is stopped,
 * each weight is either wholly loaded or as before, and the same call can be repeated.
 * @throws CheckpointError that lists all missing, surplus, mis-shaped and non-float tensors; or
 * what reading throws.
 */
export async function loadWeights(
  block: AnyBlock,
  source: WeightSource,
  options: LoadWeightsOptions = {},
): Promise<void> {
  checkIsBlock('loadWeights', block);
  const { prefix = '', onProgress, signal } = options;
  checkWeights(block, source, options);
  const parameters = parametersByName(block, prefix);
  const wanted = source.names().filter((name) => parameters.has(name));
  const total = wanted.reduce((sum, name) => sum + source.info(name).bytes, 0);
  const read = weightReader(source, options.weightDtype);
  const ahead: ReturnType<typeof read>[] = [];
  let started = 0;
  let next = 0;
  let done = 0;
  let turn = performance.now();
  await settleDevice(); // no weight takes a larger buffer that other tensors have left
  try {
    for (const [i, name] of wanted.entries()) {
      signal?.throwIfAborted();
      const { bytes } = source.info(name);
      while (next < wanted.length && (next <= i + 1 || started - done - bytes < AHEAD)) {
        const { layout, computeDtype } = parameters.get(wanted[next])!;
        const reading = read(wanted[next], layout, computeDtype);
        reading.catch(() => {}); // looked at when its turn comes
        ahead.push(reading);
        started += source.info(wanted[next]).bytes;
        next++;
      }
      const take = await ahead[0];
      ahead.shift();
      const tensor = take();
      parameters.get(name)!.variable.write(tensor);
      tensor.dispose(); // the variable keeps the data
      done += bytes;
      onProgress?.(done, total);
      if (performance.now() - turn > YIELD_MS) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        turn = performance.now();
      }
    }
  } finally {
    await Promise.allSettled(ahead); // so that the source can be closed
    await settleDevice(); // the process may end next, which WebGPU does not bear while it computes
  }
}

const parametersByName = (block: AnyBlock, prefix: string) =>
  new Map(block.parameters().map((parameter) => [prefix + parameter.key, parameter]));

/**
 * The missing, surplus, mis-shaped and non-float tensors of a source, as a list in words. Undefined
 * if it fits.
 */
export function differences(
  block: AnyBlock,
  source: WeightSource,
  { prefix = '', ignore = isPositionIds }: Pick<LoadWeightsOptions, 'prefix' | 'ignore'> = {},
): string | undefined {
  const parameters = parametersByName(block, prefix);
  const names = source.names().filter((name) => name.startsWith(prefix));
  const present = new Set(names);
  const missing = [...parameters.keys()].filter((name) => !present.has(name));
  const surplus = names.filter(
    (name) => !parameters.has(name) && !ignore(name.slice(prefix.length)),
  );
  const misshaped: string[] = [];
  const untyped: string[] = [];
  for (const name of names) {
    const parameter = parameters.get(name);
    if (parameter === undefined) continue;
    const { shape, dtype } = source.info(name);
    const expected = source.tfjsAxes ? parameter.variable.shape : checkpointShape(parameter);
    if (shape.join() !== expected.join())
      misshaped.push(`${name} is [${shape}] instead of [${expected}]`);
    if (!(dtype in floatTypes)) untyped.push(`${name} is ${dtype}`);
  }
  const groups: [string, string[]][] = [
    ['missing', missing],
    ['surplus', surplus],
    ['of another shape', misshaped],
    [`of a type other than ${readableDtypes}`, untyped],
  ];
  const found = groups
    .filter(([, list]) => list.length > 0)
    .map(([what, list]) => `${list.length} ${what} (${listed(list)})`);
  return found.length > 0 ? found.join('; ') : undefined;
}

/**
 * Compares names, shapes and types of a source with those of a built block, reading no values.
 * @throws CheckpointError that lists all missing, surplus, mis-shaped and non-float tensors.
 */
export function checkWeights(
  block: AnyBlock,
  source: WeightSource,
  options: Pick<LoadWeightsOptions, 'prefix' | 'label' | 'ignore'> = {},
): void {
  checkIsBlock('checkWeights', block);
  const { prefix = '', label = block.name } = options;
  const found = differences(block, source, options);
  if (found !== undefined) {
    throw new CheckpointError(
      `The weights don't fit ${quoted(label)}: ${found}. Use the weights and the ` +
        'config of the same model.',
    );
  }
  const parameters = parametersByName(block, prefix);
  const scales = source
    .names()
    .filter((name) => name.startsWith(prefix) && !parameters.has(name) && SCALE.test(name));
  if (scales.length > 0) {
    throw new CheckpointError(
      `The weights of ${quoted(label)} are quantised: they need the scales beside them ` +
        `(${listed(scales, 3)}), which are not applied. Use weights of the types ` +
        `${readableDtypes} without scales.`,
    );
  }
}

/**
 * Compares the weights of a whole model with it, as `checkWeights` does. Of a whole model, surplus
 * tensors are passed over, as in diffusers.
 * @returns Sentences that name them, and how the names are read, if there is something to say.
 * @throws CheckpointError that lists all missing, mis-shaped and non-float tensors.
 */
export function checkModelWeights(
  model: AnyBlock,
  source: WeightSource,
  label: string,
): string | undefined {
  checkWeights(model, source, { label, ignore: passOver });
  const keys = new Set(model.parameters().map(({ key }) => key));
  const surplus = source.names().filter((name) => !keys.has(name) && !isPositionIds(name));
  if (surplus.length === 0) return source.remark;
  const remark = source.remark === undefined ? '' : `${source.remark} `;
  return (
    `${remark}The weights of ${quoted(label)} have ${counted(surplus.length, 'tensor')} that the model ` +
    `has no place for and that ${surplus.length === 1 ? 'is' : 'are'} passed over: ` +
    `${printable(listed(surplus, 3))}.`
  );
}

/** For `ignore`: passes over all surplus tensors. */
export const passOver = () => true;

/** The shape that a parameter has in a checkpoint. */
export function checkpointShape({ variable, layout }: Parameter): number[] {
  return shapeInCheckpoint(layout, variable.shape as number[]);
}

/** One weight as a checkpoint holds it; `data` reads it from its backend when it is wanted. */
export interface BlockTensor {
  /** The element type to store. */
  dtype: (typeof savedDtypes)[SavedDtype];
  /** In PyTorch's axis order. */
  shape: number[];
  /** Reads the values, row-major. */
  data(): Promise<Float32Array>;
}

/** Options of `blockTensors`. */
export interface BlockTensorsOptions {
  /** What the weights shall be stored as; the values are float32 in any case. Default F32. */
  dtype?: BlockTensor['dtype'];
  /**
   * What the keys begin with, such as `decoder.up_blocks.0`: the path that `loadLayerWeights`
   * takes. Default: nothing.
   */
  keyPrefix?: string;
}

/**
 * A built block's weights by checkpoint key, in PyTorch's axis order, ready for `writeSafetensors`.
 * @param options Or only their `dtype`.
 * @throws CheckpointError if the block is not built yet.
 * @throws Error if `block` is no layer of this package, or an option has another name or cannot
 * have its value.
 */
export function blockTensors(
  block: AnyBlock,
  options: BlockTensorsOptions | BlockTensor['dtype'] = {},
): Record<string, BlockTensor> {
  checkIsBlock('blockTensors', block);
  const given: BlockTensorsOptions = typeof options === 'string' ? { dtype: options } : options;
  const known = { dtype: { oneOf: Object.values(savedDtypes) }, keyPrefix: kinds.text };
  checkOptionValues('blockTensors', given, known);
  const { dtype = 'F32', keyPrefix = '' } = given;
  if (!block.built)
    throw new CheckpointError(
      `${quoted(block.name)} has no weights yet. Call its \`build()\`, or load weights into it.`,
    );
  const entries = block.parameters().map((parameter): [string, BlockTensor] => {
    const { key, variable, layout } = parameter;
    const data = async () => {
      const value = weightOf(variable);
      try {
        const values = (await value.data()) as Float32Array;
        return valuesForCheckpoint(layout, variable.shape as number[], values);
      } finally {
        if (value !== variable.read()) value.dispose(); // it has been widened
      }
    };
    return [keyStart(keyPrefix) + key, { dtype, shape: checkpointShape(parameter), data }];
  });
  return Object.fromEntries(entries);
}

/** What the keys of the layer at `path` begin with; a dot at its end may be there or not. */
export const keyStart = (path: string): string => (/^$|\.$/.test(path) ? path : `${path}.`);
