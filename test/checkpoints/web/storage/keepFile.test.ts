/** Downloads that are cut off, change meanwhile, come with wrong bytes, or have no room. */
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect } from 'chai';
import { type KeepOptions, keepFile } from '../../../../src/checkpoints/web/storage/keepFile.ts';
import {
  type FileToKeep,
  type KeptFile,
  PART_BYTES,
  StoreError,
} from '../../../../src/checkpoints/web/storage/keptFile.ts';
import type { WebStore } from '../../../../src/checkpoints/web/storage/store.ts';
import { type Running, serveWith } from '../../../network/servers.ts';
import { expectError } from '../../files.ts';

/** A store in memory, with room for so many bytes. */
class MemoryStore implements WebStore {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  room = Number.POSITIVE_INFINITY;

  async read(name: string): Promise<Blob | undefined> {
    const bytes = this.files.get(name);
    return bytes && new Blob([bytes]);
  }

  async write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    let used = bytes.length;
    for (const [other, { length }] of this.files) used += other === name ? 0 : length;
    if (used > this.room) throw new DOMException('no room', 'QuotaExceededError');
    this.files.set(name, bytes.slice());
  }

  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('a file that is kept', () => {
  let content: Buffer;
  let etag: string | undefined;
  /** Bytes after which each answer is cut. */
  let cuts: number[];
  let ranges: boolean;
  let conditions: (string | undefined)[];
  let asked: string[];
  let server: Running;
  let store: MemoryStore;
  /** Bytes that the last call has. */
  let came: number;

  beforeEach(async () => {
    content = randomBytes(2 * PART_BYTES + 12_345);
    [etag, cuts, ranges, asked, conditions] = ['"1"', [], true, [], []];
    store = new MemoryStore();
    server = await serveWith(answer);
  });
  afterEach(() => server[Symbol.asyncDispose]());

  function answer({ headers }: IncomingMessage, response: ServerResponse): void {
    asked.push(headers.range ?? 'all');
    const condition = headers['if-range'] as string | undefined;
    conditions.push(condition);
    const isWhole = !headers.range || !ranges || (condition !== undefined && condition !== etag);
    const start = isWhole ? 0 : Number(/\d+/.exec(headers.range!)![0]);
    response.writeHead(isWhole ? 200 : 206, {
      ...(etag && { etag }),
      'content-length': content.length - start,
      ...(!isWhole && {
        'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
      }),
    });
    const cut = cuts.shift();
    if (cut === undefined) response.end(content.subarray(start));
    else {
      response.flushHeaders();
      response.write(content.subarray(start, start + cut));
      const timer = setInterval(() => {
        if (came < start + cut) return; // what was sent is lost if it has not been read
        clearInterval(timer);
        response.destroy();
      }, 5);
    }
  }

  const keep = (wanted: FileToKeep, { onBytes, ...options }: KeepOptions = {}) => {
    came = 0;
    return keepFile(store, wanted, {
      ...options,
      onBytes(done, total) {
        came = done;
        onBytes?.(done, total);
      },
    });
  };

  const file = (more: Partial<FileToKeep> = {}): FileToKeep => ({
    url: `${server.address}/weights`,
    version: { etag, size: content.length },
    ...more,
  });

  async function expectWhole(kept: KeptFile): Promise<void> {
    const bytes = new Uint8Array(kept.size);
    await kept.read(bytes, 0);
    expect(sha256(bytes)).to.equal(sha256(content));
    expect(kept.sha256).to.equal(sha256(content));
    const some = new Uint8Array(100);
    await kept.read(some, PART_BYTES - 50);
    expect([...some]).to.deep.equal([...content.subarray(PART_BYTES - 50, PART_BYTES + 50)]);
  }

  it('comes once, in parts', async () => {
    const seen: number[] = [];
    await expectWhole(await keep(file(), { onBytes: (done) => seen.push(done) }));
    expect(seen.at(-1)).to.equal(content.length);
    await expectWhole(await keep(file()));
    expect(asked).to.deep.equal(['all']);
    expect(Math.max(...[...store.files.values()].map(({ length }) => length))).to.equal(PART_BYTES);
  });

  it('goes on by itself where it was cut off', async () => {
    cuts = [PART_BYTES + 1000, 2000];
    await expectWhole(await keep(file()));
    expect(asked).to.deep.equal([
      ...['all', `bytes=${PART_BYTES + 1000}-`, `bytes=${PART_BYTES + 3000}-`],
    ]);
    expect(conditions).to.deep.equal([undefined, '"1"', '"1"']);
  });

  it('goes on in another visit where it was when the server went away or the caller stopped', async () => {
    const stop = new AbortController();
    cuts = [PART_BYTES + 1000];
    const onBytes = (done: number) => {
      if (done === PART_BYTES + 1000) stop.abort(new Error('Stopped.'));
    };
    await keep(file(), { signal: stop.signal, onBytes }).catch(() => {});
    expect(stop.signal.aborted).to.equal(true);
    await expectWhole(await keep(file()));
    expect(asked).to.deep.equal(['all', `bytes=${PART_BYTES + 1000}-`]);
  });

  it('says what has come when the server stays away', async () => {
    cuts = [500_000, 0, 0, 0, 0, 0];
    await expectError(
      () => keep(file(), { pauses: [1, 2, 3] }),
      'was cut off after',
      'The 0.5 of 8.4 MB that have come stay.',
    );
    cuts = [];
    await expectWhole(await keep(file()));
    expect(asked.at(-1)).to.equal('bytes=500000-');
  });

  it('is never a mix of two versions', async () => {
    cuts = [PART_BYTES + 1000];
    const first = file();
    const onBytes = (done: number) => {
      if (done < PART_BYTES + 1000 || etag === '"2"') return;
      [content, etag] = [randomBytes(content.length), '"2"'];
    };
    // It changes between two requests of one download.
    await expectWhole(await keep(first, { onBytes }));
    // And between two visits.
    [content, etag] = [randomBytes(content.length - 5), '"3"'];
    await expectWhole(await keep(file()));
    expect([...store.files.keys()].filter((name) => name.endsWith('.0'))).to.have.length(1);
  });

  it('comes again as a whole where the server sends no parts or tells no versions', async () => {
    for (const change of [() => (ranges = false), () => (etag = undefined)]) {
      change();
      store = new MemoryStore();
      cuts = [1000];
      await expectWhole(await keep(file()));
    }
  });

  it('comes anew from where its bytes are no longer as they came', async () => {
    await keep(file());
    const name = [...store.files.keys()].find((name) => name.endsWith('.1'))!;
    store.files.get(name)![7]! ^= 1;
    await expectWhole(await keep(file()));
    expect(asked).to.deep.equal(['all', `bytes=${PART_BYTES}-`]);
    store.files.get(name)!.fill(0);
    store.files.set(name, store.files.get(name)!.slice(1));
    await expectWhole(await keep(file()));
    store.files.delete([...store.files.keys()].find((name) => name.endsWith('.0'))!);
    await expectWhole(await keep(file()));
    expect(asked.at(-1)).to.equal('all');
    for (const name of [...store.files.keys()])
      if (name.endsWith('.json')) store.files.set(name, new Uint8Array([123]));
    await expectWhole(await keep(file()));
  });

  it('comes once more if it has another hash than the server tells, and is refused then', async () => {
    const right = sha256(content);
    await expectWhole(await keep(file({ sha256: right })));
    etag = undefined; // the hash tells that it is the same
    await expectWhole(await keep(file({ sha256: right })));
    expect(asked).to.deep.equal(['all']);
    const wrong = '0'.repeat(64);
    await expectError(
      () => keep(file({ sha256: wrong })),
      `has come with wrong bytes twice (its hash is ${right} instead of ${wrong})`,
    );
    expect(asked).to.deep.equal(['all', 'all', 'all']);
    expect(store.files.size).to.equal(0);
  });

  it('loses nothing when the storage gets full, and goes on when there is room', async () => {
    store.room = PART_BYTES + 10_000;
    await expectError(
      () => keep(file()),
      'The storage of this browser is full: 4.2 of 8.4 MB of ',
      'have come and stay. Free space',
    );
    store.room = Number.POSITIVE_INFINITY;
    await expectWhole(await keep(file()));
    expect(asked).to.deep.equal(['all', `bytes=${PART_BYTES}-`]);
  });

  it('tells a store that refuses from one that is full', async () => {
    store.write = async () => {
      throw new DOMException('denied', 'SecurityError');
    };
    const error = await keep(file()).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(StoreError);
  });

  it('may be empty', async () => {
    content = Buffer.alloc(0);
    expect((await keep(file())).size).to.equal(0);
  });

  it('says so when it has been removed meanwhile', async () => {
    const kept = await keep(file());
    store.files.clear();
    await expectError(
      () => kept.read(new Uint8Array(1), 0),
      'is no longer in the storage of this browser. Load the model again.',
    );
  });
});
