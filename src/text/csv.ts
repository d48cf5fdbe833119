/** Tables of comma-separated values, as RFC 4180 has them. */

/** A table with the names of the columns in its first line. */
export function csvOf<R extends object>(columns: readonly (keyof R & string)[], rows: R[]): string {
  const lines = [[...columns], ...rows.map((row) => columns.map((name) => `${row[name] ?? ''}`))];
  return lines.map((cells) => `${cells.map(cell).join(',')}\r\n`).join('');
}

const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
