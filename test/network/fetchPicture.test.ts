/** Pictures from addresses: what is tried again, what is refused, and what is never shown. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { loadImage } from '../../src/media/pictures/loadImage.ts';
import { fetchPicture } from '../../src/network/fetchPicture.ts';
import { warningsOf } from '../harness/warnings.ts';
import { messageOf, serveWith, startProxy, withEnvironment } from './servers.ts';

const path = fileURLToPath(new URL('../fixtures/images/rocket.jpg', import.meta.url));

describe('fetchPicture', () => {
  it('goes through the proxy of the environment, as models do', async () => {
    const picture = await readFile(path);
    await using server = await serveWith((_, response) => response.end(picture));
    await using proxy = await startProxy();
    const url = `http://hub.corp.example:${server.port}/rocket.jpg`;
    const { width } = await withEnvironment({ HTTP_PROXY: proxy.address }, () => loadImage(url));
    expect(width).to.equal((await loadImage(path)).width);
    expect(proxy.seen).to.deep.equal([`GET ${url}`]);
  });

  it('tries again while the server is busy, and says so', async () => {
    let asked = 0;
    await using server = await serveWith((_, response) => {
      asked += 1;
      if (asked === 1) return response.writeHead(503).end();
      if (asked === 2) return response.writeHead(200).write('cut', () => response.destroy());
      return response.end('whole');
    });
    let bytes = new Uint8Array();
    const warnings = await warningsOf(async () => {
      bytes = new Uint8Array(
        await fetchPicture(`${server.address}/a.png?key=secret`, { pause: 1 }),
      );
    });
    expect(Buffer.from(bytes).toString()).to.equal('whole');
    expect(warnings).to.have.length(2);
    expect(warnings[0]).to.include(`${server.address}/a.png: it answers with status 503`);
    expect(warnings.join()).to.not.include('secret');
  });

  it('refuses at once what is not there', async () => {
    let asked = 0;
    await using server = await serveWith((_, response) => {
      asked += 1;
      response.writeHead(404).end();
    });
    const url = `${server.address.replace('//', '//me:secret@')}/a.png?signature=secret#secret`;
    expect(await messageOf(() => loadImage(url))).to.equal(
      `The picture "${server.address}/a.png" could not be fetched (it answers with status 404 ` +
        'Not Found). Check the address, or download the picture and pass its path.',
    );
    expect(asked).to.equal(1);
  });

  it('says which variable of the environment to correct', async () => {
    const url = 'https://127.0.0.1:8443/a.png';
    for (const [name, value] of [
      ['SSL_CERT_FILE', '/nowhere/certificates.pem'],
      ['HTTPS_PROXY', 'socks5://127.0.0.1:1'],
    ]) {
      const message = await withEnvironment({ [name]: value }, () =>
        messageOf(() => loadImage(url)),
      );
      expect(message).to.match(
        new RegExp(`\\(${name} is .*\\)\\. Correct ${name}, or unset it\\.$`),
      );
    }
  });

  it('has limits of size and time', async () => {
    await using server = await serveWith(({ url }, response) => {
      const body = url === '/large' ? Buffer.alloc(100_000) : 'x';
      const timer = setInterval(() => response.write(body), 5);
      response.on('close', () => clearInterval(timer));
    });
    const mostBytes = 2 ** 20;
    const large = await messageOf(() => fetchPicture(`${server.address}/large`, { mostBytes }));
    expect(large).to.include('could not be fetched (it sends more than 1.0 MB)');
    const limits = { window: 50, leastBytes: 1000, pause: 1 };
    await warningsOf(async () => {
      const slow = await messageOf(() => fetchPicture(`${server.address}/slow`, limits));
      expect(slow).to.match(/could not be fetched \(.* in 0\.1 seconds\)/);
    });
  });

  it('reads data: addresses, and shows only their type', async () => {
    const bytes = await fetchPicture(`data:image/jpeg;base64,${await readFile(path, 'base64')}`);
    expect(Buffer.from(bytes).equals(await readFile(path))).to.equal(true);
    const message = await messageOf(() => loadImage('data:image/jpeg;base64,c2VjcmV0'));
    expect(message).to.include('"data:image/jpeg"').and.not.include('c2VjcmV0');
    expect(await messageOf(() => fetchPicture('data:broken'))).to.include('no valid address');
  });
});
