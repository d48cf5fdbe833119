/** JSON files of checkpoints, from the disk, the web and the hub alike. */
import { describeFirstBytes } from '../../files/firstBytes.ts';
import { parseJson } from '../../text/json.ts';
import { messageOf } from '../../text/messages.ts';
import { CheckpointError } from '../errors.ts';
import type { ByteReader } from '../safetensors/reader.ts';

/** The content of a JSON file: keys and their values. */
export type Json = Record<string, unknown>;

/** A config, and the file that it is from. */
export interface ConfigFile {
  /** Its path or address. */
  file: string;
  /** Its content. */
  config: Json;
}

/** The largest JSON file that is read. Configs have some kB, manifests of weights some MB. */
const MOST_BYTES = 2 ** 26;

/**
 * Reads a file that holds one JSON object, and closes it.
 * @throws CheckpointError if it holds something else, or is too large.
 */
export async function jsonOf(file: ByteReader): Promise<Json> {
  try {
    if (file.size > MOST_BYTES)
      throw new CheckpointError(
        `${file.label} has ${file.size} bytes, more than the ${MOST_BYTES} of any JSON file of a ` +
          'model. Copy or download the right one.',
      );
    const bytes = new Uint8Array(file.size);
    await file.read(bytes, 0);
    const instead = describeFirstBytes(bytes, 'JSON');
    if (instead !== undefined) throw new CheckpointError(`${file.label} ${instead}.`);
    const value = jsonValue(decoded(bytes, file.label), file.label);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new CheckpointError(`${file.label} has to hold a JSON object. ${AGAIN}`);
    return value as Json;
  } finally {
    await file.close();
  }
}

const AGAIN = 'Correct it, or copy or download it again.';

/** The value of JSON in a file. @throws CheckpointError if it is not JSON. */
export function jsonValue(text: string, file: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    throw new CheckpointError(`${file} ${messageOf(error)}. ${AGAIN}`, { cause: error });
  }
}

/** Text in UTF-8, or in UTF-16 as some editors write it; a byte order mark is left out. */
function decoded(bytes: Uint8Array, file: string): string {
  const [first, second] = bytes;
  const isLittle = second === 0 || (first === 0xff && second === 0xfe);
  const isBig = first === 0 || (first === 0xfe && second === 0xff);
  const encoding = isBig ? 'utf-16be' : isLittle ? 'utf-16le' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (error) {
    throw new CheckpointError(`${file} is not text in UTF-8. ${AGAIN}`, { cause: error });
  }
}
