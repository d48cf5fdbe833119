/** Changes JSON texts as careless editors, broken downloads and attackers do. */
import type { Choices } from '../../harness/fuzz.ts';

/** Stands for something that JSON.stringify does not write. */
const raw = (text: string) => `@raw ${text}@`;

const values: (() => unknown)[] = [
  ...[null, true, false, 0, 1, -1, 2, 3, 7, 32, 33, 64, 65, 0.5, -0.5, 1e-300].map((n) => () => n),
  ...[1e3, 1e6, 1e9, 1e15, 2 ** 53, 1e308, -1e9].map((n) => () => n),
  ...['NaN', 'Infinity', '-Infinity', '1e999', '-0', '0.1e1'].map((text) => () => raw(text)),
  ...[
    '',
    'x',
    '1',
    'constructor',
    '__proto__',
    'toString',
    '\u001b[31m\n',
    '../x',
    'x\0',
    '\ud800',
  ].map((text) => () => text),
  ...['CrossAttnDownBlockSpatioTemporal', 'gelu', 'sample', 'linear'].map((text) => () => text),
  () => 'x'.repeat(1e5),
  () => [],
  () => [[]],
  () => ({}),
  () => ({ toString: 1, length: 1e9 }),
  () => [null],
  () => Array(3).fill(64),
  () => Array(1e5).fill(1),
  () => raw('['.repeat(1e5)),
  () => raw(`${'['.repeat(50)}${']'.repeat(50)}`),
  () => raw('{"__proto__": {"num_frames": 1}}'),
];

const keys = [
  ...['__proto__', 'constructor', 'toString', 'name', 'dtype', 'trainable', 'weights'],
  ...['input_shape', 'batch_input_shape', 'input_dtype', 'layers__per_block', ''],
];

type Node = Record<string | number, unknown>;

/** The tables and lists in a value. */
function nodesOf(value: unknown): Node[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value as Node, ...Object.values(value).flatMap(nodesOf)];
}

/** Changes one value or key somewhere in a text of JSON, or the text itself. */
export function mutated(text: string, choices: Choices): string {
  if (choices.below(8) === 0) return mutatedText(text, choices);
  const json = JSON.parse(text);
  // Often one of the outer table, which has the values that count.
  const node = choices.below(2) === 0 ? (json as Node) : choices.of(nodesOf(json));
  const key = choices.of([...Object.keys(node), 'x']);
  const value = choices.of(values)();
  const change = choices.of<() => void>([
    () => Object.assign(node, { [key]: value }),
    () => Object.assign(node, { [key]: value }),
    () => Object.assign(node, { [key]: value }),
    () => delete node[key],
    () => Object.assign(node, { [key]: structuredClone(choices.of(Object.values(json as Node))) }),
    () =>
      Object.assign(node, {
        [key]: Array(choices.of([2, 3, 4, 9, 1e4])).fill(structuredClone(node[key])),
      }),
    () => Object.defineProperty(node, choices.of(keys), { value, enumerable: true }),
  ]);
  change();
  return JSON.stringify(json, null, 2).replace(/"@raw (.*?)@"/g, (_, quoted: string) =>
    JSON.parse(`"${quoted}"`),
  );
}

function mutatedText(text: string, choices: Choices): string {
  const at = choices.below(text.length);
  const key = /"\w+": /g.exec(text.slice(at))?.[0] ?? '';
  return choices.of([
    text.slice(0, at),
    text.slice(at),
    text.slice(0, at) + String.fromCharCode(choices.below(256)) + text.slice(at + 1),
    `${text.slice(0, at)}${choices.of(['\0', ',', '{', ']', '"', '\\', 'NaN'])}${text.slice(at)}`,
    text.replace(key, `${key} 1, ${key}`),
    `\ufeff${text}`,
    '',
    '<!doctype html>',
  ]);
}
