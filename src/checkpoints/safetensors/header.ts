/**
 * The header of a safetensors file, read and written without touching files (format: the
 * safetensors README; limits: `tensor.rs`).
 */

import { describeFirstBytes } from '../../files/firstBytes.ts';
import { CheckpointError, quoted } from '../errors.ts';
import type { TensorInfo } from '../weights/source.ts';
import { dtypeBits, isDtype, tensorBytes } from './dtypes.ts';

/** Bytes of the length field that a file starts with. */
export const LENGTH_BYTES = 8;
/** The longest header allowed, as in the Python library. */
const MAX_HEADER_BYTES = 100_000_000;
/** `{`, which a header starts with. */
const OPENING_BRACE = 0x7b;

/** A tensor and where it starts, in bytes from the start of the file. */
export interface TensorEntry extends TensorInfo {
  position: number;
}

export interface SafetensorsHeader {
  /** In file order. */
  tensors: Map<string, TensorEntry>;
  metadata: Record<string, string>;
}

/**
 * The header's length in bytes, from a file's first bytes: `TELLING_BYTES`, or all if it has fewer.
 * @throws CheckpointError that says what the file is instead, or if a header of that length does
 * not fit into the file of `fileBytes`, or is too long.
 */
export function headerBytes(start: Uint8Array, fileBytes: number, file: string): number {
  const length =
    start.length < LENGTH_BYTES
      ? undefined
      : new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  const isPossible = length !== undefined && length <= MAX_HEADER_BYTES;
  if (!isPossible || start[LENGTH_BYTES] !== OPENING_BRACE) {
    const instead = describeFirstBytes(start);
    if (instead !== undefined) throw new CheckpointError(`${file} ${instead}.`);
  }
  if (length === undefined)
    throw new CheckpointError(`${file} is not a safetensors file: it has only ${fileBytes} bytes.`);
  if (!isPossible) {
    const limit = `more than the ${MAX_HEADER_BYTES} allowed`;
    throw new CheckpointError(
      `${file} is not a safetensors file: its first 8 bytes announce a header of ${length} ` +
        `bytes, ${limit}.`,
    );
  }
  const missing = LENGTH_BYTES + Number(length) - fileBytes;
  if (missing > 0) {
    throw new CheckpointError(
      `${file} is truncated: ${missing} bytes of its header of ${length} bytes are missing. ` +
        'Copy or download it again.',
    );
  }
  return Number(length);
}

/**
 * Reads a header and checks everything that it claims: each tensor's type, shape and range, that
 * the ranges neither overlap nor leave holes, and that they end where the file ends. Tensors may
 * lie at any byte, because old writers did not align them.
 * @throws CheckpointError with the first thing that is wrong.
 */
export function parseHeader(
  header: Uint8Array,
  fileBytes: number,
  file: string,
): SafetensorsHeader {
  const fail = (what: string, cause?: unknown) =>
    new CheckpointError(`${file} is not a valid safetensors file: ${what}.`, { cause });
  const fields = parseJson(header, fail);
  const dataStart = LENGTH_BYTES + header.length;
  let metadata: Record<string, string> = {};
  const entries: [string, TensorEntry][] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (name === '__metadata__') metadata = checkMetadata(value, fail);
    else entries.push([name, checkEntry(name, value, dataStart, fail)]);
  }
  // Of tensors that start at the same place, empty ones come first.
  entries.sort(([, a], [, b]) => a.position - b.position || a.bytes - b.bytes);
  checkRanges(entries, dataStart, fileBytes, file, fail);
  return { tensors: new Map(entries), metadata };
}

type Fail = (what: string, cause?: unknown) => CheckpointError;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseJson(header: Uint8Array, fail: Fail): Record<string, unknown> {
  if (header[0] !== OPENING_BRACE) throw fail("its header does not start with '{'");
  let text: string;
  let fields: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(header);
    fields = JSON.parse(text);
  } catch (error) {
    throw fail('its header is not JSON', error);
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) throw fail(`its header has the key ${quoted(twice)} twice`);
  if (!isObject(fields)) throw fail('its header is not a JSON object');
  return fields;
}

/**
 * The first key that stands twice in an object of `json`, which must be valid. `JSON.parse` keeps
 * the last one without a word.
 */
function duplicateKey(json: string): string | undefined {
  // the keys of each open object; undefined for an array
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < json.length; i++) {
    const char = json[i];
    if (char === '{') open.push(new Set());
    else if (char === '[') open.push(undefined);
    else if (char === '}' || char === ']') open.pop();
    else if (char === '"') {
      const start = i;
      i++;
      while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
      let next = i + 1;
      while (' \t\n\r'.includes(json[next])) next++;
      if (json[next] !== ':') continue;
      const key: string = JSON.parse(json.slice(start, i + 1));
      const keys = open[open.length - 1];
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

function checkMetadata(value: unknown, fail: Fail): Record<string, string> {
  if (!isObject(value)) throw fail('`__metadata__` is not an object');
  const wrong = Object.keys(value).find((key) => typeof value[key] !== 'string');
  if (wrong !== undefined)
    throw fail(`the value of ${quoted(wrong)} in \`__metadata__\` is not a string`);
  return value as Record<string, string>;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkEntry(name: string, value: unknown, dataStart: number, fail: Fail): TensorEntry {
  if (!isObject(value)) throw fail(`the entry of ${quoted(name)} is not an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype))
    throw fail(
      `${quoted(name)} has the type ${quoted(dtype)}, which is not one of ` +
        `${Object.keys(dtypeBits).join(', ')}`,
    );
  if (!Array.isArray(shape) || !shape.every(isSize))
    throw fail(`${quoted(name)} has the shape ${quoted(shape)}, which is not a list of sizes`);
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every(isSize) ||
    offsets[0] > offsets[1]
  ) {
    throw fail(
      `${quoted(name)} has the range ${quoted(offsets)}, which is not a pair of ascending ` +
        'byte offsets',
    );
  }
  const bytes = offsets[1] - offsets[0];
  const expected = tensorBytes(dtype, shape);
  if (bytes !== expected) {
    throw fail(
      `${quoted(name)} takes ${bytes} bytes, but its type ${dtype} and shape ${quoted(shape)} ` +
        `need ${expected ?? 'an impossible number of'}`,
    );
  }
  return { dtype, shape, bytes, position: dataStart + offsets[0] };
}

function checkRanges(
  entries: [string, TensorEntry][],
  dataStart: number,
  fileBytes: number,
  file: string,
  fail: Fail,
): void {
  let end = dataStart;
  let before = '';
  for (const [name, { position, bytes }] of entries) {
    if (position < end) throw fail(`${quoted(name)} overlaps ${quoted(before)}`);
    if (position > end)
      throw fail(`${position - end} bytes before ${quoted(name)} belong to no tensor`);
    end = position + bytes;
    before = name;
  }
  if (end > fileBytes) {
    const missing = `${end - fileBytes} of the ${end} bytes that its header describes are missing`;
    throw new CheckpointError(`${file} is truncated: ${missing}. Copy or download it again.`);
  }
  if (end < fileBytes)
    throw fail(`${fileBytes - end} bytes after its last tensor belong to no tensor`);
}

/**
 * The length field and header of a file that holds `tensors` in the given order, as the Python
 * library writes it: padded with spaces so that the data starts at a multiple of 8 bytes.
 */
export function buildHeader(
  tensors: Iterable<[string, TensorInfo]>,
  metadata?: Record<string, string>,
): Uint8Array {
  const fields: [string, unknown][] = metadata === undefined ? [] : [['__metadata__', metadata]];
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    fields.push([name, { dtype, shape, data_offsets: [end, end + bytes] }]);
    end += bytes;
  }
  // Built by hand because an object would put keys like '0' first.
  const json = new TextEncoder().encode(
    `{${fields.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`,
  );
  const length = Math.ceil(json.length / 8) * 8;
  const result = new Uint8Array(LENGTH_BYTES + length).fill(0x20);
  new DataView(result.buffer).setBigUint64(0, BigInt(length), true);
  result.set(json, LENGTH_BYTES);
  return result;
}
