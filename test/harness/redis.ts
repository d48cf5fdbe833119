/** A real Redis for tests, on a free port and in a folder of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** The settings of a Redis that keeps every job. */
const keeping = [
  '--appendonly',
  'yes',
  '--appendfsync',
  'always',
  '--maxmemory-policy',
  'noeviction',
];

/** A server that can be killed and started again from its log. */
export class RedisServer {
  readonly port: number;
  private readonly folder: string;
  private readonly settings: string[];
  private process?: ChildProcess;

  private constructor(port: number, folder: string, settings: string[]) {
    this.port = port;
    this.folder = folder;
    this.settings = settings;
  }

  /** @throws Error that names the package if there is no redis-server. */
  static async start(settings = keeping): Promise<RedisServer> {
    if (spawnSync('redis-server', ['--version']).error)
      throw new Error('The tests of the queue need Redis: apt-get install redis-server');
    const folder = await mkdtemp(join(tmpdir(), 'svd-test-'));
    const server = new RedisServer(await freePort(), folder, settings);
    await server.run();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, with what its log holds, and waits until it answers. */
  async run(): Promise<void> {
    const own = [
      '--port',
      `${this.port}`,
      '--bind',
      '127.0.0.1',
      '--dir',
      this.folder,
      '--save',
      '',
    ];
    this.process = spawn('redis-server', [...own, ...this.settings], { stdio: 'ignore' });
    while ((await this.ping()) !== '+PONG') await delay(20);
  }

  /** Ends it as a lost machine does. */
  async kill(): Promise<void> {
    const ended = once(this.process!, 'exit');
    this.process!.kill('SIGKILL');
    await ended;
  }

  async remove(): Promise<void> {
    if (this.process?.exitCode === null && this.process.signalCode === null) await this.kill();
    await rm(this.folder, { recursive: true });
  }

  private ping(): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1', () => socket.write('PING\r\n'));
      socket.on('data', (data) => {
        socket.destroy();
        resolve(data.toString().trim());
      });
      socket.on('error', () => resolve(''));
    });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A Redis for the suite around the call. */
export function redisForSuite(): { readonly url: string; readonly server: RedisServer } {
  let server: RedisServer;
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server?.remove());
  return {
    get url() {
      return server.url;
    },
    get server() {
      return server;
    },
  };
}
