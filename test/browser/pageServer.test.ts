import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { servePage } from '../../examples/browser/serve.ts';

describe('the server of the browser example', () => {
  const folder = mkdtempSync(join(tmpdir(), 'svd-serve-'));
  let running: Awaited<ReturnType<typeof servePage>>;
  before(async () => {
    mkdirSync(join(folder, 'page'));
    writeFileSync(join(folder, 'page/index.html'), '<!doctype html>');
    writeFileSync(join(folder, 'secret'), 'secret');
    running = await servePage(join(folder, 'page'));
  });
  after(() => {
    running.server.close();
    rmSync(folder, { recursive: true });
  });

  /** The status of a path that is sent as it is. */
  const statusOf = (path: string) =>
    new Promise<number>((resolve, reject) => {
      const { hostname, port } = new URL(running.address);
      request({ hostname, port, path }, (response) => resolve(response.resume().statusCode!))
        .on('error', reject)
        .end();
    });

  it('sends the headers that threads of WebAssembly need', async () => {
    const { status, headers } = await fetch(`${running.address}?query`);
    expect(status).to.equal(200);
    expect(headers.get('content-type')).to.equal('text/html');
    expect(headers.get('cross-origin-opener-policy')).to.equal('same-origin');
    expect(headers.get('cross-origin-embedder-policy')).to.equal('require-corp');
  });

  it('serves nothing outside of its folder, and goes on after odd addresses', async () => {
    for (const path of ['/../secret', '/%2e%2e/secret', '/..%2fsecret', '//', '/%', '/none'])
      expect(await statusOf(path), path).to.equal(path === '//' ? 200 : 404);
    expect(await statusOf('/')).to.equal(200);
  });
});
