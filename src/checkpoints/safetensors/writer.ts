/** Writes safetensors files, byte for byte as the Python library (0.8) does. */
import { type FileHandle, open } from 'node:fs/promises';
import { writeAtomically } from '../../files/atomic.ts';
import { CheckpointError, causeOf, quoted } from '../errors.ts';
import { type Dtype, dtypeBits, floatDtypes, tensorBytes } from './dtypes.ts';
import { toBF16, toF16 } from './halfFloat.ts';
import { buildHeader } from './header.ts';

/**
 * Float values, which are converted to the tensor's type, or its bytes as they shall be stored
 * (little-endian).
 */
export type TensorData = Float32Array | Uint8Array;

/** One tensor for `writeSafetensors`. */
export interface TensorToWrite {
  /** The element type to store. */
  dtype: Dtype;
  /** In PyTorch's axis order, as the data. */
  shape: number[];
  /**
   * A function is called when its tensor's turn comes, so that only one tensor is in memory at a
   * time.
   */
  data: TensorData | (() => TensorData | Promise<TensorData>);
}

/**
 * Writes a safetensors file that appears under `path` only when it is complete. PyTorch's libraries
 * look for the metadata `{ format: 'pt' }`.
 * @throws CheckpointError if the data of a tensor does not fill its shape or the file cannot be
 * written.
 */
export async function writeSafetensors(
  path: string,
  tensors: Record<string, TensorToWrite>,
  metadata?: Record<string, string>,
): Promise<void> {
  const { header, entries } = layOut(tensors, path, metadata);
  const write = async (temporary: string) => {
    const file = await open(temporary, 'wx');
    try {
      await writeAll(file, header, 0);
      let position = header.length;
      for (const { bytes, encoded } of entries) {
        await writeAll(file, await encoded(), position);
        position += bytes;
      }
    } finally {
      await file.close();
    }
  };
  await writeAtomically(path, write).catch((error: Error) => {
    const { cause } = error; // of the file system, if there is one
    const refused =
      cause instanceof Error && 'syscall' in cause && !(error instanceof CheckpointError);
    throw refused
      ? new CheckpointError(`Cannot write ${path}: ${causeOf(cause)}.`, { cause })
      : error;
  });
}

/**
 * The header of a file at `path` with these tensors, and then, in their order, the tensors with
 * their sizes and what makes their bytes.
 */
export function layOut(
  tensors: Record<string, TensorToWrite>,
  path: string,
  metadata?: Record<string, string>,
): {
  header: Uint8Array;
  entries: { name: string; bytes: number; encoded: () => Promise<Uint8Array> }[];
} {
  const entries = inFileOrder(tensors).map(([name, tensor]) => ({
    name,
    tensor,
    bytes: sizeOf(name, tensor, path),
  }));
  const header = buildHeader(
    entries.map(({ name, tensor: { dtype, shape }, bytes }) => [name, { dtype, shape, bytes }]),
    metadata,
  );
  const encoded = async ({ name, tensor, bytes }: (typeof entries)[number]) => {
    const result = encode(
      typeof tensor.data === 'function' ? await tensor.data() : tensor.data,
      name,
      tensor,
      path,
    );
    if (result.length === bytes) return result;
    const needed = `its type ${tensor.dtype} and shape [${tensor.shape}] need ${bytes}`;
    throw new CheckpointError(
      `Cannot write ${path}: ${quoted(name)} has ${result.length} bytes, but ${needed}.`,
    );
  };
  return {
    header,
    entries: entries.map((entry) => ({
      name: entry.name,
      bytes: entry.bytes,
      encoded: () => encoded(entry),
    })),
  };
}

/** Wide types first, so that all tensors are aligned, then by the bytes of the name. */
function inFileOrder(tensors: Record<string, TensorToWrite>): [string, TensorToWrite][] {
  const ranks = Object.keys(dtypeBits);
  const rank = (tensor: TensorToWrite) => ranks.indexOf(tensor.dtype);
  return Object.entries(tensors).sort(
    ([a, x], [b, y]) => rank(y) - rank(x) || Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
}

function sizeOf(name: string, { dtype, shape }: TensorToWrite, path: string): number {
  const bytes = tensorBytes(dtype, shape);
  if (bytes === undefined)
    throw new CheckpointError(
      `Cannot write ${path}: ${quoted(name)} has the impossible shape [${shape}].`,
    );
  return bytes;
}

function encode(
  data: TensorData,
  name: string,
  { dtype }: TensorToWrite,
  path: string,
): Uint8Array {
  if (data instanceof Uint8Array) return data;
  switch (dtype) {
    case 'F32':
      return bytesOf(data);
    case 'F16':
      return bytesOf(toF16(data));
    case 'BF16':
      return bytesOf(toBF16(data));
    case 'F64':
      return bytesOf(Float64Array.from(data));
    default:
      throw new CheckpointError(
        `Cannot write ${path}: ${quoted(name)} has float values, but its type ${dtype} is none of ${floatDtypes.join(', ')}.`,
      );
  }
}

function bytesOf(values: Float32Array | Float64Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** One system call writes at most 2^31 - 1 bytes. */
const MOST_BYTES_AT_ONCE = 2 ** 30;

/** Writes all bytes at a position of a file. */
export async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (
      await file.write(
        bytes,
        done,
        Math.min(bytes.length - done, MOST_BYTES_AT_ONCE),
        position + done,
      )
    ).bytesWritten;
  }
}
