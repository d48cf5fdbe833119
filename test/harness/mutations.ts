/** Seeded mutations of files, to test that nothing which comes from elsewhere breaks a reader. */

/** How often to repeat: the environment variable `MUTATIONS` multiplies it. */
export const rounds = (count: number): number =>
  Math.ceil(count * Number(process.env.MUTATIONS ?? 1));

/** Small deterministic random numbers below `limit`. */
export type Random = (limit: number) => number;

export function randoms(seed: number): Random {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]!;

const interesting = [...'{}[]",:\\0123456789-+.eEFnull \n\t', '\0', '\x7f', '\xff', '\x80'].map(
  (char) => char.charCodeAt(0),
);

/** Replaces, inserts, removes or cuts off a byte at `at`. */
export function mutateByte(bytes: Uint8Array, at: number, random: Random): Uint8Array {
  const byte = random(2) === 0 ? pick(random, interesting) : random(256);
  const kind = random(6);
  if (kind < 3) {
    const result = bytes.slice();
    result[at] = byte;
    return result;
  }
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  if (kind === 3) return Uint8Array.of(...before, byte, ...after);
  if (kind === 4) return Uint8Array.of(...before, ...after.subarray(1 + random(30)));
  return before.slice();
}

/** Values that readers do not expect. */
const odd: unknown[] = [
  ...[null, true, false, 0, -1, 0.5, 1, 255, 1e9, 2 ** 31, 2 ** 53, 1e308, -1e308, '', 'x', '0'],
  ...[
    '..',
    '.',
    '../outside.safetensors',
    '/etc/passwd',
    'a/b',
    'a\\b',
    'a\0b',
    '\x1b[2J',
    '\u202e',
  ],
  ...['__proto__', 'constructor', 'toString', 'x'.repeat(5000), 'NaN', 'float64', 'uint4', 'F4'],
  ...[[], {}, [[]], [null], [1e9, 1e9, 1e9], [0, 1e308, 1e308], [-1], [0.5], ['1'], { length: 3 }],
  JSON.parse('{"__proto__": {"x": 1}}'),
];

/** A copy of a JSON value in which a few values are others, missing, or under another name. */
export function mutateJson<T>(json: T, random: Random): unknown {
  let root: unknown = structuredClone(json);
  for (let edits = 1 + random(3); edits > 0; edits--) {
    const slots: [holder: Record<string, unknown>, key: string][] = [];
    const visit = (value: unknown) => {
      if (typeof value !== 'object' || value === null) return;
      const holder = value as Record<string, unknown>;
      for (const key of Object.keys(holder)) {
        slots.push([holder, key]);
        visit(holder[key]);
      }
    };
    visit(root);
    if (slots.length === 0 || random(200) === 0) {
      root = structuredClone(pick(random, odd));
      continue;
    }
    const [holder, key] = pick(random, slots);
    const kind = random(5);
    if (kind === 0) delete holder[key];
    else if (kind === 1) {
      const [from, other] = pick(random, slots);
      holder[key] = structuredClone(from[other]);
    } else if (kind === 2 && !Array.isArray(holder)) {
      holder[String(pick(random, odd))] = holder[key];
      delete holder[key];
    } else holder[key] = structuredClone(pick(random, odd));
  }
  return JSON.parse(JSON.stringify(root) ?? 'null'); // as it comes out of a file
}
