/** Downloads a file into a store, and goes on where an earlier download of it has ended. */
import type { sha256 } from '@noble/hashes/sha2.js';
import { formatShare } from '../../../text/bytes.ts';
import { CheckpointError } from '../../errors.ts';
import { CutOffError, receive, refusePage, whileMoreComes } from '../receive.ts';
import { isSame, versionOf } from '../version.ts';
import { type FileToKeep, hexOf, KeptFile, PART_BYTES, StoreError } from './keptFile.ts';
import { unlessRefused, type WebStore } from './store.ts';

/** What has come of a part is kept this often, in milliseconds. */
const SAVED_EACH = 1000;

/** How to download it. */
export interface KeepOptions {
  /** Called with the bytes that are there, and those of the whole file if the server tells. */
  onBytes?: (done: number, total?: number) => void;
  signal?: AbortSignal;
  /** Before each further try, in milliseconds. */
  pauses?: readonly number[];
}

/**
 * Downloads what is missing of a file. Other tabs that want the same file wait meanwhile.
 * @throws CheckpointError if the server cannot be reached or refuses, the file has another hash
 * twice, or the storage is full: what has come stays; StoreError if nothing can be kept.
 */
export function keepFile(
  store: WebStore,
  file: FileToKeep,
  options: KeepOptions = {},
): Promise<KeptFile> {
  const work = () => keepRight(store, file, options);
  const { locks } = Object(globalThis.navigator) as Partial<Navigator>;
  return locks ? locks.request(`keep ${file.url}`, { signal: options.signal }, work) : work();
}

/** Downloads it once more if its hash is wrong. */
async function keepRight(
  store: WebStore,
  file: FileToKeep,
  options: KeepOptions,
): Promise<KeptFile> {
  const { url, sha256: expected } = file;
  for (let wrong = 0; ; wrong++) {
    const before = await unlessRefused(() => KeptFile.find(store, url));
    const kept = before?.isOf(file) ? before : undefined;
    const onBytes = (done: number) => options.onBytes?.(done, kept?.size);
    if (kept?.isWhole && (await kept.isIntact(onBytes, options.signal))) return kept;
    const fresh = await new FileDownload(store, file, options, kept).run();
    if (expected === undefined || fresh.sha256 === expected) return fresh;
    await fresh.remove();
    if (wrong === 1)
      throw new CheckpointError(
        `${url} has come with wrong bytes twice (its hash is ${fresh.sha256} instead of ` +
          `${expected}). Try again later or over another network.`,
      );
  }
}

/** The server has sent another version than the one that is kept the beginning of. */
class OtherVersion extends Error {}

/** One download, in as many requests as it needs. */
class FileDownload {
  private readonly store: WebStore;
  private readonly source: FileToKeep;
  private readonly options: KeepOptions;
  private kept?: KeptFile;
  private hash!: ReturnType<typeof sha256.create>;
  /** The part that is coming. */
  private readonly part = new Uint8Array(PART_BYTES);
  private filled = 0;
  /** Bytes that have come, those of `part` too. */
  private done = 0;
  private saved = { bytes: 0, time: 0 };
  private saving: Promise<void> = Promise.resolve();
  private isTaking = false;

  constructor(store: WebStore, source: FileToKeep, options: KeepOptions, kept?: KeptFile) {
    this.store = store;
    this.source = source;
    this.options = options;
    this.kept = kept;
  }

  async run(): Promise<KeptFile> {
    const { sha256 } = await import('@noble/hashes/sha2.js');
    const begin = async () => {
      this.hash = sha256.create();
      [this.done, this.filled, this.saved] = [0, 0, { bytes: 0, time: Date.now() }];
      await this.kept?.readParts((bytes) => this.takeUp(bytes));
      this.saved.bytes = this.done;
    };
    await begin();
    for (let changes = 0; ; changes++) {
      try {
        const { signal, pauses } = this.options;
        await whileMoreComes(() => this.rest(), { came: () => this.done, signal, pauses });
        await this.kept!.finish(hexOf(this.hash.digest()));
        return this.kept!;
      } catch (error) {
        if (!(error instanceof OtherVersion)) throw this.explained(error);
        if (changes === 2)
          throw new CheckpointError(
            `The download of ${this.source.url} was cut off or the file has changed on the ` +
              'server, again and again. Try again later.',
          );
        this.kept = undefined;
        await begin();
      }
    }
  }

  /** Takes up a part that was there before. */
  private takeUp(bytes: Uint8Array): void {
    this.hash.update(bytes);
    this.done += bytes.length;
    this.filled = bytes.length % PART_BYTES;
    if (this.filled > 0) this.part.set(bytes);
  }

  /** Asks for what has not come yet. */
  private async rest(): Promise<void> {
    const { url } = this.source;
    const { signal } = this.options;
    const from = this.done;
    if (from > 0 && from === this.kept?.version.size) return;
    const headers = from > 0 ? { Range: `bytes=${from}-`, ...this.condition() } : undefined;
    let isFirst = true;
    // Nothing may come for a while, and the tab may be closed then.
    const timer = setInterval(() => {
      if (this.isTaking || !this.kept) return;
      this.saving = this.saving.then(() => this.save()).catch(() => {});
    }, SAVED_EACH);
    try {
      await receive(url, { headers, signal }, async (bytes, response) => {
        this.isTaking = true;
        await this.saving;
        if (isFirst) await this.start(bytes, response, from);
        isFirst = false;
        await this.take(bytes);
        this.isTaking = false;
        this.options.onBytes?.(this.done, this.kept!.version.size);
        return true;
      });
    } catch (error) {
      // What came before it was cut off stays.
      await this.saving;
      if (!(error instanceof StoreError)) await this.save().catch(() => {});
      throw error;
    } finally {
      clearInterval(timer);
      this.isTaking = false;
    }
    await this.saving;
    if (isFirst && from === 0) this.kept = await KeptFile.begin(this.store, url, { size: 0 });
    await this.save();
    const { size = this.done } = this.kept!.version;
    if (this.done < size)
      throw new CutOffError(
        `The download of ${url} was cut off after ${this.done} bytes. Try again.`,
      );
  }

  /**
   * Makes the server send the whole file if it has changed. Other sites might not allow the header;
   * `start` looks at what they send.
   */
  private condition(): Record<string, string> {
    const { etag, modified } = this.kept!.version;
    const isHere = !globalThis.location || new URL(this.source.url).origin === location.origin;
    const validator = etag?.startsWith('W/') ? modified : (etag ?? modified);
    return isHere && validator ? { 'If-Range': validator } : {};
  }

  /** Looks at the beginning of an answer. */
  private async start(bytes: Uint8Array, response: Response, from: number): Promise<void> {
    const { url } = this.source;
    if (from === 0) {
      refusePage(url, bytes);
      this.kept = await KeptFile.begin(this.store, url, versionOf(response));
      return;
    }
    const range = response.headers.get('content-range') ?? `bytes ${from}-`;
    const goesOn = response.status === 206 && range.startsWith(`bytes ${from}-`);
    if (!goesOn || isSame(this.kept!.version, versionOf(response)) !== true)
      throw new OtherVersion();
  }

  private async take(bytes: Uint8Array): Promise<void> {
    this.hash.update(bytes);
    for (let taken = 0; taken < bytes.length; ) {
      const piece = bytes.subarray(taken, taken + PART_BYTES - this.filled);
      this.part.set(piece, this.filled);
      this.filled += piece.length;
      this.done += piece.length;
      taken += piece.length;
      if (this.filled === PART_BYTES || Date.now() - this.saved.time > SAVED_EACH)
        await this.save();
    }
  }

  /** Keeps the part that is coming as far as it has come. */
  private async save(): Promise<void> {
    if (this.done > this.saved.bytes)
      await this.kept!.keepPart(this.done - this.filled, this.part.slice(0, this.filled));
    this.saved = { bytes: this.done, time: Date.now() };
    if (this.filled === PART_BYTES) this.filled = 0;
  }

  private explained(error: unknown): unknown {
    const { url } = this.source;
    const kept = this.kept?.came ?? 0;
    const share = formatShare(kept, this.kept!.version.size ?? kept);
    if (error instanceof StoreError && error.isFull)
      return new CheckpointError(
        `The storage of this browser is full: ${share} of ${url} have come and stay. Free space ` +
          'on the disk and load the model again, or pass `cache` null to read it from the server ' +
          'each time.',
        { cause: error },
      );
    if (kept === 0 || !(error instanceof CutOffError)) return error;
    return new CheckpointError(`${error.message} The ${share} that have come stay.`, {
      cause: error,
    });
  }
}
