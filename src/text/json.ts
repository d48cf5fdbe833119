/** Reads JSON as Python does, which writes `NaN` and `Infinity`, too. */

/** The deepest nesting that is read. */
const MOST_LEVELS = 64;

const words = new Map<string, unknown>([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/**
 * The value that `text` writes. Its objects have no prototype, so that every name in them is a key
 * of the file. Of equal keys, the last one counts.
 * @throws SyntaxError if it is not JSON, or is nested too deeply. The message goes on after the
 * name of the file.
 */
export function parseJson(text: string): unknown {
  let position = 0;

  /** The next character that is not white space; empty at the end. */
  function next(): string {
    while (/[ \t\r\n]/.test(text.charAt(position))) position++;
    return text.charAt(position);
  }

  function takes(char: string): boolean {
    const found = next() === char;
    if (found) position++;
    return found;
  }

  function refuse(): never {
    if (position >= text.length) throw new SyntaxError('is not valid JSON: it ends too early');
    const lines = text.slice(0, position).split('\n');
    throw new SyntaxError(
      `is not valid JSON: line ${lines.length}, column ${lines.at(-1)!.length + 1} is wrong`,
    );
  }

  /** The value of the token from `start` to the position. */
  function token(start: number): unknown {
    const written = text.slice(start, position);
    if (words.has(written)) return words.get(written);
    try {
      return JSON.parse(written);
    } catch {
      position = start;
      return refuse();
    }
  }

  function string(): string {
    if (next() !== '"') refuse();
    const start = position++;
    while (text[position] !== '"') {
      if (position >= text.length) refuse();
      position += text[position] === '\\' ? 2 : 1;
    }
    position++;
    return token(start) as string;
  }

  /** The items up to `end`, with commas between them. */
  function items(end: string, read: () => void): void {
    if (takes(end)) return;
    do read();
    while (takes(','));
    if (!takes(end)) refuse();
  }

  function value(level: number): unknown {
    if (level > MOST_LEVELS)
      throw new SyntaxError(`is nested more deeply than ${MOST_LEVELS} levels`);
    if (takes('[')) {
      const list: unknown[] = [];
      items(']', () => list.push(value(level + 1)));
      return list;
    }
    if (takes('{')) {
      const table: Record<string, unknown> = Object.create(null);
      items('}', () => {
        const key = string();
        if (!takes(':')) refuse();
        table[key] = value(level + 1);
      });
      return table;
    }
    if (next() === '"') return string();
    const start = position;
    while (/[-+.\w]/.test(text.charAt(position))) position++;
    return token(start);
  }

  const whole = value(1);
  if (next() !== '') refuse();
  return whole;
}
