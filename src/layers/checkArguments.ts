/** The arguments of layers: their names, and the error for others. */
import * as tf from '@tensorflow/tfjs';
import { camelCase } from '../text/cases.ts';
import { didYouMean } from '../text/nearest.ts';
import { argumentTables } from './argumentTables.ts';
import type { LayerArgs } from './layerArgs.ts';
import { isOurs, type LayerClass } from './registry.ts';

/** The arguments of every layer. TensorFlow.js adds `customObjects` to saved configurations. */
const ofEveryLayer = Object.keys({
  name: true,
  trainable: true,
  computeDtype: true,
  weights: true,
  inputShape: true,
  batchInputShape: true,
  batchSize: true,
  dtype: true,
  inputDType: true,
  sublayers: true,
  customObjects: true,
} satisfies Record<keyof LayerArgs | 'customObjects', true>);

/** What TensorFlow.js passes to every layer of a model. */
const ofEveryCall = ['training', 'mask'];

/** The arguments of a layer of this package, each with its values where these are words. */
export const argumentsOf = (cls: LayerClass): Record<string, readonly string[]> | undefined =>
  isOurs(cls) ? argumentTables[cls.className] : undefined;

const plain = (word: unknown) => String(word).replaceAll('_', '').toLowerCase();

/**
 * Restores the words of a saved configuration: TensorFlow.js writes them in snake_case and reads
 * them in camelCase.
 */
export function restoredWords<T extends object>(cls: LayerClass, config: T): T {
  const table = argumentsOf(cls);
  const entries = Object.entries(config).map(([name, value]) => {
    const word = table?.[name]?.find((word) => plain(word) === plain(value));
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
export function checkArguments(cls: LayerClass, args: unknown): void {
  const table = argumentsOf(cls);
  if (!isPlain(args))
    throw new Error(
      `${cls.className} takes its arguments in one object, as in ` +
        `\`new ${cls.className}({ name: 'mine' })\`.`,
    );
  if (table) checkNames(cls, 'an argument', args, Object.keys(table), ofEveryLayer);
}

/**
 * Checks call arguments by name.
 * @throws Error if they are not in an object, or if the layer takes none of that name.
 */
export function checkCallArgs(cls: LayerClass, names: readonly string[], kwargs: unknown): void {
  if (!isPlain(kwargs))
    throw new Error(
      `${cls.className} takes its call arguments in one object, as in \`{ numFrames: 7 }\`. ` +
        'Several tensors go into one array in front of it.',
    );
  checkNames(cls, 'a call argument', kwargs, names, ofEveryCall);
}

const isPlain = (args: unknown): args is object | undefined | null =>
  args === undefined ||
  args === null ||
  (typeof args === 'object' && !Array.isArray(args) && !(args instanceof tf.Tensor));

function checkNames(
  { className, ignoresOthers }: LayerClass,
  kind: string,
  args: object | undefined | null,
  own: readonly string[],
  common: readonly string[],
): void {
  for (const name of Object.keys(given(args ?? {}))) {
    const all = [...own, ...common];
    const camel = camelCase(name);
    if (all.includes(name) || (ignoresOthers && !all.includes(camel))) continue;
    const hint = all.includes(camel) ? ` Did you mean ${camel}?` : didYouMean(name, all);
    const takes = own.length === 0 ? 'none' : own.join(', ');
    throw new Error(`\`${name}\` is not ${kind} of ${className}.${hint || ` It takes ${takes}.`}`);
  }
}
