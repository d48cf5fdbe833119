/** The hub behind proxies, behind networks that want a login, and where something else is. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type DownloadOptions, downloadModel } from '../../../src/checkpoints/index.ts';
import { networkLimits } from '../../../src/network/limits.ts';
import { warningsOf } from '../../harness/warnings.ts';
import { authority } from '../../network/certificate.ts';
import { closedAddress, serveWith, startProxy, withEnvironment } from '../../network/servers.ts';
import { expectError, fixture } from '../files.ts';
import { commit, type Files, filesOf, id, TestHub } from './server.ts';

const LARGE = 'unet/diffusion_pytorch_model.safetensors';

describe('the hub over networks', () => {
  let files: Files;
  let hub: TestHub;
  let cacheDir: string;
  before(async () => {
    files = { ...(await filesOf(fixture('model'))), [LARGE]: randomBytes(200_000) };
  });
  beforeEach(async () => {
    hub = await TestHub.start({ ...files });
    cacheDir = await mkdtemp(join(tmpdir(), 'hub-'));
  });
  afterEach(async () => {
    await hub.stop();
    await rm(cacheDir, { recursive: true, force: true });
  });

  const snapshot = () => join(cacheDir, 'models--some-org--some-model/snapshots', commit);
  /** Downloads with these variables, and limits that make tests quick. */
  const download = (variables: Record<string, string> = {}, options: DownloadOptions = {}) =>
    withEnvironment({ HF_ENDPOINT: hub.endpoint, HF_HOME: cacheDir, ...variables }, () => {
      for (const name of ['HF_TOKEN', 'HF_HUB_OFFLINE'])
        if (!(name in variables)) delete process.env[name];
      const limits = { pause: 1, ...options.limits };
      return downloadModel(id, { cacheDir, ...options, limits });
    });
  const authorizations = () => new Set(hub.seen.map(({ authorization }) => authorization));

  it('fetches a model through the proxy of the environment', async () => {
    await using proxy = await startProxy();
    const HF_ENDPOINT = hub.endpoint.replace('127.0.0.1', 'hub.corp.example');
    const variables = { HF_ENDPOINT, HTTP_PROXY: proxy.address, NO_PROXY: '127.0.0.0/8' };
    expect(await download(variables)).to.equal(snapshot());
    expect(proxy.seen[0]).to.match(/^GET http:\/\/hub\.corp\.example:\d+\/api\/models\//);
    expect(proxy.seen).to.have.length.above(9);
  });

  describe('tokens', () => {
    it('are sent as they are, without what copying leaves around them', async () => {
      const cases = { 'abc\n': 'abc', '"hf_abc"': 'hf_abc', "' x.y-z+/= '\r\n": 'x.y-z+/=' };
      for (const [HF_TOKEN, sent] of Object.entries(cases)) {
        hub.seen = [];
        await download({ HF_TOKEN });
        expect(hub.seen[0].authorization, HF_TOKEN).to.equal(`Bearer ${sent}`);
        hub.seen = [];
        await download({}, { token: HF_TOKEN });
        expect(hub.seen[0].authorization, HF_TOKEN).to.equal(`Bearer ${sent}`);
      }
      await writeFile(join(cacheDir, 'token'), '"stored"\r\n');
      hub.seen = [];
      await download({ HF_TOKEN: ' \n' });
      expect(hub.seen[0].authorization).to.equal('Bearer stored');
    });

    it('are refused in words if no header can hold them, and not shown', async () => {
      for (const HF_TOKEN of ['hf_a secret', 'hf_a\nsecret', 'hf_sécret']) {
        const message = await expectError(() => download({ HF_TOKEN }), 'access token');
        expect(message).to.not.match(/s.cret/);
      }
    });

    it('go to the endpoint alone, not where a listing says that it goes on', async () => {
      const seen: (string | undefined)[] = [];
      await using other = await serveWith(({ headers }, response) => {
        seen.push(headers.authorization);
        response.end('[]');
      });
      const addresses = [other.address, other.address.replace('127.0.0.1', 'localhost')];
      for (const address of addresses) {
        await rm(cacheDir, { recursive: true });
        hub.instead = ({ url }, response) => {
          if (!url!.includes('/tree/')) return false;
          response.setHeader('link', `<${address}/next>; rel="next"`);
          response.end('[]');
          return true;
        };
        await expectError(() => download({ HF_TOKEN: 'hf_secret' }), 'lacks model_index.json');
      }
      expect(seen).to.deep.equal([undefined, undefined]);
      expect(authorizations()).to.deep.equal(new Set(['Bearer hf_secret']));
    });

    it('never go from https to http', async () => {
      const seen: (string | undefined)[] = [];
      await using plain = await serveWith(({ headers }, response) => {
        seen.push(headers.authorization);
        response.end('[]');
      });
      await using secure = await serveWith(({ url }, response) => {
        const link = `<${plain.address}/next>; rel="next"`;
        if (url!.includes('/tree/')) response.writeHead(200, { link }).end('[]');
        else if (url!.includes('redirected'))
          response.writeHead(302, { location: plain.address }).end();
        else response.end(JSON.stringify({ sha: commit }));
      }, true);
      const file = join(cacheDir, 'authority.pem');
      await writeFile(file, authority);
      const variables = { HF_ENDPOINT: secure.address, SSL_CERT_FILE: file, HF_TOKEN: 'hf_secret' };
      await expectError(() => download(variables), 'lacks');
      await expectError(() => download(variables, { revision: 'redirected' }), 'not tell');
      expect(seen).to.deep.equal([undefined, undefined]);
    });

    it('give way to the name and password of the endpoint, which no message shows', async () => {
      const HF_ENDPOINT = hub.endpoint.replace('//', '//me:secret@');
      await download({ HF_ENDPOINT, HF_TOKEN: 'hf_other' });
      const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;
      expect(hub.seen[0].authorization).to.equal(basic);
      const closed = await closedAddress();
      const message = await expectError(
        () => download({ HF_ENDPOINT: closed.replace('//', '//me:secret@') }, { revision: 'v' }),
        `${closed} cannot be reached`,
      );
      expect(message).to.not.include('secret');
    });
  });

  describe('what cannot pass', () => {
    it('fails at once', async () => {
      for (const [HF_ENDPOINT, reason] of [
        ['http://nowhere.invalid', 'cannot be found'],
        [await closedAddress(), 'refuses the connection'],
        ['nowhere.invalid', 'is not an address that begins with http'],
      ]) {
        const warnings = await warningsOf(() =>
          expectError(() => download({ HF_ENDPOINT }), 'cannot be reached', reason),
        );
        expect(warnings).to.deep.equal([]);
      }
    });

    it('keeps nobody from a model that is in the cache', async () => {
      await download();
      await using other = await serveWith((_, response) => response.end('hello'), true);
      for (const HF_ENDPOINT of [
        'http://nowhere.invalid',
        await closedAddress(),
        'no address',
        other.address,
        other.address.replace('https', 'http'),
      ]) {
        const warnings = await warningsOf(async () =>
          expect(await download({ HF_ENDPOINT })).to.equal(snapshot()),
        );
        expect(warnings, HF_ENDPOINT).to.have.length(1);
        expect(warnings[0]).to.match(/cannot be reached: .* taken from the cache/);
      }
    });

    it('asks once before it takes the cache, even of a server that says nothing', async () => {
      await download();
      let asked = 0;
      hub.instead = () => {
        asked += 1;
        return true;
      };
      const warnings = await warningsOf(async () =>
        expect(await download({}, { limits: { patience: 1000 } })).to.equal(snapshot()),
      );
      expect(asked).to.equal(1);
      expect(warnings.join()).to.include('taken from the cache');
    });
  });

  describe('something else that answers', () => {
    const answers: [what: string, status: number, body: string][] = [
      ['a web page', 200, '<!doctype html><p>Log in'],
      ['a refusal of the network', 403, '<html>Blocked'],
      ['a login', 511, '<html>Log in'],
      ['a text', 200, 'hello'],
      ['nothing', 200, ''],
      ['null', 200, 'null'],
      ['a list', 200, '[]'],
      ['another object', 200, '{"sha": 3}'],
    ];
    for (const [what, status, body] of answers) {
      it(`is no hub: ${what}`, async () => {
        await download();
        hub.instead = (_, response) => {
          response.writeHead(status, { 'content-type': 'text/html' }).end(body);
          return true;
        };
        const warnings = await warningsOf(async () =>
          expect(await download()).to.equal(snapshot()),
        );
        expect(warnings.join()).to.include('is taken from the cache');
        await rm(cacheDir, { recursive: true });
        await warningsOf(() => expectError(() => download(), hub.endpoint));
      });
    }

    it('lists no files', async () => {
      for (const body of ['{}', 'null', '[null]', '[3]', '"x"', '{"error": "y"}']) {
        hub.instead = ({ url }, response) => {
          if (url!.includes('/tree/')) response.end(body);
          return url!.includes('/tree/');
        };
        await expectError(() => download(), `${hub.endpoint} does not answer as a hub does`);
      }
    });

    it('goes on with a listing at an address relative to its page', async () => {
      hub.instead = ({ url }, response) => {
        if (!url!.includes('/tree/') || url!.includes('cursor')) return false;
        response.setHeader('link', '</a>; rel="first", <?cursor=0>; rel="next"').end('[]');
        return true;
      };
      expect(await download()).to.equal(snapshot());
    });

    it('lists files of no size or no hash', async () => {
      const entry = { type: 'file', path: 'model_index.json', oid: 'a'.repeat(40), size: 10 };
      for (const wrong of [
        { size: -1 },
        { size: '10' },
        { size: 1e300 },
        { oid: 3 },
        { oid: ['a'] },
      ]) {
        hub.instead = ({ url }, response) => {
          if (url!.includes('/tree/')) response.end(JSON.stringify([{ ...entry, ...wrong }]));
          return url!.includes('/tree/');
        };
        await expectError(() => download(), 'does not tell the', 'model_index.json');
      }
    });

    it('keeps what has come of a file when a page comes instead of the rest', async () => {
      let asked = 0;
      const large = hub.files[LARGE];
      hub.fault = (path) => {
        if (path !== LARGE) return undefined;
        asked += 1;
        if (asked > 1) hub.files[LARGE] = Buffer.from('<!doctype html><p>Log in');
        return asked === 1 ? { cutAfter: 16384 } : { ignoreRange: true };
      };
      await warningsOf(() => expectError(() => download(), 'it sends another file'));
      hub.files[LARGE] = large;
      hub.fault = () => undefined;
      hub.seen = [];
      await download();
      expect(hub.largeRequests().find(({ path }) => path === LARGE)?.range).to.equal(
        'bytes=16384-',
      );
    });
  });

  describe('a server that keeps one busy', () => {
    it('cuts its answers and continues none', async () => {
      let asked = 0;
      hub.fault = (path) => {
        if (path !== LARGE) return undefined;
        asked += 1;
        return { cutAfter: 16384, ignoreRange: true };
      };
      const warnings = await warningsOf(() =>
        expectError(() => download(), 'the connection was cut', 'what is there stays'),
      );
      expect(asked).to.equal(6);
      expect(warnings.filter((text) => text.includes('Trying again'))).to.have.length(5);
    });

    it('lists files without end, or the same ones', async () => {
      let page = 0;
      for (const [entries, wait] of [
        ['[]', 0],
        ['[{"type": "file", "path": "a", "size": 1}]', 20],
      ] as const) {
        hub.instead = ({ url }, response) => {
          if (!url!.includes('/tree/')) return false;
          response.setHeader('link', `<${hub.endpoint}/tree/${page++}>; rel="next"`);
          setTimeout(() => response.end(entries), wait);
          return true;
        };
        const { patience } = networkLimits;
        const limits = { patience: wait === 0 ? patience : 1000 };
        await expectError(() => download({}, { limits }), 'lists the files of', 'without end');
      }
    });

    it('sends a byte now and then, of a listing or of a file', async () => {
      const limits = { window: 50, leastBytes: 1000 };
      for (const part of ['/revision/', '/tree/', '/resolve/']) {
        hub.instead = ({ url }, response) => {
          if (!url!.includes(part)) return false;
          const timer = setInterval(() => response.write(' '), 5);
          response.on('close', () => clearInterval(timer));
          return true;
        };
        await warningsOf(() => expectError(() => download({}, { limits }), 'come in 0.1 seconds'));
      }
    });

    it('sends more than a listing can be', async () => {
      hub.instead = (_, response) => {
        const timer = setInterval(() => response.write(Buffer.alloc(2 ** 16, 32)), 1);
        response.on('close', () => clearInterval(timer));
        return true;
      };
      await expectError(
        () => download({}, { limits: { mostBytes: 2 ** 20 } }),
        'it sends more than 1.0 MB',
      );
    });

    it('sends more of a file than it lists', async () => {
      hub.instead = ({ url }, response) => {
        if (!url!.includes('/resolve/')) return false;
        const timer = setInterval(() => response.write(Buffer.alloc(2 ** 16, 32)), 1);
        response.on('close', () => clearInterval(timer));
        return true;
      };
      await expectError(() => download(), 'is larger than the');
    });

    it('asks to wait for hours', async () => {
      hub.apiFault = () => ({ status: 429, headers: { 'retry-after': '7200' } });
      await expectError(() => download(), 'asks to wait 120 minutes');
    });
  });
});
