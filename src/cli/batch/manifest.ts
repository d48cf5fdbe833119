/** Reads manifests, which list pictures with an output and options of their own: CSV, JSON lines. */
import { readFile } from 'node:fs/promises';
import { type CsvError, parse } from 'csv-parse/sync';
import { hasEnding } from '../../text/endings.ts';
import { parseJson } from '../../text/json.ts';
import { messageOf } from '../../text/messages.ts';
import { quoted } from '../../text/printable.ts';
import { UsageError } from '../terminal/errors.ts';

/** A row of a manifest. */
export interface Row {
  /** Where it is: `list.csv:3`. */
  from: string;
  /** What it has, in the order of its columns. Texts in CSV; undefined where a cell is empty. */
  cells: [column: string, value: unknown][];
}

const [csv, jsonLines] = [
  ['.csv', '.tsv'],
  ['.jsonl', '.ndjson'],
];

/** The endings of manifests. */
export const manifestEndings: readonly string[] = [...csv, ...jsonLines];

/** @throws UsageError that names the line if it is not such a file; the system's error. */
export async function readManifest(path: string): Promise<Row[]> {
  const text = textIn(await readFile(path), path);
  return hasEnding(path, ...csv) ? rowsOfCsv(text, path) : rowsOfJson(text, path);
}

function textIn(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${path} is not a text in UTF-8. Save it as one.`);
  }
}

function rowsOfCsv(text: string, path: string): Row[] {
  const [header, ...records] = recordsOf(text, path);
  const columns = header?.cells.map((column) => column.trim()) ?? [];
  const twice = columns.find((column, i) => columns.indexOf(column) < i);
  if (twice !== undefined)
    throw new UsageError(`${path}:${header.line}: the column ${quoted(twice)} is there twice.`);
  return records.map(({ line, cells }) => {
    const from = `${path}:${line}`;
    if (cells.length > columns.length)
      throw new UsageError(
        `${from} has ${cells.length} cells, but there are ${columns.length} columns. Put what ` +
          'holds a comma into double quotes.',
      );
    return { from, cells: columns.map((column, i) => [column, cells[i] || undefined]) };
  });
}

/** The cells of each record, with the line that it ends on. */
function recordsOf(text: string, path: string): { line: number; cells: string[] }[] {
  // Spreadsheets write semicolons where a comma is part of numbers.
  const [delimiter] = /[,;\t]/.exec(text.split(/[\r\n]/, 1)[0]) ?? [','];
  const options = {
    ...{ delimiter, record_delimiter: ['\r\n', '\n', '\r'], trim: true },
    ...{ relax_column_count: true, skip_empty_lines: true, info: true },
  };
  try {
    const found = parse(text, options) as unknown as {
      record: string[];
      info: { lines: number };
    }[];
    const records = found.map(({ record, info }) => ({ line: info.lines, cells: record }));
    return records.filter(({ cells }) => cells.some((cell) => cell !== ''));
  } catch (error) {
    const { lines } = error as CsvError & { lines: number };
    const [, why] = /: (.*)$/s.exec(messageOf(error)) ?? [];
    throw new UsageError(`${path}:${lines} is not CSV: ${why}.`);
  }
}

function rowsOfJson(text: string, path: string): Row[] {
  return text.split(/\r?\n/).flatMap((written, i) => {
    if (written.trim() === '') return [];
    const from = `${path}:${i + 1}`;
    return [{ from, cells: Object.entries(objectIn(written, from)) }];
  });
}

function objectIn(text: string, from: string): object {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new UsageError(`${from} ${messageOf(error).replace('line 1, ', '')}.`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UsageError(
    `${from} has to be an object, such as {"picture": "a.png"}, but is ${quoted(value)}.`,
  );
}
