/** The arguments of layers: their names and values, and the error for others. */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { computeDtypes } from '../ops/index.ts';
import { camelCase } from '../text/cases.ts';
import { count, flag, type Kind, kinds, listOf, optional, wrongValue } from '../text/kinds.ts';
import { editDistance } from '../text/nearest.ts';
import { checkOptions } from '../text/options.ts';
import type { Checks } from './checks.ts';
import type { FramesArgs } from './layerArgs.ts';
import { isOurs, type LayerClass } from './registry.ts';

const shape = listOf(optional(count));
/** The types that `apply` makes float32 of. */
const typeOfInput: Kind = { oneOf: ['float32', 'int32', 'bool'] };

/** The arguments of every layer. */
const ofEveryLayer: Readonly<Record<keyof FramesArgs, Kind>> = {
  numFrames: count,
  name: {
    is: 'a string of letters and digits, and of -_./ after the first',
    test: (value) => typeof value === 'string' && /^([a-z0-9][-\w./]*)?$/i.test(value),
  },
  trainable: flag,
  computeDtype: { oneOf: computeDtypes },
  weights: {
    is: 'a list of tensors',
    test: (value) => Array.isArray(value) && value.every((one) => one instanceof tf.Tensor),
  },
  inputShape: shape,
  batchInputShape: shape,
  batchSize: count,
  dtype: typeOfInput,
  inputDType: typeOfInput,
  sublayers: kinds.list,
};

/** What TensorFlow.js passes to every layer of a model. */
const ofEveryCall = ['training', 'mask'];

/** The checks of a layer of this package, by the names of its arguments; inner ones have none. */
const checksOf = (cls: LayerClass): Checks | undefined =>
  isOurs(cls) && Object.keys(cls.checks ?? {}).length > 0 ? cls.checks : undefined;

const plain = (word: unknown) => String(word).replaceAll('_', '').toLowerCase();

/** The words of a kind, which may be those of a list. */
const wordsOf = (kind: Kind | undefined): readonly (string | number)[] =>
  !kind ? [] : 'listOf' in kind ? wordsOf(kind.listOf) : 'oneOf' in kind ? kind.oneOf : [];

/**
 * The arguments in a saved configuration. Restores their words: TensorFlow.js writes them in
 * snake_case and reads them in camelCase. Leaves out what the layer does not know, as diffusers
 * does: configurations of networks hold more.
 */
export function savedArguments(
  cls: LayerClass,
  config: tf.serialization.ConfigDict,
): tf.serialization.ConfigDict {
  const checks = checksOf(cls);
  if (!checks) return config;
  const restored = (kind: Kind | undefined, value: unknown): unknown =>
    Array.isArray(value)
      ? value.map((entry) => restored(kind, entry))
      : (wordsOf(kind).find((word) => plain(word) === plain(value)) ?? value);
  const known = [checks, ofEveryLayer].flatMap(Object.keys);
  const entries = Object.entries(config)
    .filter(([name]) => known.includes(name))
    .map(([name, value]) => [name, restored(checks[name], value)]);
  return Object.fromEntries(entries);
}

/** The given arguments and their values; undefined stands for none. */
export const given = <T extends object>(args: T | undefined): Partial<T> =>
  Object.fromEntries(
    Object.entries(args ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<T>;

/**
 * Checks the arguments of a constructor by name.
 * @throws Error if they are not in an object, or if the layer takes none of that name.
 */
export function checkArguments(cls: LayerClass, args: object = {}): void {
  const own = checksOf(cls);
  if (!own) return;
  const known = [own, ofEveryLayer].flatMap(Object.keys);
  const isMeant = (name: string) =>
    known.some((one) => editDistance(camelCase(name).toLowerCase(), one.toLowerCase()) < 3);
  const checked =
    cls.ignoresOthers && typeof args === 'object' && args !== null
      ? Object.fromEntries(Object.entries(args).filter(([name]) => isMeant(name)))
      : args;
  checkOptions(cls.className, checked, known);
}

/** What is checked of a layer. */
interface Checked {
  constructor: unknown;
  config: object;
  misfits(): readonly (string | undefined)[];
}

/**
 * Compares the arguments of a layer, defaults filled in, with the table of its class.
 * @throws Error if one is wrong.
 */
export function checkValues(layer: Checked, args: object): void {
  const all = args as Record<string, unknown>;
  const { className, checks = {}, ignoresOthers } = layer.constructor as unknown as LayerClass;
  const config = layer.config as Record<string, unknown>;
  const wrong = [
    ...Object.entries(ofEveryLayer)
      .filter(([name]) => !(ignoresOthers && name === 'dtype')) // of transformers' configurations
      .map(([name, kind]) => wrongValue(name, all[name], optional(kind))),
    ...Object.entries(checks).map(([name, kind]) => wrongValue(name, config[name], kind)),
    ignoresOthers ? undefined : typeOfNoInput(all),
  ];
  // Only arguments that are right by themselves can be compared with each other.
  const fault = wrong.find(Boolean) ?? layer.misfits().find(Boolean);
  if (!fault) return;
  throw new Error(`${className}${all.name ? ` "${all.name}"` : ''}: ${fault}`);
}

/** The sentence on a type of inputs that nobody would read. */
function typeOfNoInput(args: Record<string, unknown>): string | undefined {
  const type = args.dtype ?? args.inputDType ?? 'float32';
  if (type === 'float32' || args.inputShape || args.batchInputShape) return undefined;
  return (
    '`dtype` is the type of the input that `inputShape` declares, which is not given. Layers ' +
    'compute in float32 or in `computeDtype`, and take inputs of float32, int32 and bool.'
  );
}

/**
 * Checks call arguments by name.
 * @throws Error if they are not in an object, or if the layer takes none of that name.
 */
export function checkCallArgs(cls: LayerClass, known: readonly string[], kwargs?: object): void {
  if (kwargs instanceof tf.Tensor || kwargs instanceof tfl.SymbolicTensor)
    throw new Error(
      `\`${cls.className}.apply\` takes several tensors in one array, as in ` +
        '`layer.apply([x, context], { numFrames: 7 })`.',
    );
  checkOptions(`${cls.className}.apply`, kwargs ?? {}, [...known, ...ofEveryCall]);
}
