/**
 * A hub to test against: its API, its files, and a second server with the large ones, as the real
 * hub has.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Contents by path. Those that end with `.safetensors` are large files. */
export type Files = Record<string, Buffer>;

/** What goes wrong with one answer. */
export interface Fault {
  /** Answer with this status and these headers instead. */
  status?: number;
  headers?: Record<string, string>;
  /** Break the connection after so many bytes. */
  cutAfter?: number;
  /** Send other bytes. */
  wrongBytes?: boolean;
  /** Send everything, whatever range was asked for. */
  ignoreRange?: boolean;
}

/** One request as the servers have seen it. */
export interface Seen {
  server: 'hub' | 'files';
  method: string;
  path: string;
  range?: string;
  authorization?: string;
}

export const commit = '0123456789abcdef0123456789abcdef01234567';
export const id = 'some-org/some-model';

export class TestHub {
  files: Files;
  /** Branches and tags. */
  refs: Record<string, string> = { main: commit };
  /** Only this token may read files. */
  gatedFor?: string;
  private?: boolean;
  /** Asked for each file's content; what it gives goes wrong with the answer. */
  fault: (path: string, seen: Seen[]) => Fault | undefined = () => undefined;
  /** The same for the API. */
  apiFault: (path: string) => Fault | undefined = () => undefined;
  /** Answers in place of the hub if it returns true. */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  seen: Seen[] = [];
  /** Bytes of large files that were sent, and who wants to know. */
  sent = 0;
  onSent?: (sent: number) => void;
  /** Answers with large files that were on their way at once, at most. */
  mostAtOnce = 0;
  private underWay = new Set<ServerResponse>();
  /** Milliseconds between two parts of 16 KiB. */
  slowness = 0;
  private hub: Server;
  private large: Server;

  private constructor(files: Files) {
    this.files = files;
    this.hub = createServer((request, response) => this.answer(request, response));
    this.large = createServer((request, response) => this.answerLarge(request, response));
  }

  static async start(files: Files): Promise<TestHub> {
    const hub = new TestHub(files);
    for (const server of [hub.hub, hub.large]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    return hub;
  }

  get endpoint(): string {
    return address(this.hub);
  }

  async stop(): Promise<void> {
    for (const server of [this.hub, this.large]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** What was asked for of the server with the large files. */
  largeRequests(): Seen[] {
    return this.seen.filter(({ server }) => server === 'files');
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, this.endpoint);
    const path = decodeURIComponent(pathname);
    this.note('hub', path, request);
    if (this.instead(request, response)) return;
    const [, info] = new RegExp(`^/api/models/${id}/revision/(.+)$`).exec(path) ?? [];
    const [, tree] = new RegExp(`^/api/models/${id}/tree/(.+)$`).exec(path) ?? [];
    const [, revision, file] = new RegExp(`^/${id}/resolve/([^/]+)/(.+)$`).exec(path) ?? [];
    const asked = info ?? tree ?? revision;
    const fault = file === undefined ? this.apiFault(path) : undefined;
    if (fault?.status) return end(response, fault.status, fault.headers);
    if (asked === undefined || (this.private && request.headers.authorization === undefined)) {
      return end(response, 401, { 'x-error-code': 'RepoNotFound' });
    }
    if (!Object.values(this.refs).includes(this.refs[asked] ?? asked))
      return end(response, 404, { 'x-error-code': 'RevisionNotFound' });
    const sha = this.refs[asked] ?? asked;
    if (info !== undefined)
      return json(response, {
        _id: '1',
        id,
        sha,
        private: false,
        gated: 'auto',
        downloads: 1,
        likes: 1,
        lastModified: 0,
      });
    if (tree !== undefined)
      return this.answerTree(response, path, Number(searchParams.get('cursor') ?? 0));
    if (
      this.gatedFor !== undefined &&
      request.headers.authorization !== `Bearer ${this.gatedFor}`
    ) {
      return end(response, request.headers.authorization === undefined ? 401 : 403, {
        'x-error-code': 'GatedRepo',
      });
    }
    const content = this.files[file];
    if (content === undefined) return end(response, 404, { 'x-error-code': 'EntryNotFound' });
    const headers: Record<string, string> = { 'x-repo-commit': sha, 'accept-ranges': 'bytes' };
    if (!isLarge(file))
      return this.send(request, response, file, { ...headers, etag: `"${gitHash(content)}"` });
    response.writeHead(302, {
      ...headers,
      'x-linked-etag': `"${sha256(content)}"`,
      'x-linked-size': String(content.length),
      location: `${address(this.large)}/${file}?signature=1`,
    });
    response.end();
  }

  /** A page of the listing, with folders, and where the next one is. */
  private answerTree(response: ServerResponse, path: string, start: number): void {
    const folders = new Set(
      Object.keys(this.files).flatMap((file) => (file.includes('/') ? [file.split('/')[0]] : [])),
    );
    const entries = [
      ...[...folders].map((folder) => ({
        type: 'directory',
        oid: gitHash(Buffer.from(folder)),
        size: 0,
        path: folder,
      })),
      ...Object.entries(this.files).map(([file, content]) => {
        const lfs = { oid: sha256(content), size: content.length, pointerSize: 134 };
        return {
          type: 'file',
          oid: gitHash(content),
          size: content.length,
          path: file,
          ...(isLarge(file) ? { lfs } : {}),
        };
      }),
    ];
    const next = start + 5;
    const link = `<${this.endpoint}${path}?recursive=true&cursor=${next}>; rel="next"`;
    json(response, entries.slice(start, next), next < entries.length ? { link } : {});
  }

  private async answerLarge(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(request.url!, this.endpoint).pathname).slice(1);
    this.note('files', path, request);
    this.mostAtOnce = Math.max(this.mostAtOnce, this.underWay.add(response).size);
    await this.send(request, response, path, { etag: `"${sha256(this.files[path])}"` }).finally(
      () => this.underWay.delete(response),
    );
  }

  private async send(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    headers: Record<string, string>,
  ): Promise<void> {
    const fault = this.fault(path, this.seen);
    if (fault?.status) return end(response, fault.status, fault.headers);
    const content = this.files[path];
    const [, from] = /^bytes=(\d+)-/.exec(request.headers.range ?? '') ?? [];
    const start = from === undefined || fault?.ignoreRange ? 0 : Number(from);
    const body = Buffer.from(content.subarray(start));
    if (fault?.wrongBytes) body[0] ^= 255;
    const ranged = from !== undefined && !fault?.ignoreRange;
    if (ranged) headers['content-range'] = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(ranged ? 206 : 200, { ...headers, 'content-length': body.length });
    if (request.method === 'HEAD') return void response.end();
    const gone = once(response, 'close');
    for (let done = 0; done < body.length; ) {
      const part = body.subarray(done, Math.min(done + 16384, fault?.cutAfter ?? Infinity));
      if (response.destroyed) return;
      // who has it may ask for the next file at once
      if (done + part.length === body.length) this.underWay.delete(response);
      if (!response.write(part))
        await Promise.race([new Promise((resolve) => response.once('drain', resolve)), gone]);
      done += part.length;
      if (isLarge(path)) {
        this.sent += part.length;
        this.onSent?.(this.sent);
      }
      if (this.slowness > 0) await sleep(this.slowness);
      if (done === fault?.cutAfter) {
        await sleep(100); // so that what was sent arrives
        return void response.destroy();
      }
    }
    response.end();
  }

  private note(server: Seen['server'], path: string, { method, headers }: IncomingMessage): void {
    this.seen.push({
      server,
      path,
      method: method!,
      range: headers.range,
      authorization: headers.authorization,
    });
  }
}

/** The contents of a folder, as a repository. */
export async function filesOf(folder: string): Promise<Files> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: Files = {};
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files[path.slice(folder.length + 1)] = await readFile(path);
  }
  return files;
}

export const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
export const gitHash = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

const isLarge = (path: string) => path.endsWith('.safetensors');
const address = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function end(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, headers);
  response.end();
}

function json(
  response: ServerResponse,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/**
 * A hub for each test of a suite, which the environment names, without what is the machine's own.
 * @param files What it has at the start of a test.
 * @param home The path of the folder of huggingface_hub.
 */
export function hubForEach(files: () => Files, home: () => string): () => TestHub {
  const { env } = process;
  let hub: TestHub;
  beforeEach(async () => {
    hub = await TestHub.start(files());
    process.env = { ...env, HF_ENDPOINT: hub.endpoint, HF_HOME: home() };
    for (const name of ['HF_TOKEN', 'HF_HUB_CACHE', 'HF_HUB_OFFLINE']) delete process.env[name];
  });
  afterEach(async () => {
    process.env = env;
    await hub.stop();
  });
  return () => hub;
}
