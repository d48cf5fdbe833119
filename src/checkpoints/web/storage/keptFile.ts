/**
 * A file behind a URL that is kept in a store, whole or as far as it has come: in parts of one
 * size, the last one as long as it is, and a record that tells what they are.
 */
import { CheckpointError } from '../../errors.ts';
import { isSame, type Version } from '../version.ts';
import { unlessRefused, type WebStore } from './store.ts';

/**
 * Bytes of a part. A download holds one part in memory, and loses at most the last second of it
 * when its tab is closed.
 */
export const PART_BYTES = 2 ** 22;

/** What is known of a kept file. */
interface FileRecord extends Version {
  /** Begins the names of its parts: no other file, and no other version, has this one. */
  id: string;
  /** Bytes that have come. */
  came: number;
  /** SHA-256 of each part. */
  hashes: string[];
  /** SHA-256 of the whole file, once all of it has come. */
  sha256?: string;
}

/** A file behind a URL, as its server or the store tells. */
export interface FileToKeep {
  url: string;
  version: Version;
  /** SHA-256 of the whole file, if the server tells it. */
  sha256?: string;
  /** Whether its server cannot be asked: what is kept is taken. */
  isAway?: boolean;
}

/** A store has refused to keep what came. */
export class StoreError extends Error {
  /** Tells it from other errors. */
  override name = 'StoreError';

  /** Whether there is no room left. */
  get isFull(): boolean {
    const { name, message } = Object(this.cause);
    return /Quota|NO_DEVICE_SPACE/.test(`${name} ${message}`);
  }
}

/** A hash as it is written. */
export const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The SHA-256 of bytes in memory. */
export const digest = async (bytes: BufferSource) =>
  hexOf(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));

const recordName = async (url: string) =>
  `${(await digest(new TextEncoder().encode(url))).slice(0, 32)}.json`;

/** A kept file. It is read like any other once it `isWhole`. */
export class KeptFile {
  readonly url: string;
  private readonly store: WebStore;
  private readonly record: FileRecord;
  private readonly parts = new Map<number, Promise<Blob | undefined>>();

  private constructor(store: WebStore, url: string, record: FileRecord) {
    this.store = store;
    this.url = url;
    this.record = record;
  }

  /** What is kept of the file at `url`. */
  static async find(store: WebStore, url: string): Promise<KeptFile | undefined> {
    const text = await (await store.read(await recordName(url)))?.text();
    if (text === undefined) return undefined;
    try {
      const record: FileRecord = JSON.parse(text);
      const isRecord = typeof record.id === 'string' && Array.isArray(record.hashes);
      return isRecord ? new KeptFile(store, url, record) : undefined;
    } catch {
      return undefined; // it was written by halves
    }
  }

  /** Begins to keep the file at `url`, instead of what is kept of it. */
  static async begin(store: WebStore, url: string, version: Version): Promise<KeptFile> {
    await unlessRefused(async () => (await KeptFile.find(store, url))?.remove());
    const record = { ...version, id: crypto.randomUUID(), came: 0, hashes: [] };
    return new KeptFile(store, url, record);
  }

  get version(): Version {
    return this.record;
  }

  /** Bytes that have come. */
  get came(): number {
    return this.record.came;
  }

  /** The bytes of the file, if that is whole or its server has told. */
  get size(): number {
    return this.record.size ?? this.record.came;
  }

  get sha256(): string | undefined {
    return this.record.sha256;
  }

  get isWhole(): boolean {
    return this.record.sha256 !== undefined;
  }

  /** Whether this is, as far as it has come, the file that the server has. */
  isOf({ version, sha256, isAway }: Pick<FileToKeep, 'version' | 'sha256' | 'isAway'>): boolean {
    if (isAway) return true;
    if (this.sha256 !== undefined && sha256 !== undefined) return this.sha256 === sha256;
    return isSame(this.record, version) === true;
  }

  /**
   * Reads all parts. If one is not as it came, what is before it is all that is kept.
   * @param take Takes each part.
   */
  async readParts(take: (bytes: Uint8Array<ArrayBuffer>) => void): Promise<void> {
    const { record } = this;
    for (const [i, hash] of record.hashes.entries()) {
      const length = Math.min(PART_BYTES, record.came - i * PART_BYTES);
      // A tab that was closed may have written more of the part than it could record.
      const bytes = await this.part(i)
        .then((part) => part?.slice(0, length).arrayBuffer())
        .catch(() => undefined);
      if (bytes?.byteLength === length && (await digest(bytes)) === hash) {
        take(new Uint8Array(bytes));
        continue;
      }
      record.hashes = record.hashes.slice(0, i);
      record.came = i * PART_BYTES;
      record.sha256 = undefined;
      this.parts.clear();
      return;
    }
  }

  /** Whether all of it has come and is as it came. Reads it. */
  async isIntact(onBytes?: (done: number) => void, signal?: AbortSignal): Promise<boolean> {
    let done = 0;
    await this.readParts(({ length }) => {
      signal?.throwIfAborted();
      done += length;
      onBytes?.(done);
    });
    return this.isWhole;
  }

  /**
   * Keeps the part that begins at `position`, which may be there as far as it had come.
   * @throws StoreError.
   */
  async keepPart(position: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const i = position / PART_BYTES;
    const hash = await digest(bytes);
    await this.written(async () => {
      await this.store.write(`${this.record.id}.${i}`, bytes);
      this.record.hashes[i] = hash;
      this.record.came = position + bytes.length;
      await this.writeRecord();
    });
    this.parts.delete(i);
  }

  /** All has come. @throws StoreError. */
  async finish(sha256: string): Promise<void> {
    this.record.size = this.record.came;
    this.record.sha256 = sha256;
    await this.written(() => this.writeRecord());
  }

  async remove(): Promise<void> {
    await this.store.remove(await recordName(this.url));
    // A part may have come that the record does not know of yet.
    for (let i = 0; i <= this.record.hashes.length; i++)
      await this.store.remove(`${this.record.id}.${i}`);
  }

  /** Fills `target` with the bytes from `position` on. @throws CheckpointError if they are gone. */
  async read(target: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < target.length) {
      const from = (position + done) % PART_BYTES;
      const part = await this.part(Math.floor((position + done) / PART_BYTES))
        .then((blob) => blob?.slice(from, from + target.length - done).arrayBuffer())
        .catch(() => undefined);
      if (!part?.byteLength)
        throw new CheckpointError(
          `${this.url} is no longer in the storage of this browser. Load the model again.`,
        );
      target.set(new Uint8Array(part), done);
      done += part.byteLength;
    }
  }

  private part(i: number): Promise<Blob | undefined> {
    let part = this.parts.get(i);
    if (part === undefined) {
      part = this.store.read(`${this.record.id}.${i}`);
      this.parts.set(i, part);
    }
    return part;
  }

  private async writeRecord(): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(this.record));
    await this.store.write(await recordName(this.url), bytes);
  }

  private async written(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (cause) {
      throw new StoreError(`${this.url} cannot be kept.`, { cause });
    }
  }
}
