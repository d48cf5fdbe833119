/** A web server for tests: files of folders, with what it was asked for. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

/** A server that runs. All but its address may be changed meanwhile. */
export interface TestServer {
  /** Ends with a slash. */
  address: string;
  /** What it has been asked for, such as `GET /model/model_index.json`. */
  requests: string[];
  /** Headers of every answer. */
  headers: Record<string, string>;
  /** Whether answers tell by ETag and Last-Modified which version of a file they are of. */
  versions: boolean;
  /** Whether it sends parts of files. */
  ranges: boolean;
  /** The parts of files that it was asked for, such as `/vae/x.safetensors bytes=0-9`. */
  asked: string[];
  /** The bytes of files that it has sent. */
  sentBytes: number;
  /** The bytes after which the connection of the next longer answer is cut, once. */
  cutAfter?: number;
  /** Whether nothing more comes then, while the connection stays. */
  stalls: boolean;
  close(): void;
}

/** Serves the files of folders; where several have one, that of the first. */
export async function serve(...folders: string[]): Promise<TestServer> {
  const server = createServer((request, response) => {
    const url = request.url!.replace(/\?.*/, '');
    running.requests.push(`${request.method} ${url}`);
    const path = url.endsWith('/') ? `${url}index.html` : url;
    const file = folders.map((folder) => join(folder, path)).find((file) => existsSync(file));
    if (!file) return response.writeHead(404, running.headers).end();
    const { size, mtime } = statSync(file);
    if (request.headers.range) running.asked.push(`${url} ${request.headers.range}`);
    const range = running.ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const [start, end] = range ? [Number(range[1]), Number(range[2] || size - 1)] : [0, size - 1];
    running.sentBytes += request.method === 'HEAD' ? 0 : end + 1 - start;
    response.writeHead(range ? 206 : 200, {
      'Content-Type': types[extname(file)] ?? 'application/octet-stream',
      'Content-Length': end + 1 - start,
      ...(range && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
      'Cache-Control': 'no-store',
      ...(running.versions && {
        ETag: `"${size}-${mtime.getTime()}"`,
        'Last-Modified': mtime.toUTCString(),
      }),
      ...running.headers,
    });
    if (request.method === 'HEAD') return response.end();
    const { cutAfter = Number.POSITIVE_INFINITY } = running;
    if (end + 1 - start <= cutAfter)
      return createReadStream(file, size > 0 ? { start, end } : {}).pipe(response);
    running.cutAfter = undefined;
    if (cutAfter === 0) return response.destroy();
    const sent = createReadStream(file, { start, end: start + cutAfter - 1 });
    sent.on('end', () => {
      // once what is sent has come
      if (!running.stalls) setTimeout(() => response.destroy(), 100);
    });
    return sent.pipe(response, { end: false });
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const running: TestServer = {
    address: `http://localhost:${(server.address() as AddressInfo).port}/`,
    requests: [],
    asked: [],
    headers: {},
    versions: true,
    ranges: true,
    stalls: false,
    sentBytes: 0,
    close: () => server.close(),
  };
  return running;
}
