/** Models behind servers that answer oddly, and in browsers without storage; here in Node. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { convertCheckpoint } from '../../../converters/index.ts';
import { buildHeader } from '../../../src/checkpoints/safetensors/header.ts';
import { readSafetensors } from '../../../src/checkpoints/safetensors/reader.ts';
import { WebFiles } from '../../../src/checkpoints/web/files.ts';
import { loadLayerWeights } from '../../../src/checkpoints/web/loadLayerWeights.ts';
import { openUrl } from '../../../src/checkpoints/web/openUrl.ts';
import { receive } from '../../../src/checkpoints/web/receive.ts';
import { ResnetBlock2D } from '../../../src/layers/index.ts';
import { networkLimits } from '../../../src/network/limits.ts';
import { serveWith } from '../../network/servers.ts';
import { expectError, inTemporaryFolder } from '../files.ts';

const tiny = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));
const JSON_FILE = 'vae/config.json';

/** How a server differs from one of files. */
interface Oddities {
  /** Answers every unknown address with its page and status 200, as servers of pages do. */
  page?: boolean;
  /** Tells no types. */
  untyped?: boolean;
  /** Refuses these methods. */
  refused?: string;
  /** Answers HEAD with status 200, whatever is asked for. */
  blindHead?: boolean;
  /** Refuses requests for parts. */
  wholeOnly?: boolean;
}

/** Serves a folder, oddly. */
function odd(folder: string, oddities: Oddities) {
  return async (request: IncomingMessage, response: ServerResponse) => {
    const path = join(folder, request.url!.slice(1));
    const { page, untyped, refused, blindHead, wholeOnly } = oddities;
    if (request.method === refused) return response.writeHead(405).end();
    if (request.method === 'HEAD' && blindHead) return response.writeHead(200).end();
    if (request.headers.range && wholeOnly) return response.writeHead(416).end();
    if (!existsSync(path)) {
      if (!page) return response.writeHead(404).end();
      if (!untyped) response.setHeader('content-type', 'text/html');
      return response.end('\n<!DOCTYPE html><html><body>Our site');
    }
    const content = await readFile(path);
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (start === undefined) {
      response.writeHead(200, { etag: '"1"', 'content-length': content.length });
      return response.end(request.method === 'HEAD' ? undefined : content);
    }
    response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${content.length}` });
    return response.end(content.subarray(Number(start), Number(end) + 1));
  };
}

describe('models behind odd servers', () => {
  const servers: Record<string, Oddities> = {
    'answers every unknown address with its page': { page: true },
    'does so without a type': { page: true, untyped: true },
    'refuses HEAD': { refused: 'HEAD' },
    'refuses HEAD and answers with its page': { refused: 'HEAD', page: true },
    'answers every HEAD': { blindHead: true },
    'refuses requests for parts': { wholeOnly: true },
  };
  for (const [what, oddities] of Object.entries(servers)) {
    it(`are opened in either format: the server ${what}`, () =>
      inTemporaryFolder(async (folder) => {
        await convertCheckpoint(tiny, join(folder, 'tfjs'), { to: 'tfjs' });
        for (const [path, format, file] of [
          [tiny, 'diffusers', 'diffusion_pytorch_model.safetensors'],
          [join(folder, 'tfjs'), 'tfjs', 'model.json'],
        ]) {
          await using server = await serveWith(odd(path, oddities));
          await using model = await openUrl(server.address);
          expect(await model.files()).to.include(`vae/${file}`);
          const source = await model.weights('vae');
          expect(model.format).to.equal(format);
          expect(source.names()).to.include('encoder.conv_in.weight');
          await source.close();
        }
      }));
  }

  it('give one layer, too', async () => {
    for (const oddities of [{ page: true }, { refused: 'HEAD' }, { blindHead: true }]) {
      await using server = await serveWith(odd(tiny, oddities));
      for (const url of [server.address, `${server.address}/vae`]) {
        const layer = new ResnetBlock2D({ name: 'mine', inChannels: 64 });
        await loadLayerWeights(layer, url, 'encoder.down_blocks.0.resnets.0');
        layer.dispose();
      }
    }
  });

  it('give no layer where parts are refused, and the reason', async () => {
    await using server = await serveWith(odd(tiny, { wholeOnly: true }));
    const layer = new ResnetBlock2D({ name: 'mine', inChannels: 64 });
    await expectError(
      () => loadLayerWeights(layer, `${server.address}/vae`, 'encoder.down_blocks.0.resnets.0'),
      'does not send parts of files (HTTP range requests)',
    );
  });

  it('are told from web pages', async () => {
    await using server = await serveWith(odd(tiny, { page: true }));
    for (const work of [
      () => openUrl(`${server.address}/nowhere`),
      () => new WebFiles().json(`${server.address}/nowhere`),
      () => new WebFiles().open(`${server.address}/nowhere`),
    ])
      await expectError(work, '/nowhere', 'the server answers with a web page instead.');
    await using model = await openUrl(server.address, { variant: 'fp64' });
    await expectError(
      () => model.weights('vae'),
      'has no diffusion_pytorch_model.fp64.safetensors',
    );
    const layer = new ResnetBlock2D({ name: 'mine', inChannels: 64 });
    await expectError(
      () => loadLayerWeights(layer, `${server.address}/nowhere.safetensors`, 'x'),
      'the server answers with a web page instead.',
    );
  });

  it('end when too little comes', async () => {
    await using server = await serveWith(({ url }, response) => {
      if (url !== '/slow') return;
      const timer = setInterval(() => response.write('x'), 5);
      response.on('close', () => clearInterval(timer));
    });
    const limits = { ...networkLimits, window: 50, leastBytes: 1000 };
    for (const path of ['/slow', '/silent'])
      await expectError(
        () => receive(server.address + path, {}, () => true, limits),
        `${server.address}${path} is too slow: `,
      );
  });

  it('do not fit into memory as a whole where the server sends no parts and nothing keeps them', async () => {
    await using server = await serveWith(({ method }, response) => {
      response.writeHead(200, { etag: '"1"', 'content-length': 3e9 });
      if (method === 'HEAD') response.end();
      else response.write('weights');
    });
    const url = `${server.address}/weights`;
    await expectError(
      () => new WebFiles().open(url),
      `The server of ${url} does not send parts of files (HTTP range requests), and this browser ` +
        'has no storage for its 3.0 GB, nor memory. Use a server that sends parts of files, or a ' +
        'window that is not private.',
    );
  });

  it('tell the names of weights by their header alone, and come when values are read', async () => {
    const header = buildHeader([['x', { dtype: 'F32', shape: [250], bytes: 1000 }]]);
    const weights = Buffer.concat([header, new Uint8Array(1000)]);
    let [etag, areSent] = ['"1"', false];
    await using server = await serveWith(({ method, url }, response) => {
      response.writeHead(200, { etag, 'content-length': weights.length });
      if (method === 'HEAD') return response.end();
      response.write(weights.subarray(0, -1)); // whatever part was asked for
      if (areSent || url !== '/weights') response.end(weights.subarray(-1));
    });
    const files = new WebFiles();
    const file = await readSafetensors(await files.open(`${server.address}/weights`));
    expect(file.names()).to.deep.equal(['x']);
    areSent = true;
    expect(await file.readRaw('x')).to.have.length(1000);

    const other = await readSafetensors(await files.open(`${server.address}/others`));
    etag = '"2"';
    await expectError(() => other.readRaw('x'), 'others has changed on the server since');
  });

  it('tell how many of them the server tells no size of', async () => {
    await using server = await serveWith(({ method, url }, response) => {
      const sized = url === '/sized' && { 'content-length': 1000 };
      response.writeHead(200, { etag: '"1"', ...sized });
      if (method === 'HEAD') response.end();
      else response.end(Buffer.alloc(1000));
    });
    const urls = ['sized', 'unsized'].map((name) => `${server.address}/${name}`);
    expect(await new WebFiles().download(urls)).to.include({ bytes: 1000, unsizedFiles: 1 });
  });

  it('have no endless configs', async () => {
    await using server = await serveWith((_, response) => {
      const timer = setInterval(() => response.write(Buffer.alloc(2 ** 20, 32)), 1);
      response.on('close', () => clearInterval(timer));
    });
    await expectError(() => new WebFiles().json(server.address), 'is larger than 16.8 MB');
  });
});

describe('files without storage', () => {
  const denied = async () => {
    throw new DOMException('denied', 'SecurityError');
  };
  const empty = { match: async () => undefined, put: async () => {}, delete: async () => true };
  const storages: Record<string, PropertyDescriptor> = {
    'there is none': { value: undefined },
    'its mention throws': {
      get() {
        throw new DOMException('denied', 'SecurityError');
      },
    },
    'it cannot be opened': { value: { open: denied, match: denied } },
    'nothing can be found': { value: { open: async () => ({ ...empty, match: denied }) } },
    'nothing can be kept': { value: { open: async () => ({ ...empty, put: denied }) } },
    'nothing can be kept or removed': {
      value: { open: async () => ({ ...empty, put: denied, delete: denied }) },
    },
    'what is kept cannot be read': {
      value: {
        open: async () => ({
          ...empty,
          match: async () => ({ headers: new Headers({ etag: '"1"' }), blob: denied }),
        }),
      },
    },
  };
  for (const [what, property] of Object.entries(storages)) {
    it(`come all the same: ${what}`, async () => {
      await using server = await serveWith(odd(tiny, {}));
      Object.defineProperty(globalThis, 'caches', { ...property, configurable: true });
      try {
        const files = new WebFiles();
        const config = await files.json(`${server.address}/${JSON_FILE}`);
        await files.fetch([]);
        expect(config._class_name).to.equal('AutoencoderKLTemporalDecoder');
        await using model = await openUrl(server.address);
        expect(await model.files()).to.have.length.above(8);
      } finally {
        delete (globalThis as { caches?: unknown }).caches;
      }
    });
  }

  it('are kept once weights are wanted, also where HEAD is refused, and fetched anew when they have changed', async () => {
    const kept = new Map<string, Response>();
    const cache = {
      match: async (url: string) => kept.get(url)?.clone(),
      put: async (url: string, response: Response) => void kept.set(url, response),
      delete: async (url: string) => kept.delete(url),
    };
    Object.defineProperty(globalThis, 'caches', {
      value: { open: async () => cache },
      configurable: true,
    });
    let version = 1;
    await using server = await serveWith(({ method }, response) => {
      if (method === 'HEAD') return response.writeHead(501).end();
      response.writeHead(200, { etag: `"${version}"` });
      return response.end(version === 3 ? '<html>Log in' : `{"version": ${version}}`);
    });
    const visit = async () => {
      const files = new WebFiles();
      const json = await files.json(server.address);
      await files.fetch([]);
      return json;
    };
    try {
      expect(await new WebFiles().json(server.address)).to.deep.equal({ version: 1 });
      expect(kept.size).to.equal(0);
      expect(await visit()).to.deep.equal({ version: 1 });
      expect(await visit()).to.deep.equal({ version: 1 });
      version = 2;
      expect(await visit()).to.deep.equal({ version: 2 });
      version = 3; // a network that wants a login first
      expect(await visit()).to.deep.equal({ version: 2 });
    } finally {
      delete (globalThis as { caches?: unknown }).caches;
    }
  });
});
