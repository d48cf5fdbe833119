/** A small web server for the built page, with the headers that threads of WebAssembly need. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const types: Record<string, string> = {
  ...{ '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' },
  ...{ '.wasm': 'application/wasm', '.json': 'application/json' },
  ...{ '.png': 'image/png', '.jpg': 'image/jpeg' },
};

/** Serves the files of a folder to this machine, and returns the server and its address. */
export async function servePage(folder: string, port = 0) {
  const server = createServer(({ url, method }, response) => {
    const file = join(folder, url!.replace(/[?#].*/, '').replace(/\/$/, '/index.html'));
    const found = file.startsWith(join(folder, '/')) && existsSync(file) && statSync(file).isFile();
    response.writeHead(found ? 200 : 404, {
      'Content-Type': types[extname(file)] ?? 'application/octet-stream',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
      'Cache-Control': 'no-cache',
      ...(found && {
        'Content-Length': statSync(file).size,
        'Last-Modified': statSync(file).mtime.toUTCString(),
      }),
    });
    if (found && method === 'GET') createReadStream(file).pipe(response);
    else response.end();
  });
  await new Promise<void>((resolve) => server.listen(port, 'localhost', resolve));
  return { server, address: `http://localhost:${(server.address() as AddressInfo).port}/` };
}
