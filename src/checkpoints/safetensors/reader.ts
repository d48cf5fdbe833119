/**
 * Reads tensors of a safetensors file one by one, through whatever can read bytes at a position.
 */

import { TELLING_BYTES } from '../../files/firstBytes.ts';
import { checkArgument } from '../../text/options.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { unknownTensor, type WeightSource } from '../weights/source.ts';
import { floatTypes, readableDtypes } from './dtypes.ts';
import { headerBytes, LENGTH_BYTES, parseHeader } from './header.ts';

/** Bytes that can be read at any position: a file, a blob, memory. */
export interface ByteReader {
  /** Names the bytes in messages. */
  readonly label: string;
  /** How many there are. */
  readonly size: number;
  /** Fills `target` with the bytes from `position` on. */
  read(target: Uint8Array, position: number): Promise<void>;
  /** Frees what is behind it, such as an open file. */
  close(): Promise<void>;
}

/** An open safetensors file. */
export interface SafetensorsFile extends WeightSource {
  /** The file's `__metadata__`, empty if it has none. */
  readonly metadata: Record<string, string>;
  /** The tensor's bytes as stored (little-endian), in a new array. Works for every type. */
  readRaw(name: string): Promise<Uint8Array>;
  /**
   * Fills `target` with the tensor's bytes as stored, from the byte `start` of the tensor on. Works
   * for every type.
   */
  readBytes(name: string, target: Uint8Array, start?: number): Promise<void>;
}

/**
 * Reads and checks the header behind `bytes`; tensors are read when asked for. Values of
 * other float types become float32.
 * @throws CheckpointError if it is not a valid safetensors file.
 */
export async function readSafetensors(bytes: ByteReader): Promise<SafetensorsFile> {
  checkArgument('readSafetensors', bytes, {
    is: 'what reads bytes, such as `memoryBytes(data)`,',
    test: (value) => typeof Object(value).read === 'function',
  });
  const start = new Uint8Array(Math.min(TELLING_BYTES, bytes.size));
  await bytes.read(start, 0);
  const header = new Uint8Array(headerBytes(start, bytes.size, bytes.label));
  await bytes.read(header, LENGTH_BYTES);
  const { tensors, metadata } = parseHeader(header, bytes.size, bytes.label);
  const entry = (name: string) => tensors.get(name) ?? unknownTensor(name, bytes.label);

  async function readBytes(name: string, target: Uint8Array, start = 0): Promise<void> {
    const { position } = entry(name);
    try {
      await bytes.read(target, position + start);
    } catch (error) {
      throw new CheckpointError(
        `Cannot read the tensor ${quoted(name)}. ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  async function readRaw(name: string): Promise<Uint8Array> {
    const raw = new Uint8Array(entry(name).bytes);
    await readBytes(name, raw);
    return raw;
  }

  async function read(name: string): Promise<Float32Array> {
    const { dtype, shape, bytes: length } = entry(name);
    if (dtype === 'F64') return Float32Array.from(new Float64Array((await readRaw(name)).buffer));
    const { [dtype]: type } = floatTypes;
    if (type === undefined) {
      throw new CheckpointError(
        `${bytes.label}: ${quoted(name)} is of type ${dtype} and not of ${readableDtypes}. Read ` +
          'its bytes by `readRaw`.',
      );
    }
    const values = new Float32Array(shape.reduce((product, axis) => product * axis, 1));
    await readBytes(name, new Uint8Array(values.buffer, values.byteLength - length));
    type.widen?.(values);
    return values;
  }

  return {
    metadata,
    names: () => [...tensors.keys()],
    info(name) {
      const { dtype, shape, bytes: length } = entry(name);
      return { dtype, shape: [...shape], bytes: length };
    },
    read,
    readRaw,
    readBytes,
    close: () => bytes.close(),
  };
}

/** A reader of bytes in memory, such as a fetched file in a browser. */
export function memoryBytes(data: Uint8Array, label = 'memory'): ByteReader {
  checkArgument('memoryBytes', data, {
    is: 'a Uint8Array',
    test: (value) => value instanceof Uint8Array,
  });
  return {
    label,
    size: data.length,
    read: async (target, position) => target.set(data.subarray(position, position + target.length)),
    close: async () => {},
  };
}
