/** Servers on this machine for tests of requests: whatever is asked for, and forward proxies. */
import { once } from 'node:events';
import http, { type IncomingMessage, type RequestListener, type Server } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { cert, key } from './certificate.ts';

/** A server that listens until it is disposed. */
export interface Running extends AsyncDisposable {
  port: number;
  /** Without a slash at its end. */
  address: string;
}

/** Starts a server, with TLS if `tls`. */
export async function serveWith(listener: RequestListener, tls = false): Promise<Running> {
  return running(tls ? https.createServer({ cert, key }, listener) : http.createServer(listener));
}

async function running(server: Server | https.Server): Promise<Running> {
  const sockets = new Set<Duplex>();
  server.on('connection', (socket: Duplex) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    address: `http${server instanceof https.Server ? 's' : ''}://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

/** The address of a port that nobody listens on. */
export async function closedAddress(): Promise<string> {
  await using server = await serveWith(() => {});
  return server.address;
}

/** A proxy that runs. */
export interface TestProxy extends Running {
  /** What it was asked for, such as `CONNECT hub.corp.example:443`. */
  seen: string[];
}

/** How a proxy behaves. */
export interface ProxyOptions {
  /** The only host that it knows, which is this machine. */
  host?: string;
  /** `NAME:PASSWORD` that it wants. */
  credentials?: string;
  /** Whether it is asked over TLS. */
  tls?: boolean;
}

/** Starts a forward proxy. */
export async function startProxy(options: ProxyOptions = {}): Promise<TestProxy> {
  const { host = 'hub.corp.example', credentials, tls } = options;
  const seen: string[] = [];
  const known = (name: string) => (name === host ? '127.0.0.1' : undefined);
  const mayPass = ({ headers }: IncomingMessage) =>
    credentials === undefined ||
    headers['proxy-authorization'] === `Basic ${Buffer.from(credentials).toString('base64')}`;
  const listener: RequestListener = (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    const url = new URL(request.url!);
    if (!mayPass(request)) return response.writeHead(407).end();
    if (!known(url.hostname)) return response.writeHead(502).end();
    const { method } = request;
    const { 'proxy-authorization': _, ...headers } = request.headers;
    const path = url.pathname + url.search;
    const to = { host: known(url.hostname), port: url.port, path, method, headers };
    const onward = http.request(to, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
    return undefined;
  };
  const server = tls ? https.createServer({ cert, key }, listener) : http.createServer(listener);
  server.on('connect', (request: IncomingMessage, client: Duplex) => {
    seen.push(`CONNECT ${request.url}`);
    const [name, port] = request.url!.split(':');
    client.on('error', () => {});
    if (!mayPass(request)) return client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    if (!known(name!)) return client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const onward = net.connect(Number(port), known(name!), () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(client);
      client.pipe(onward);
    });
    onward.on('error', () => client.destroy());
    return undefined;
  });
  return { ...(await running(server)), seen };
}

/** The variables of the environment that say how to reach others. */
const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'];
const others = ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'];

/** Runs with these variables and none else of their kind. */
export async function withEnvironment<T>(
  variables: Record<string, string>,
  work: () => Promise<T>,
): Promise<T> {
  const { env } = process;
  process.env = { ...env };
  for (const name of [...names, ...names.map((name) => name.toLowerCase()), ...others])
    delete process.env[name];
  Object.assign(process.env, variables);
  try {
    return await work();
  } finally {
    process.env = env;
  }
}

/** The message of the error that `work` rejects with. */
export async function messageOf(work: () => Promise<unknown>): Promise<string> {
  const error = await work().then(
    () => new Error('it was fulfilled'),
    (thrown: Error) => thrown,
  );
  return error.message;
}
