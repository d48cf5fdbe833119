/** Writes safetensors files, byte for byte as the Python library (0.8) does. */
import { writeAtomically } from '../../files/writing/atomic.ts';
import { type OutputFile, type Piece, writePieces } from '../../files/writing/outputFile.ts';
import { checkValue, type Kind, kinds, text } from '../../text/kinds.ts';
import { CheckpointError, namingRefused, quoted } from '../errors.ts';
import { type Dtype, dtypeBits, floatTypes, tensorBytes, writableDtypes } from './dtypes.ts';
import { buildHeader } from './header.ts';

/**
 * Float values, which are converted to the tensor's type, or its bytes as stored (little-endian).
 */
export type TensorData = Float32Array | Uint8Array;

/** One tensor for `writeSafetensors`. */
export interface TensorToWrite {
  /** The element type to store. */
  dtype: Dtype;
  /** In PyTorch's axis order, as the data. */
  shape: number[];
  /** A function is called when its tensor's turn comes, so that few tensors are in memory. */
  data: TensorData | (() => TensorData | Promise<TensorData>);
  /** Called with what `data` has returned, or its bytes, when they are written. */
  release?(bytes: Uint8Array): void;
}

/**
 * Writes a safetensors file that appears under `path` only when it is complete. PyTorch's libraries
 * look for the metadata `{ format: 'pt' }`.
 * @throws CheckpointError if the data of a tensor does not fill its shape or the file cannot be
 * written.
 * @throws Error if an argument is of another type.
 */
export async function writeSafetensors(
  path: string,
  tensors: Record<string, TensorToWrite>,
  metadata?: Record<string, string>,
): Promise<void> {
  checkArguments(path, tensors, metadata);
  const file = safetensorsFile(path, tensors, metadata);
  await namingRefused(path, () =>
    writeAtomically(path, (temporary) => writePieces(temporary, file)),
  );
}

const dataKind: Kind = {
  is: 'a Float32Array, a Uint8Array or a function that returns one',
  test: (data) =>
    data instanceof Float32Array || data instanceof Uint8Array || typeof data === 'function',
};

function checkArguments(path: unknown, tensors: object, metadata: object = {}): void {
  checkValue('path', path, text);
  checkValue('tensors', tensors, kinds.object);
  checkValue('metadata', metadata, kinds.object);
  for (const [name, value] of Object.entries(metadata)) checkValue(`metadata.${name}`, value, text);
  for (const [name, tensor] of Object.entries(tensors)) {
    checkValue(name, tensor, kinds.object);
    checkValue(`${name}.dtype`, tensor.dtype, { oneOf: Object.keys(dtypeBits) });
    checkValue(`${name}.shape`, tensor.shape, kinds.list);
    checkValue(`${name}.data`, tensor.data, dataKind);
  }
}

/**
 * A safetensors file. Its header is written last, so that metadata which is not known beforehand
 * can be `completed`: it has to take as many bytes.
 */
export function safetensorsFile(
  path: string,
  tensors: Record<string, TensorToWrite>,
  metadata?: Record<string, string>,
  completed?: () => Promise<Record<string, string>>,
): OutputFile {
  const entries = inFileOrder(tensors).map(([name, tensor]) => ({
    name,
    tensor,
    bytes: bytesIn(name, tensor, path),
  }));
  const headerWith = (text?: Record<string, string>) =>
    buildHeader(
      entries.map(({ name, tensor: { dtype, shape }, bytes }) => [name, { dtype, shape, bytes }]),
      text,
    );
  const { length } = headerWith(metadata);
  let position = length;
  const pieces = entries.map(({ name, tensor, bytes }): Piece => {
    position += bytes;
    const make = () => encodedTensor(name, tensor, path);
    return { position: position - bytes, bytes, make, release: tensor.release };
  });
  const makeHeader = async () => headerWith(completed ? await completed() : metadata);
  return { path, pieces: [...pieces, { position: 0, bytes: length, make: makeHeader }] };
}

/** The bytes of a tensor as a file at `path` has them. */
export async function encodedTensor(
  name: string,
  tensor: TensorToWrite,
  path: string,
): Promise<Uint8Array> {
  const { dtype, shape, data } = tensor;
  const encoded = encode(typeof data === 'function' ? await data() : data, name, tensor, path);
  const bytes = bytesIn(name, tensor, path);
  if (encoded.length === bytes) return encoded;
  throw new CheckpointError(
    `Cannot write ${path}: ${quoted(name)} has ${encoded.length} bytes, but its type ${dtype} ` +
      `and shape [${shape}] need ${bytes}.`,
  );
}

/** Wide types first, so that all tensors are aligned, then by the bytes of the name. */
function inFileOrder(tensors: Record<string, TensorToWrite>): [string, TensorToWrite][] {
  const ranks = Object.keys(dtypeBits);
  const rank = (tensor: TensorToWrite) => ranks.indexOf(tensor.dtype);
  return Object.entries(tensors).sort(
    ([a, x], [b, y]) => rank(y) - rank(x) || Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
}

function bytesIn(name: string, { dtype, shape }: TensorToWrite, path: string): number {
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
  const values = floatTypes[dtype]?.encode?.(data);
  if (values) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  throw new CheckpointError(
    `Cannot write ${path}: ${quoted(name)} has float values, but its type ${dtype} is not one ` +
      `of ${writableDtypes}.`,
  );
}
