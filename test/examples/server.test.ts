/** Uses `examples/server.ts` over HTTP, as its clients do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { built } from '../harness/built.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const picture = readFileSync(`${root}examples/pictures/toy-rocket.png`);
const png = { 'Content-Type': 'image/png' };
const short = 'seed=1&height=64&width=64&numFrames=2&numInferenceSteps=2';
const long = 'seed=1&height=96&width=96&numFrames=25&numInferenceSteps=50';

interface Server {
  process: ChildProcess;
  url: string;
  folder: string; // for what is temporary
  log: () => string;
}

async function start(limits: Record<string, string>): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'svd-server-test-'));
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/server.ts'], {
    cwd: root,
    env: { ...process.env, TMPDIR: folder, SVD_PORT: '0', ...limits },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  let url: string | undefined;
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (log += data));
  while (url === undefined) {
    if (child.exitCode !== null) throw new Error(`The server has ended: ${log}`);
    await sleep(20);
    url = /Listening on (\S+)/.exec(log)?.[1];
  }
  return { process: child, url, folder, log: () => log };
}

async function end({ process, folder }: Server): Promise<void> {
  process.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
}

interface Job {
  id: string;
  state: string;
  position?: number;
  progress: number;
  secondsLeft?: number;
  video?: string;
}

/** Sends a picture and returns the address of its job. */
async function send({ url }: Server, query = short, headers = {}): Promise<string> {
  const response = await fetch(`${url}/jobs?${query}`, post(picture, { ...png, ...headers }));
  expect(response.status, await response.clone().text()).to.equal(202);
  const { id } = (await response.json()) as Job;
  expect(response.headers.get('location')).to.equal(`/jobs/${id}`);
  return `${url}/jobs/${id}`;
}

const jobAt = async (address: string) => (await (await fetch(address)).json()) as Job;

/** Expects a refusal, and returns its sentence. */
async function refused(status: number, address: string, init: RequestInit = {}): Promise<string> {
  const response = await fetch(address, init);
  expect(response.headers.get('content-type')).to.contain('application/json');
  expect(response.headers.get('x-content-type-options')).to.equal('nosniff');
  const body = (await response.json()) as { statusCode: number; message: string };
  expect(response.status, body.message).to.equal(status);
  expect(body.statusCode).to.equal(status);
  return body.message;
}

const post = (body: BodyInit, headers: Record<string, string> = png): RequestInit => ({
  ...{ method: 'POST', headers, body, duplex: 'half' },
});

interface Event {
  event: string;
  id: string;
  retry: string;
  job: Job;
}

/** The events of a job, until the server ends them. */
async function* eventsOf(address: string): AsyncGenerator<Event> {
  const response = await fetch(address, { headers: { Accept: 'text/event-stream' } });
  expect(response.headers.get('content-type')).to.equal('text/event-stream');
  expect(response.headers.get('x-content-type-options')).to.equal('nosniff');
  let buffered = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (buffered + chunk).split('\n\n');
    buffered = parts.pop()!;
    for (const part of parts) {
      const fields = [...part.matchAll(/^(\w+): (.*)$/gm)].map(([, name, value]) => [name, value]);
      const { data, ...event } = Object.fromEntries(fields);
      yield { ...event, job: JSON.parse(data) };
    }
  }
}

async function lastOf(address: string): Promise<Job> {
  let last: Event | undefined;
  for await (const event of eventsOf(address)) last = event;
  expect(last?.event).to.equal('end');
  return last!.job;
}

/** The first state of a job that is as `test` wants. */
async function until(address: string, test: (job: Job) => boolean): Promise<Job> {
  for await (const { job } of eventsOf(address)) if (test(job)) return job;
  throw new Error('The job has ended before.');
}

describe('the server of the examples @slow', () => {
  let server: Server;
  before(async () => {
    built('src/index.js');
    const size = { SVD_BYTES: '200000', SVD_PIXELS: '100000' };
    server = await start({ SVD_QUEUE: '1', SVD_RATE: '1000', ...size });
  });
  after(() => end(server));

  it('makes a video, and tells how far it is', async () => {
    const address = await send(server);
    const events: Event[] = [];
    for await (const event of eventsOf(address)) events.push(event);
    const ids = events.map(({ id }) => Number(id));
    expect(ids).to.deep.equal([...new Set(ids)].sort((a, b) => a - b));
    for (const { retry } of events) expect(Number(retry)).to.be.above(0);
    const shares = events.map(({ job }) => job.progress);
    expect(shares).to.deep.equal([...shares].sort((a, b) => a - b));
    const last = events.at(-1)!;
    expect(events.filter(({ event }) => event !== 'progress')).to.deep.equal([last]);
    expect(last.event).to.equal('end');
    expect(last.job).to.include({ state: 'done', progress: 1 });
    expect(await jobAt(address)).to.deep.equal(last.job);
    expect(`${server.url}${last.job.video}`).to.equal(`${address}/video.mp4`);

    const again = { Accept: 'text/event-stream', 'Last-Event-ID': last.id };
    expect((await fetch(address, { headers: again })).status).to.equal(204);
  });

  it('serves the video, whole and in ranges, until it is deleted', async () => {
    const address = await send(server);
    await lastOf(address);
    const video = `${address}/video.mp4`;
    const response = await fetch(video);
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.equal('video/mp4');
    expect(response.headers.get('x-content-type-options')).to.equal('nosniff');
    expect(response.headers.get('access-control-allow-origin')).to.equal(null);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.subarray(4, 8).toString()).to.equal('ftyp');
    const part = await fetch(video, { headers: { Range: 'bytes=4-7' } });
    expect(part.status).to.equal(206);
    expect(part.headers.get('content-range')).to.equal(`bytes 4-7/${bytes.length}`);
    expect(await part.text()).to.equal('ftyp');
    const beyond = await fetch(video, { headers: { Range: `bytes=${bytes.length}-` } });
    expect(beyond.status).to.equal(416);
    await beyond.arrayBuffer();
    const head = await fetch(video, { method: 'HEAD' });
    expect(head.headers.get('content-length')).to.equal(`${bytes.length}`);

    expect((await fetch(address, { method: 'DELETE' })).status).to.equal(204);
    for (const gone of [address, video]) expect(await refused(410, gone)).to.contain('was removed');
  });

  it('serves two clients at once, and equal settings give equal videos', async () => {
    const [first, second] = [await send(server), await send(server)];
    const head = { method: 'HEAD', headers: { Accept: 'text/event-stream' } };
    expect((await fetch(first, head)).headers.get('content-type')).to.contain('application/json');
    const jobs = await Promise.all([first, second].map(lastOf));
    expect(jobs.map(({ state }) => state)).to.deep.equal(['done', 'done']);
    const videos = await Promise.all(
      [first, second].map(async (address) => (await fetch(`${address}/video.mp4`)).arrayBuffer()),
    );
    expect(Buffer.from(videos[0]!).equals(Buffer.from(videos[1]!))).to.equal(true);
  });

  it('refuses pictures when the queue is full, and cancels what runs and what waits', async () => {
    const running = await send(server, long);
    const { secondsLeft } = await until(running, ({ progress }) => progress > 0);
    expect(secondsLeft).to.be.above(0);
    expect(await refused(404, `${running}/video.mp4`)).to.contain('not ready yet');
    const waiting = await send(server);
    expect(await jobAt(waiting)).to.include({ state: 'waiting', position: 1 });
    const full = await fetch(`${server.url}/jobs?${short}`, post(picture));
    expect(full.status).to.equal(503);
    expect(Number(full.headers.get('retry-after'))).to.be.above(0);
    expect(await full.text()).to.contain('queue is full');

    expect((await fetch(waiting, { method: 'DELETE' })).status).to.equal(204);
    const next = await send(server); // there is room again
    const ends = lastOf(running);
    expect((await fetch(running, { method: 'DELETE' })).status).to.equal(204);
    expect((await ends).state).to.equal('cancelled');
    for (const address of [running, waiting]) {
      expect((await jobAt(address)).state).to.equal('cancelled');
      expect(await refused(410, `${address}/video.mp4`)).to.contain('cancelled');
    }
    expect((await lastOf(next)).state).to.equal('done');
  });

  it('refuses bodies that are too large, and reads no further', async () => {
    const jobs = `${server.url}/jobs?${short}`;
    expect(await refused(413, jobs, post(Buffer.alloc(200_001)))).to.equal(
      'Send at most 200000 bytes.',
    );
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    expect(await refused(413, jobs, post(endless))).to.equal('Send at most 200000 bytes.');
    expect(sent).to.be.below(50e6);
    expect((await lastOf(await send(server))).state).to.equal('done');
  });

  it('refuses what is not a picture', async () => {
    const jobs = `${server.url}/jobs?${short}`;
    for (const type of ['text/plain', 'application/json', 'image/svg+xml', 'multipart/form-data'])
      expect(await refused(415, jobs, post(picture, { 'Content-Type': type }))).to.contain(
        'image/png',
      );
    const page = Buffer.from('<!doctype html><title>Not found</title>');
    expect(await refused(422, jobs, post(page))).to.contain('is a web page');
    expect(await refused(422, jobs, post(picture.subarray(0, 200)))).to.contain('cut short');
    expect(await refused(422, jobs, { method: 'POST' })).to.contain('is empty');
    const large = await readFile(`${root}examples/pictures/rocket.jpg`);
    expect(await refused(422, jobs, post(large, { 'Content-Type': 'image/jpeg' }))).to.contain(
      'million pixels',
    );
  });

  it('refuses settings with the reason, and odd addresses', async () => {
    const wrong = {
      'height=100': '"height" must be multiple of 8 but is 100.',
      'height=99999': '"height" must be <= 1024 but is 99999.',
      'numFrames=2.5': '"numFrames" must be integer but is "2.5".',
      'numFrames=': '"numFrames" must be integer but is "".',
      'fps=x': '"fps" must be integer but is "x".',
      'fps=7&fps=8': '"fps" must be integer but is ["7","8"].',
      'seed=-1': '"seed" must be >= 0 but is -1.',
      'steps=3': 'There is no setting "steps". Use seed, height,',
      '__proto__=3': 'There is no setting "__proto__".',
    };
    for (const [query, sentence] of Object.entries(wrong))
      expect(await refused(400, `${server.url}/jobs?${query}`, post(picture))).to.contain(sentence);
    for (const path of [
      '/',
      '/jobs',
      '/jobs/none',
      '/jobs/none/video.mp4',
      '/jobs/..%2f..%2fx/video.mp4',
    ])
      await refused(404, server.url + path);
    await refused(404, `${server.url}/jobs/none`, { method: 'DELETE' });
    expect((await fetch(`${server.url}/jobs`, { method: 'OPTIONS' })).status).to.equal(404);
  });

  it('goes on when the process that computes dies', async () => {
    const address = await send(server, long);
    await until(address, ({ progress }) => progress > 0);
    process.kill(Number(/in process (\d+)/.exec(server.log())![1]), 'SIGKILL');
    expect(await lastOf(address)).to.include({ state: 'failed' });
    expect(await refused(409, `${address}/video.mp4`)).to.contain('has died');
    expect((await lastOf(await send(server))).state).to.equal('done');
  });

  it('stops on SIGTERM: tells the clients, and leaves nothing', async () => {
    const address = await send(server, long);
    await until(address, ({ progress }) => progress > 0);
    const [videos] = await readdir(server.folder);
    expect(videos).to.match(/^svd-server-/);
    const ends = lastOf(address);
    const exit = once(server.process, 'exit');
    await sleep(100); // the stream is open
    server.process.kill('SIGTERM');
    expect(await ends).to.include({ state: 'cancelled', error: 'The server stops.' });
    expect(await exit).to.deep.equal([0, null]);
    expect(existsSync(join(server.folder, videos!))).to.equal(false);
    expect(server.log()).to.contain('Stopping').and.not.contain(address.split('/').at(-1));
  });
});

describe('the server of the examples with low limits @slow', () => {
  let server: Server;
  before(async () => {
    const times = { SVD_PATIENCE: '3', SVD_KEEP: '1' };
    server = await start({ SVD_QUEUE: '1', SVD_RATE: '3', SVD_PROXY: 'loopback', ...times });
  });
  after(() => end(server));

  /** What the server answers on a connection that sends only this. */
  async function raw(request: string): Promise<string> {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.write(request);
    return text(socket);
  }

  const head = `POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n`;

  it('ends requests that stand still or are gone, and keeps no place for them', async () => {
    expect(await raw('GET /jobs')).to.match(/^(HTTP\/1\.1 408|$)/);
    expect(await raw(`${head}\r\nbegin`)).to.match(/^(HTTP\/1\.1 408|$)/);
    const gone = connect(Number(new URL(server.url).port), '127.0.0.1');
    gone.write(`${head}\r\nbegin`);
    await sleep(100);
    gone.destroy();
    await sleep(100);
    const forwarded = { 'X-Forwarded-For': '192.0.2.1' };
    const address = await send(server, short, forwarded);
    while ((await fetch(address)).status === 200) await sleep(100); // until it is done and removed
    expect(await refused(410, `${address}/video.mp4`)).to.contain('was removed');
    const [videos] = await readdir(server.folder);
    expect(await readdir(join(server.folder, videos!))).to.deep.equal([]);
  });

  it('takes so many pictures a minute from one address', async () => {
    const from = (address: string) => ({ ...png, 'X-Forwarded-For': address });
    const body = Buffer.from('no picture');
    const jobs = `${server.url}/jobs`;
    const network = ['2001:db8::1', '2001:db8::2', '2001:db8:0:0:3::'];
    for (const address of network) await refused(422, jobs, post(body, from(address)));
    const response = await fetch(jobs, post(body, from('2001:db8::4')));
    expect(response.status).to.equal(429);
    expect(Number(response.headers.get('retry-after'))).to.be.within(1, 60);
    expect(await response.text()).to.contain('at most 3 pictures a minute');
    await refused(422, jobs, post(body, from('2001:db8:0:1::1')));
  });

  it('refuses headers without end', async () => {
    const filler = `X-Filler: ${'x'.repeat(20_000)}\r\n`;
    expect(await raw(`GET /jobs/x HTTP/1.1\r\nHost: x\r\n${filler}\r\n`)).to.match(
      /^HTTP\/1\.1 431/,
    );
  });
});
