/** Reads the bytes of a picture from everything that people have it in. */
import { constants, openSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { resolve } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import { localPath } from '../../files/localPath.ts';
import { fetchPicture } from '../../network/fetchPicture.ts';
import { shownAddress } from '../../text/addresses.ts';

/** A path, an address, or the bytes of a picture file. */
export type PictureSource =
  | string
  | URL
  | ArrayBuffer
  | SharedArrayBuffer
  | ArrayBufferView
  | Blob
  | AsyncIterable<Uint8Array>
  | ReadableStream<Uint8Array>;

/** Bytes that a picture may have. */
const MAX_BYTES = 2 ** 30;

/** The words for a picture in messages. */
export function describe(source: PictureSource): string {
  if (typeof source === 'string' || source instanceof URL) {
    const text = shownAddress(String(source));
    return `"${text.length > 200 ? `${text.slice(0, 200)}...` : text}"`;
  }
  if (isBuffer(source)) return `in the given ${source.byteLength} bytes`;
  if (!(source instanceof Blob)) return 'in the given stream';
  return 'name' in source ? `"${source.name}"` : `in the given ${source.size} bytes`;
}

/**
 * Reads a picture file whole.
 * @throws Error When the source is missing, unreadable, or of another type.
 */
export async function readSource(source: PictureSource, name: string): Promise<Uint8Array> {
  if (typeof source === 'string' || source instanceof URL) {
    const address = String(source);
    if (/^(https?|data):/i.test(address)) return fetchPicture(address);
    if (/^(?!file:)[a-z][a-z\d+.-]+:\/\/|^blob:/i.test(address))
      throw new Error(`${name} is an address that is not read. Download it and pass its path.`);
    return readPath(localPath(address), name);
  }
  if (ArrayBuffer.isView(source))
    return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (isBuffer(source)) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if (source && typeof source === 'object' && Symbol.asyncIterator in source)
    return readStream(source as AsyncIterable<unknown>);
  const given = source === null || typeof source !== 'object' ? String(source) : 'this object';
  throw new Error(
    `loadImage does not take ${given}. Pass a path, an address, or a picture file as an ` +
      'ArrayBuffer, a typed array, a Blob, a File or a stream.',
  );
}

const isBuffer = (source: unknown): source is ArrayBufferLike | ArrayBufferView =>
  source instanceof ArrayBuffer ||
  source instanceof SharedArrayBuffer ||
  ArrayBuffer.isView(source);

async function readStream(stream: AsyncIterable<unknown>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array))
      throw new Error(
        `The stream of the picture has ${typeof chunk} chunks. Pass a stream of bytes, without ` +
          'an encoding.',
      );
    chunks.push(chunk);
    length += chunk.length;
    checkLength(length);
  }
  return Buffer.concat(chunks);
}

function checkLength(length: number): void {
  if (length > MAX_BYTES)
    throw new Error('The file of the picture has more than 1 GiB. Pass one picture.');
}

/**
 * What is written into a pipe. Neither opening nor reading waits in the system, which no signal
 * stops.
 */
function readPipe(path: string): Promise<Uint8Array> {
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  return readStream(new Socket({ fd, readable: true, writable: false }));
}

async function readPath(path: string, name: string): Promise<Uint8Array> {
  try {
    const found = await existingPath(path);
    const status = await stat(found);
    if (status.isFIFO()) return await readPipe(found);
    if (!status.isFile() && !status.isDirectory())
      throw new Error(`${name} is a device, not a picture. Pass the path of one picture.`);
    checkLength(status.size);
    return await readFile(found);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (code === 'ENOENT')
      throw new Error(`There is no picture ${name} (looked at ${resolve(path)}). Check the path.`, {
        cause: error,
      });
    if (code === 'EISDIR')
      throw new Error(`${name} is a folder, not a picture. Pass the path of one picture.`, {
        cause: error,
      });
    const check = code === 'EACCES' || code === 'EPERM' ? 'its permissions' : 'the path';
    throw new Error(`The picture ${name} cannot be read (${code}). Check ${check}.`, {
      cause: error,
    });
  }
}
