/** Requests through proxies, with certificates, and to servers that do harm. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { NetworkError } from '../../src/network/errors.ts';
import { networkLimits } from '../../src/network/limits.ts';
import { request } from '../../src/network/request.ts';
import { Watch } from '../../src/network/watch.ts';
import { warningsOf } from '../harness/warnings.ts';
import { authority } from './certificate.ts';
import { closedAddress, messageOf, serveWith, startProxy, withEnvironment } from './servers.ts';

/** What comes from an address, as text. */
async function textOf(address: string, options = {}): Promise<string> {
  await using answer = await request(address, options);
  return Buffer.from(await answer.bytes()).toString();
}

/** How a failure may pass. */
const passingOf = (work: () => Promise<unknown>) =>
  work().then(
    () => 'it was fulfilled',
    (error: unknown) => (error instanceof NetworkError ? error.passing : String(error)),
  );

describe('request', () => {
  let folder: string;
  let file: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'network-'));
    file = join(folder, 'authority.pem');
    await writeFile(file, authority);
  });
  after(() => rm(folder, { recursive: true }));

  it('says that an answer leads to no address, which cannot pass, or cannot be unpacked', async () => {
    await using server = await serveWith(({ url }, response) => {
      if (url === '/moved') response.writeHead(302, { location: 'http://[::1' }).end();
      else response.writeHead(200, { 'content-encoding': 'gzip' }).end('not packed');
    });
    const moved = () => textOf(`${server.address}/moved`);
    expect(await messageOf(moved)).to.equal('it leads on to what is no address');
    expect(await passingOf(moved)).to.equal('no');
    expect(await messageOf(() => textOf(`${server.address}/packed`))).to.match(
      /^what it sends cannot be unpacked \(/,
    );
  });

  describe('through a proxy', () => {
    it('asks the proxy of HTTP_PROXY for hosts that only it knows', async () => {
      await using server = await serveWith(({ url, headers }, response) =>
        response.end(`${headers.host} ${url} ${headers['proxy-authorization']}`),
      );
      await using proxy = await startProxy();
      const url = `http://hub.corp.example:${server.port}/a?b=c`;
      for (const name of ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY']) {
        const text = await withEnvironment({ [name]: proxy.address }, () => textOf(url));
        expect(text).to.equal(`hub.corp.example:${server.port} /a?b=c undefined`);
      }
      expect(proxy.seen).to.have.length(3);
      const direct = { HTTP_PROXY: proxy.address, NO_PROXY: '127.0.0.0/8' };
      expect(await withEnvironment(direct, () => textOf(server.address))).to.include('127.0.0.1');
      expect(proxy.seen).to.have.length(3);
    });

    it('opens a tunnel for https, also over TLS to the proxy, and trusts SSL_CERT_FILE', async () => {
      await using server = await serveWith((_, response) => response.end('secret'), true);
      const url = `https://hub.corp.example:${server.port}/`;
      for (const tls of [false, true]) {
        await using proxy = await startProxy({ tls });
        for (const name of ['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE']) {
          const HTTPS_PROXY = proxy.address.replace('127.0.0.1', 'localhost');
          const variables = { HTTPS_PROXY, [name]: file };
          expect(await withEnvironment(variables, () => textOf(url))).to.equal('secret');
        }
        expect(proxy.seen[0]).to.equal(`CONNECT hub.corp.example:${server.port}`);
      }
    });

    it('tells the proxy its name and password, and the server neither', async () => {
      await using plain = await serveWith(({ headers }, response) =>
        response.end(JSON.stringify(headers)),
      );
      await using secure = await serveWith(
        ({ headers }, response) => response.end(JSON.stringify(headers)),
        true,
      );
      await using proxy = await startProxy({ credentials: 'me:p@ss' });
      for (const [server, scheme] of [
        [plain, 'http'],
        [secure, 'https'],
      ] as const) {
        const url = `${scheme}://hub.corp.example:${server.port}/`;
        const ask = (address: string) =>
          withEnvironment({ ALL_PROXY: address, SSL_CERT_FILE: file }, () => textOf(url));
        const text = await ask(proxy.address.replace('//', '//me:p%40ss@'));
        expect(text).to.include('hub.corp.example').and.not.include('Basic');
        const message = await messageOf(() => ask(proxy.address.replace('//', '//me:wrong@')));
        expect(message)
          .to.include('the proxy wants a name and a password')
          .and.not.include('wrong');
        expect(await passingOf(() => ask(proxy.address))).to.equal('no');
      }
    });

    it('names the variable of a proxy that cannot be reached, and the proxy', async () => {
      const closed = await closedAddress();
      for (const scheme of ['http', 'https']) {
        for (const [proxy, reason] of [
          ['http://me:secret@nowhere.invalid:3128', 'its host cannot be found'],
          [closed, 'its host refuses the connection'],
        ]) {
          const name = `${scheme.toUpperCase()}_PROXY`;
          const ask = () =>
            withEnvironment({ [name]: proxy }, () => textOf(`${scheme}://hub.corp.example/`));
          const error = await ask().catch((thrown: NetworkError) => thrown);
          expect(error).to.have.property('wayOut', `Correct ${name}, or unset it.`);
          expect(error).to.have.property('passing', 'if reached');
          const start = `the proxy of ${name}, ${new URL(proxy!).host}, cannot be reached: ${reason}`;
          expect((error as NetworkError).message)
            .to.contain(start)
            .and.not.contain('secret');
        }
      }
    });

    it('fails at once where the proxy is none', async () => {
      const ask = (address: string) => () =>
        withEnvironment({ HTTPS_PROXY: address }, () => textOf('https://hub.corp.example/'));
      expect(await messageOf(ask('socks5://127.0.0.1:1'))).to.include('HTTPS_PROXY is not');
      expect(await passingOf(ask('socks5://127.0.0.1:1'))).to.equal('no');
      expect(await passingOf(ask(await closedAddress()))).to.equal('if reached');
    });

    it('goes by the environment at each redirection, too', async () => {
      await using other = await serveWith((_, response) => response.end('from there'));
      await using server = await serveWith((_, response) => {
        response.writeHead(302, { location: `http://hub.corp.example:${other.port}/` }).end();
      });
      await using proxy = await startProxy();
      const variables = { HTTP_PROXY: proxy.address, NO_PROXY: '127.0.0.1' };
      expect(await withEnvironment(variables, () => textOf(server.address))).to.equal('from there');
      expect(proxy.seen).to.have.length(1);
    });
  });

  describe('with certificates', () => {
    it('takes files and folders, and those of all variables together', async () => {
      await using server = await serveWith((_, response) => response.end('secret'), true);
      const settings: Record<string, string>[] = [
        { SSL_CERT_FILE: file },
        { REQUESTS_CA_BUNDLE: file },
        { CURL_CA_BUNDLE: file },
        { SSL_CERT_DIR: folder },
        { REQUESTS_CA_BUNDLE: folder },
      ];
      for (const variables of settings)
        expect(await withEnvironment(variables, () => textOf(server.address))).to.equal('secret');
    });

    it('fails at once, in words, with one that is not trusted', async () => {
      await using server = await serveWith((_, response) => response.end('secret'), true);
      const ask = () => withEnvironment({}, () => textOf(server.address));
      expect(await messageOf(ask)).to.match(/certificate cannot be trusted .* in SSL_CERT_FILE$/);
      expect(await passingOf(ask)).to.equal('no');
      await using proxy = await startProxy({ host: 'other.example' });
      const variables = { HTTPS_PROXY: proxy.address, SSL_CERT_FILE: file };
      const other = () =>
        withEnvironment(variables, () => textOf(`https://other.example:${server.port}/`));
      expect(await messageOf(other)).to.include('certificate cannot be trusted');
      expect(await passingOf(other)).to.equal('no');
    });

    it('says which file cannot be read or has none', async () => {
      const none = join(folder, 'none');
      await writeFile(`${folder}.txt`, 'hello');
      for (const [path, reason] of [
        [none, `SSL_CERT_FILE is ${none}, which cannot be read (ENOENT)`],
        [`${folder}.txt`, `SSL_CERT_FILE is ${folder}.txt, which holds no certificates`],
      ] as const) {
        const ask = () =>
          withEnvironment({ SSL_CERT_FILE: path }, () => textOf('https://127.0.0.1/'));
        expect(await messageOf(ask)).to.equal(reason);
        expect(await passingOf(ask)).to.equal('no');
      }
      await rm(`${folder}.txt`);
    });
  });

  describe('to what cannot be reached', () => {
    it('says why', async () => {
      await using server = await serveWith((_, response) => response.end('plain'));
      const garbage = net.createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
      garbage.listen(0, '127.0.0.1');
      await once(garbage, 'listening');
      const cases: [address: string, reason: RegExp, passing: string][] = [
        ['hub.example', /"hub.example" is not an address that begins with http/, 'no'],
        ['ftp://hub.example/x', /not an address/, 'no'],
        ['http://', /not an address/, 'no'],
        ['http://nowhere.invalid/', /cannot be found/, 'if reached'],
        [await closedAddress(), /refuses the connection/, 'if reached'],
        [server.address.replace('http:', 'https:'), /does not speak TLS/, 'no'],
        [
          `http://127.0.0.1:${(garbage.address() as AddressInfo).port}`,
          /not speak HTTP/,
          'if reached',
        ],
      ];
      for (const [address, reason, passing] of cases) {
        const ask = () => withEnvironment({}, () => textOf(address));
        expect(await messageOf(ask), address).to.match(reason);
        expect(await passingOf(ask), address).to.equal(passing);
      }
      garbage.close();
    });

    it('gives up an endless redirection', async () => {
      await using server = await serveWith((_, response) => {
        response.writeHead(302, { location: '/again' }).end();
      });
      expect(await passingOf(() => textOf(server.address))).to.equal('no');
    });
  });

  it('tells the server the name and password of the address, and no message shows them', async () => {
    const seen: unknown[] = [];
    await using server = await serveWith(({ headers }, response) => {
      seen.push(headers.authorization);
      response.end();
    });
    await textOf(server.address.replace('//', '//me:p%40ss@'));
    expect(seen).to.deep.equal([`Basic ${Buffer.from('me:p@ss').toString('base64')}`]);
    const message = await messageOf(() => textOf('ftp://me:secret@x.org/y?signature=secret'));
    expect(message).to.include('ftp://x.org/y').and.not.include('secret');
  });

  describe('limits', () => {
    it('unpacks no more than they say', async () => {
      const brotli = brotliCompressSync(Buffer.alloc(64 * 2 ** 20), {
        params: { [constants.BROTLI_PARAM_QUALITY]: 1 },
      });
      const packed = { br: brotli, gzip: gzipSync(Buffer.alloc(64 * 2 ** 20)) };
      await using server = await serveWith(({ url }, response) => {
        const encoding = url!.slice(1) as keyof typeof packed;
        response.setHeader('content-encoding', encoding);
        response.end(packed[encoding]);
      });
      for (const encoding of Object.keys(packed)) {
        const limits = { ...networkLimits, mostBytes: 2 ** 20 };
        const ask = () => textOf(`${server.address}/${encoding}`, { limits });
        expect(await messageOf(ask)).to.equal('it sends more than 1.0 MB');
        expect(await passingOf(ask)).to.equal('no');
      }
    });

    it('stops an answer without end', async () => {
      let gone = false;
      await using server = await serveWith(async (_, response) => {
        response.on('close', () => {
          gone = true;
        });
        while (!gone) if (!response.write(Buffer.alloc(2 ** 16))) await sleep(1);
      });
      const limits = { ...networkLimits, mostBytes: 2 ** 20 };
      expect(await messageOf(() => textOf(server.address, { limits }))).to.include('more than');
      while (!gone) await sleep(5);
    });

    it('gives up what comes too slowly, or not at all', async () => {
      await using server = await serveWith(({ url }, response) => {
        if (url !== '/slow') return;
        const timer = setInterval(() => response.write('x'), 5);
        response.on('close', () => clearInterval(timer));
      });
      const limits = { ...networkLimits, window: 100, leastBytes: 1000 };
      const warnings = await warningsOf(async () => {
        const ask = (path: string) => () => textOf(server.address + path, { limits });
        expect(await messageOf(ask('/slow'))).to.match(/ come in 0\.1 seconds$/);
        expect(await messageOf(ask('/silent'))).to.equal('nothing has come in 0.1 seconds');
        expect(await passingOf(ask('/silent'))).to.equal('yes');
      });
      expect(warnings).to.deep.equal([]);
    });

    it('does not take a slow reader for a slow server', async () => {
      const watch = new Watch({ window: 10, leastBytes: 1000 });
      watch.took(1);
      await sleep(100);
      expect(watch.signal.aborted).to.equal(false);
      watch.waits();
      while (!watch.signal.aborted) await sleep(5);
      watch.end();
    });

    it('tells of a server that does not answer yet', async () => {
      await using server = await serveWith(async (_, response) => {
        await sleep(100);
        response.end('late');
      });
      const limits = { ...networkLimits, silence: 10 };
      const warnings = await warningsOf(() => textOf(server.address, { limits }));
      expect(warnings).to.deep.equal([`${server.address} does not answer yet.`]);
    });
  });

  it('stops at once when asked to', async () => {
    await using server = await serveWith((_, response) => response.write('begun'));
    for (const wait of [0, 50]) {
      const stop = new AbortController();
      const why = new Error('enough');
      setTimeout(() => stop.abort(why), wait);
      const error = await textOf(server.address, { signal: stop.signal }).catch((thrown) => thrown);
      expect(error).to.equal(why);
    }
  });
});
