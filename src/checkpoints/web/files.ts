/** The files of a model behind URLs: kept in the browser's storage, or read from their server. */
import { networkLimits } from '../../network/limits.ts';
import { formatFileSize } from '../../text/bytes.ts';
import { type Json, jsonOf } from '../configs/json.ts';
import { type ByteReader, memoryBytes } from '../safetensors/reader.ts';
import { type Content, NoRangesError, readerOf, webRanges } from './ranges.ts';
import { headOf, NoFileError, receive, startOf } from './receive.ts';
import { keepFile } from './storage/keepFile.ts';
import { digest, type FileToKeep, KeptFile, PART_BYTES, StoreError } from './storage/keptFile.ts';
import { roomFor } from './storage/room.ts';
import { openStore, unlessRefused, type WebStore } from './storage/store.ts';
import { hashOf, versionOf } from './version.ts';
import { afterLooks, allOf, checkInMemory, inMemory } from './wholeFile.ts';

/** The name of the store that files are kept in. */
const WEB_CACHE = 'stable-video-diffusion-tfjs';

/** Options of reading from URLs. */
export interface WebOptions {
  /**
   * Name of the folder in the browser's storage, or of its cache, in which files are kept; `null`
   * keeps nothing, so that weights are read from the server whenever they are needed. Default
   * `stable-video-diffusion-tfjs`.
   */
  cache?: string | null;
  /**
   * Called with the bytes of a weight file that are there so far and its size, if the server tells
   * it.
   */
  onBytes?: (url: string, done: number, total: number | undefined) => void;
  /** Stops downloads; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** What there is to download. */
export interface Download {
  /** Bytes of all weights. */
  bytes: number;
  /** Those that this browser keeps already. */
  storedBytes: number;
  /** The weight files whose size the server does not tell: `bytes` is without them. */
  unsizedFiles: number;
  /**
   * Those that its storage has room for besides, as far as it tells; 0 if it keeps nothing. With
   * too little room, weights are read from the server whenever they are needed.
   */
  roomBytes: number;
}

/** Files that are asked for once: what is opened stays the same, whatever the server has later. */
export class WebFiles {
  private readonly options: WebOptions;
  private store: Promise<WebStore | undefined>;
  private readonly found = new Map<string, Promise<FileToKeep | undefined>>();
  private readonly contents = new Map<string, Promise<Content>>();
  /** Keep small files that have been read, once weights are wanted too. */
  private readonly toKeep: (() => Promise<void>)[] = [];

  constructor(options: WebOptions = {}) {
    this.options = options;
    this.store = openStore(options.cache === undefined ? WEB_CACHE : options.cache);
  }

  /**
   * The file at `url`, if there is one: on the server or, if that cannot be reached, in storage.
   * @throws CheckpointError if it cannot be reached and is not kept.
   */
  find(url: string): Promise<FileToKeep | undefined> {
    return remembered(this.found, url, () => this.lookFor(url));
  }

  private async lookFor(url: string): Promise<FileToKeep | undefined> {
    const { signal } = this.options;
    try {
      const head = await receive(url, { method: 'HEAD', signal }, () => false).catch(unlessNoFile);
      // Many servers send their page, with status 200, for every address that they do not know, and
      // some refuse to send the headers alone: only what they send tells then.
      const answer = head && isOfFile(head) ? head : await startOf(url, signal);
      return { url, version: versionOf(answer), sha256: hashOf(answer) };
    } catch (error) {
      signal?.throwIfAborted();
      const kept = await this.kept(url);
      const isAway = !(error instanceof NoFileError) || error.status === undefined;
      if (kept?.isWhole && isAway) return { url, version: kept.version, isAway: true };
      if (error instanceof NoFileError) return undefined;
      throw error;
    }
  }

  /** What is kept of a file. */
  private async kept(url: string): Promise<KeptFile | undefined> {
    const store = await this.store;
    return store && unlessRefused(() => KeptFile.find(store, url));
  }

  /** A JSON object behind a URL. */
  async json(url: string): Promise<Json> {
    const kept = await this.kept(url);
    const old = kept?.isWhole ? await unlessRefused(() => bytesOf(kept)) : undefined;
    if (old && (await this.isCurrent(kept!))) return jsonOf(memoryBytes(old, url));
    const fresh = await inMemory(
      url,
      { signal: this.options.signal },
      networkLimits.mostBytes,
    ).catch((error: unknown) => {
      // A network that wants a login first answers with its page.
      if (!old || !(error instanceof NoFileError)) throw error;
    });
    if (!fresh) return jsonOf(memoryBytes(old!, url));
    const bytes = new Uint8Array(await fresh.content.arrayBuffer());
    const store = await this.store;
    if (store) this.toKeep.push(() => keepBytes(store, url, bytes, fresh.response));
    return jsonOf(memoryBytes(bytes, url));
  }

  private async isCurrent(kept: KeptFile): Promise<boolean> {
    const { signal } = this.options;
    const now = await headOf(kept.url, signal).catch(() => signal?.throwIfAborted());
    return !now || kept.isOf({ version: versionOf(now) });
  }

  /**
   * Opens the file at `url`, for reading at any position: what is kept or, until `fetch` has
   * brought it, parts from the server.
   * @throws NoFileError if there is none; CheckpointError if it cannot be reached.
   */
  async open(url: string): Promise<ByteReader> {
    const content = () => remembered(this.contents, url, () => this.contentOf(url));
    const { size } = await content();
    return readerOf(url, {
      size,
      read: async (target, position) => (await content()).read(target, position),
    });
  }

  private async contentOf(url: string): Promise<Content> {
    const { signal } = this.options;
    const kept = await this.kept(url);
    const file = kept?.isWhole ? await this.find(url) : undefined;
    if (file && kept?.isOf(file) && (await kept.isIntact(undefined, signal))) return kept;
    const told = (await this.find(url))?.version.size;
    const onBytes = (done: number) =>
      this.options.onBytes?.(url, Math.min(done, told ?? done), told ?? done);
    try {
      return await webRanges(url, { signal, onBytes });
    } catch (error) {
      if (!(error instanceof NoRangesError)) throw error;
      return this.wholeOf(url);
    }
  }

  /** A file of a server that sends whole files only. All of it comes when weights are read. */
  private async wholeOf(url: string): Promise<Content> {
    const { version } = (await this.find(url))!;
    const { size = 0 } = version;
    const store = await this.store;
    const isKept = store && size <= (await roomFor(size));
    if (!isKept) checkInMemory(url, size);
    const bring = async () => {
      const kept = isKept ? await this.keep(store, url) : undefined;
      return kept ?? allOf(url, this.options);
    };
    return size > 0 ? afterLooks(url, version, bring, this.options.signal) : bring();
  }

  /** Downloads a file into the store, if that keeps anything. */
  private async keep(store: WebStore, url: string): Promise<KeptFile | undefined> {
    const { onBytes, signal } = this.options;
    const file = (await this.find(url)) ?? { url, version: {} };
    const options = {
      signal,
      onBytes: (done: number, total?: number) => onBytes?.(url, done, total),
    };
    return keepFile(store, file, options).catch((error: unknown) => {
      if (!(error instanceof StoreError)) throw error;
      this.store = Promise.resolve(undefined); // it refuses
      return undefined;
    });
  }

  /**
   * What there is to download of these files.
   * @throws CheckpointError if one cannot be reached.
   */
  async download(urls: string[]): Promise<Download> {
    const download = { bytes: 0, storedBytes: 0, unsizedFiles: 0, roomBytes: 0 };
    const count = async (url: string) => {
      const [file, kept] = [await this.find(url), await this.kept(url)];
      const stored = file && kept?.isOf(file) ? kept : undefined;
      download.storedBytes += stored?.came ?? 0;
      const size = file?.version.size ?? stored?.size;
      if (size === undefined) download.unsizedFiles++;
      download.bytes += size ?? 0;
    };
    await Promise.all(urls.map(count));
    if (await this.store) download.roomBytes = await roomFor(download.bytes - download.storedBytes);
    return download;
  }

  /**
   * Brings files into the browser's storage, if that keeps anything and has room for all of them.
   * Warns if it has not.
   * @throws CheckpointError if the server cannot be reached or refuses, or the storage gets full
   * meanwhile: what has come stays.
   */
  async fetch(urls: string[]): Promise<void> {
    if (!(await this.store)) return;
    // A browser that has no room left works without keeping them.
    for (const keep of this.toKeep.splice(0)) await unlessRefused(keep);
    const { bytes, storedBytes, roomBytes } = await this.download(urls);
    if (bytes - storedBytes > roomBytes) {
      console.warn(
        `The storage of this browser has room for ${formatFileSize(roomBytes)}, but ` +
          `${formatFileSize(bytes - storedBytes)} of the weights are missing: they are read from ` +
          'the server whenever they are needed. Free space on the disk to keep them.',
      );
      this.store = Promise.resolve(undefined);
    }
    for (const url of urls) {
      const store = await this.store;
      const kept = store && (await this.keep(store, url));
      if (kept) this.contents.set(url, Promise.resolve(kept));
    }
  }
}

/** What `work` made for a key before, unless that failed. */
function remembered<T>(
  known: Map<string, Promise<T>>,
  key: string,
  work: () => Promise<T>,
): Promise<T> {
  const before = known.get(key);
  if (before) return before;
  const made = work();
  known.set(key, made);
  made.catch(() => known.delete(key));
  return made;
}

function unlessNoFile(error: unknown): undefined {
  if (!(error instanceof NoFileError)) throw error;
}

/** Whether an answer to HEAD can only be that for a file of weights. */
function isOfFile(head: Response): boolean {
  const { etag, modified, size } = versionOf(head);
  const type = head.headers.get('content-type') ?? undefined;
  const isTold = (type ?? etag ?? modified) !== undefined;
  return size !== undefined && isTold && !type?.includes('html');
}

/** The bytes of a small file, if they are as they came. */
async function bytesOf(kept: KeptFile): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(kept.size);
  let done = 0;
  await kept.readParts((part) => {
    bytes.set(part, done);
    done += part.length;
  });
  return kept.isWhole ? bytes : undefined;
}

/** Keeps a small file. */
async function keepBytes(
  store: WebStore,
  url: string,
  bytes: Uint8Array<ArrayBuffer>,
  response: Response,
): Promise<void> {
  const kept = await KeptFile.begin(store, url, versionOf(response));
  for (let i = 0; i < bytes.length; i += PART_BYTES)
    await kept.keepPart(i, bytes.slice(i, i + PART_BYTES));
  await kept.finish(await digest(bytes));
}
