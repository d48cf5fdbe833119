/** The arguments of layers: their names, and the error for others. */
import * as tf from '@tensorflow/tfjs';
import { camelCase } from '../text/cases.ts';
import { checkOptions } from '../text/options.ts';
import type { Checks } from './checks.ts';
import type { FramesArgs } from './layerArgs.ts';
import { isOurs, type LayerClass } from './registry.ts';

/** The arguments of every layer, but for those that only saved configurations have. */
const ofEveryLayer = Object.keys({
  numFrames: true,
  name: true,
  trainable: true,
  computeDtype: true,
  weights: true,
  inputShape: true,
  batchInputShape: true,
  batchSize: true,
  dtype: true,
  inputDType: true,
} satisfies Record<Exclude<keyof FramesArgs, 'sublayers'>, true>);
const ofSavedLayers = ['sublayers', 'customObjects'];

/** What TensorFlow.js passes to every layer of a model. */
const ofEveryCall = ['training', 'mask'];

/** The checks of a layer of this package, by the names of its arguments; inner ones have none. */
const checksOf = (cls: LayerClass): Checks | undefined =>
  isOurs(cls) && Object.keys(cls.checks ?? {}).length > 0 ? cls.checks : undefined;

const plain = (word: unknown) => String(word).replaceAll('_', '').toLowerCase();

/**
 * Restores the words of a saved configuration: TensorFlow.js writes them in snake_case and reads
 * them in camelCase.
 */
export function restoredWords<T extends object>(cls: LayerClass, config: T): T {
  const checks = checksOf(cls);
  const entries = Object.entries(config).map(([name, value]) => {
    const word = checks?.[name]?.allowed?.find((word) => plain(word) === plain(value));
    return [name, word ?? value];
  });
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
  const known = [...Object.keys(own), ...ofEveryLayer];
  const isChecked = (name: string) =>
    !ofSavedLayers.includes(name) && !(cls.ignoresOthers && !known.includes(camelCase(name)));
  const checked =
    typeof args === 'object' && args !== null
      ? Object.fromEntries(Object.entries(args).filter(([name]) => isChecked(name)))
      : args;
  checkOptions(cls.className, checked, known);
}

/**
 * Checks call arguments by name.
 * @throws Error if they are not in an object, or if the layer takes none of that name.
 */
export function checkCallArgs(cls: LayerClass, known: readonly string[], kwargs?: object): void {
  if (kwargs instanceof tf.Tensor || kwargs instanceof tf.SymbolicTensor)
    throw new Error(
      `\`${cls.className}.apply\` takes several tensors in one array, as in ` +
        '`layer.apply([x, context], { numFrames: 7 })`.',
    );
  checkOptions(`${cls.className}.apply`, kwargs ?? {}, [...known, ...ofEveryCall]);
}
