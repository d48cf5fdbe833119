/**
 * A web server: a picture comes in, a video goes out. Pictures queue, and one video is made at a
 * time. A second process computes, because that blocks the event loop: this one always answers.
 *
 *     npx tsx examples/server.ts [model folder]
 *
 *     curl -i -H 'Content-Type: image/jpeg' --data-binary @examples/pictures/rocket.jpg \
 *          'http://127.0.0.1:8080/jobs?seed=42&motionBucketId=180'       # Location: /jobs/ID
 *     curl http://127.0.0.1:8080/jobs/ID                                 # state and progress
 *     curl -H 'Accept: text/event-stream' http://127.0.0.1:8080/jobs/ID  # whenever they change
 *     curl -O http://127.0.0.1:8080/jobs/ID/video.mp4                    # when it is done
 *     curl -X DELETE http://127.0.0.1:8080/jobs/ID                       # cancels, or removes
 *
 * It needs fastify, @fastify/rate-limit and @fastify/send. Whoever knows the id of a job can read
 * and delete it: to serve other machines, put a proxy before it that has HTTPS and knows its users.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import rateLimit from '@fastify/rate-limit';
import send from '@fastify/send';
import Fastify, { type FastifyError, type FastifyRequest } from 'fastify';
import {
  exportToVideo,
  Generator,
  loadImage,
  type Progress,
  packagedModel,
  StableVideoDiffusionPipeline,
} from 'stable-video-diffusion-tfjs';

/** A limit, or what the environment sets it to: `SVD_PORT=80`. */
function limit(name: string, usual: number): number {
  const value = process.env[`SVD_${name}`] ?? `${usual}`;
  if (/^\d+$/.test(value)) return Number(value);
  throw new Error(`SVD_${name} has to be a whole number but is "${value}".`);
}
const maxQueue = limit('QUEUE', 8); // pictures that wait, or are being received
const maxPerMinute = limit('RATE', 10); // pictures from one address
const maxBytes = limit('BYTES', 20_000_000); // of a picture's file
const maxPixels = limit('PIXELS', 50_000_000); // of a picture; decoding takes 20 bytes for each
const keep = limit('KEEP', 3600); // seconds until a finished job is removed
const patience = 1000 * limit('PATIENCE', 30); // for a request to arrive, or a client to read

const model = process.argv[2] ?? packagedModel;
const isTiny = model === packagedModel;
const range = (type: string, minimum: number, maximum: number, usual?: number) => ({
  ...{ type, minimum, maximum, default: usual },
});
/** The settings that a query may have, as JSON schema. */
const ranges = {
  seed: range('integer', 0, 2 ** 32 - 1), // default: random
  height: { ...range('integer', 64, 1024, isTiny ? 64 : 576), multipleOf: 8 },
  width: { ...range('integer', 64, 1024, isTiny ? 96 : 1024), multipleOf: 8 },
  numFrames: range('integer', 2, 25, isTiny ? 8 : 25),
  numInferenceSteps: range('integer', 1, 50, isTiny ? 10 : 25),
  fps: range('integer', 1, 30, 7),
  motionBucketId: range('number', 0, 255, 127),
  noiseAugStrength: range('number', 0, 1, 0.02),
};
type Settings = Record<keyof typeof ranges, number>;

type ToWorker = { picture: Uint8Array; settings: Settings; path: string } | 'cancel';
type FromWorker = Progress | { error?: string };

/** What the second process does. */
async function compute(): Promise<void> {
  const tell = (message: FromWorker) => process.send!(message);
  process.on('disconnect', () => process.exit()); // the server has stopped, or died
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {}); // for the server
  console.log(`Loading the model in process ${process.pid} ...`);
  const pipe = await StableVideoDiffusionPipeline.fromPretrained(model);
  let stop = new AbortController();
  process.on('message', async (message: ToWorker) => {
    if (message === 'cancel') return stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    const { seed, ...settings } = message.settings;
    try {
      const image = await loadImage(message.picture, { maxPixels });
      const call = { ...settings, generator: new Generator(seed), signal, onProgress: tell };
      const { frames } = await pipe.generate(image, call);
      await exportToVideo(frames[0], message.path, { fps: settings.fps, signal });
      tell({});
    } catch (error) {
      tell({ error: (error as Error).message });
    }
  });
}

interface Job {
  id: string;
  settings: Settings;
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';
  picture?: Buffer;
  progress?: Progress;
  error?: string;
  begun?: number; // seconds, as `now` counts them
  ended?: number;
  version: number; // counts the changes
}

const isWorker = process.env.SVD_WORKER !== undefined;
const folder = isWorker ? '' : mkdtempSync(join(tmpdir(), 'svd-server-'));
const jobs = new Map<string, Job>();
const removed = new Set<string>();
const waiting: Job[] = [];
let current: Job | undefined; // what the worker is busy with, also until a cancelled job stops
const changes = new EventEmitter().setMaxListeners(0); // emits the ids of jobs
let worker: ChildProcess;
let isStopping = false;

const pathOf = ({ id }: Job) => join(folder, `${id}.mp4`);
const now = () => performance.now() / 1000;
const tell = (message: ToWorker) => worker.send(message, () => {}); // 'exit' tells if it is gone

function startWorker(): void {
  const env = { ...process.env, SVD_WORKER: 'yes' };
  worker = fork(fileURLToPath(import.meta.url), [model], { env, serialization: 'advanced' });
  worker.on('message', (message: FromWorker) => {
    if (!('stage' in message)) return endCurrent(message.error);
    if (current?.state !== 'running') return;
    Object.assign(current, { progress: message, begun: current.begun ?? now() });
    announce(current);
  });
  worker.on('exit', (_, signal) => {
    if (isStopping) return;
    if (!signal) process.exit(1); // it has said why it cannot load the model
    console.error(`The process that computes was ended by ${signal}.`);
    startWorker();
    endCurrent('The process that made the video has died. Send the picture again.');
  });
}

function startNext(): void {
  if (current || waiting.length === 0) return;
  current = waiting.shift()!;
  tell({ picture: current.picture!, settings: current.settings, path: pathOf(current) });
  Object.assign(current, { state: 'running', picture: undefined });
  announce(current);
}

function endCurrent(error?: string): void {
  const job = current;
  current = undefined;
  if (job?.state === 'running') end(job, error ? 'failed' : 'done', error);
  else if (job) rmSync(pathOf(job), { force: true }); // it was cancelled
  startNext();
}

function end(job: Job, state: Job['state'], error?: string): void {
  Object.assign(job, { state, error, ended: now(), picture: undefined });
  // A part of the id, because the whole one would let readers of the log fetch the video.
  console.log(`${job.id.slice(0, 8)} ${state}${error ? `: ${error}` : ''}`);
  announce(job);
}

function cancel(job: Job, reason: string): void {
  if (job === current) tell('cancel');
  else waiting.splice(waiting.indexOf(job), 1);
  end(job, 'cancelled', reason);
}

function remove(job: Job): void {
  jobs.delete(job.id);
  removed.add(job.id);
  if (removed.size > 10_000) removed.delete(removed.values().next().value!);
  rmSync(pathOf(job), { force: true });
}

/** Tells the clients of a job that it has changed. */
const announce = (job: Job) => changes.emit(job.id, ++job.version);

function shareDone({ state, progress }: Job): number {
  if (state === 'done') return 1;
  const done = progress ? progress.step / progress.steps : 0;
  if (progress?.stage === 'sampling') return 0.03 + 0.87 * done;
  return progress?.stage === 'decoding' ? 0.9 + 0.1 * done : 0.03 * done;
}

function secondsLeft(job: Job | undefined): number | undefined {
  if (job?.state !== 'running' || !job.begun) return undefined;
  return Math.ceil((now() - job.begun) * (1 / shareDone(job) - 1));
}

/** What clients see of a job. The next one has position 1. */
const describe = (job: Job) => ({
  ...{ id: job.id, state: job.state, error: job.error, settings: job.settings },
  position: waiting.indexOf(job) + 1 || undefined,
  progress: Number(shareDone(job).toFixed(3)),
  secondsLeft: secondsLeft(job),
  video: job.state === 'done' ? `/jobs/${job.id}/video.mp4` : undefined,
});

const app = Fastify({
  bodyLimit: maxBytes,
  requestTimeout: patience,
  connectionTimeout: patience, // without a byte read or written
  http: { headersTimeout: patience, connectionsCheckingInterval: 1000 },
  trustProxy: process.env.SVD_PROXY ?? false, // such as "loopback", for the rate of its clients
  ajv: { customOptions: { removeAdditional: false, verbose: true } },
  schemaErrorFormatter([error]) {
    const { instancePath, message, params, data } = error as typeof error & { data: unknown };
    const unknown = params.additionalProperty;
    const wrong = `"${instancePath.slice(1)}" ${message} but is ${JSON.stringify(data)}.`;
    const names = Object.keys(ranges).join(', ');
    return new Error(unknown ? `There is no setting "${unknown}". Use ${names}.` : wrong);
  },
});
app.server.maxConnections = limit('CONNECTIONS', 200);
app.server.maxHeadersCount = 64;
await app.register(rateLimit, {
  ...{ global: false, max: maxPerMinute, timeWindow: 60_000 },
  errorResponseBuilder: () => refusal(429, `Send at most ${maxPerMinute} pictures a minute.`),
});
app.removeAllContentTypeParsers();
const types = /^image\/(png|jpeg|webp|gif|avif|tiff|bmp)$/i;
app.addContentTypeParser(types, { parseAs: 'buffer' }, async (_: unknown, body: Buffer) => body);
app.addContentTypeParser('*', async () => {
  throw refusal(415, 'Send a picture as the body, with its type in Content-Type: image/png.');
});
const always = { 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' };
app.addHook('onRequest', async (_, reply) => void reply.headers(always));

const arriving = new Set<FastifyRequest>(); // with pictures
const refusal = (statusCode: number, message: string) =>
  Object.assign(new Error(message), { statusCode });

app.setErrorHandler(({ statusCode = 500, message }: FastifyError, request, reply) => {
  if (statusCode === 500) console.error(message);
  const others = { 413: `Send at most ${maxBytes} bytes.`, 500: 'The server has failed.' };
  const answer = { statusCode, message: others[statusCode as keyof typeof others] ?? message };
  if (request.method !== 'POST' || request.raw.complete) return reply.code(statusCode).send(answer);
  arriving.delete(request);
  // Reads no more of the picture. The client has a second to read why, before it is cut off.
  request.raw.pause();
  const text = JSON.stringify(answer);
  const size = Buffer.byteLength(text);
  reply.hijack().type('application/json').headers({ Connection: 'close', 'Content-Length': size });
  reply.raw.writeHead(statusCode, reply.getHeaders() as OutgoingHttpHeaders);
  reply.raw.write(text, () => setTimeout(() => reply.raw.destroy(), 1000));
});

app.post('/jobs', {
  config: { rateLimit: {} },
  schema: { querystring: { type: 'object', properties: ranges, additionalProperties: false } },
  async preParsing(request, reply) {
    if (isStopping || waiting.length + arriving.size >= maxQueue) {
      reply.header('Retry-After', secondsLeft(current) || 10);
      throw refusal(503, 'The queue is full. Try again later.');
    }
    arriving.add(request);
    reply.raw.once('close', () => arriving.delete(request));
  },
  async handler(request, reply) {
    const picture = (request.body ?? Buffer.alloc(0)) as Buffer;
    await loadImage(picture, { maxPixels }).catch(({ message }) => {
      throw refusal(422, message);
    });
    if (isStopping || reply.raw.destroyed) throw refusal(503, 'The server stops.');
    const settings = Object.assign({ seed: randomInt(2 ** 32) }, request.query as Settings);
    const job: Job = { id: randomUUID(), settings, picture, state: 'waiting', version: 0 };
    arriving.delete(request);
    jobs.set(job.id, job);
    waiting.push(job);
    startNext();
    return reply.code(202).header('Location', `/jobs/${job.id}`).send(describe(job));
  },
});

function jobOf({ params }: FastifyRequest): Job {
  const { id } = params as { id: string };
  const job = jobs.get(id);
  if (job) return job;
  if (removed.has(id)) throw refusal(410, 'The job was removed. Send the picture again.');
  throw refusal(404, 'There is no such job. POST a picture to /jobs.');
}

app.get('/jobs/:id', async (request, reply) => {
  const job = jobOf(request);
  if (request.method === 'HEAD' || !request.headers.accept?.includes('text/event-stream'))
    return reply.header('Vary', 'Accept').send(describe(job));
  if (job.ended && request.headers['last-event-id'] === `${job.version}`)
    return reply.code(204).send(); // it has the end: EventSource stops
  reply.hijack();
  await sendEvents(job, reply.raw).catch(() => {}); // the client has gone
});

/** Sends what has changed. A client that is slow to read gets the latest state, not all of them. */
async function sendEvents(job: Job, response: ServerResponse): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const headers = { ...always, 'Content-Type': 'text/event-stream', Connection: 'close' };
  response.writeHead(200, headers);
  for (;;) {
    const { version, ended } = job;
    const event = `event: ${ended ? 'end' : 'progress'}\nid: ${version}\nretry: 2000\n`;
    const isRead = response.write(`${event}data: ${JSON.stringify(describe(job))}\n\n`);
    if (ended) return void response.end();
    if (!isRead) await once(response, 'drain', { signal: gone.signal });
    if (version === job.version) await once(changes, job.id, { signal: gone.signal });
  }
}

app.get('/jobs/:id/video.mp4', async (request, reply) => {
  const { id, state, error } = jobOf(request);
  const status = { waiting: 404, running: 404, failed: 409, cancelled: 410, done: 0 }[state];
  if (status) throw refusal(status, `There is no video. ${error ?? 'It is not ready yet.'}`);
  const video = await send(request.raw, `${id}.mp4`, { root: folder, cacheControl: false });
  return reply.code(video.statusCode).headers(video.headers).send(video.stream);
});

app.delete('/jobs/:id', async (request, reply) => {
  const job = jobOf(request);
  if (job.ended) remove(job);
  else cancel(job, 'It was cancelled by DELETE.');
  return reply.code(204).send();
});

/** Cancels what is left, because the videos go with the server, and lets clients read that. */
function stop(): void {
  if (isStopping) return;
  isStopping = true;
  console.log('Stopping ...');
  for (const job of jobs.values()) if (!job.ended) cancel(job, 'The server stops.');
  if (worker.connected) worker.disconnect();
  void app.close();
  setTimeout(() => process.exit(), 1000 * limit('GRACE', 5)).unref(); // for downloads
}

if (isWorker) await compute();
else {
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, stop);
  // Tells waiting clients their position; without a word, their connections would be idle.
  setInterval(() => {
    for (const job of jobs.values())
      if (!job.ended) announce(job);
      else if (now() - job.ended > keep) remove(job);
  }, 1000).unref();
  startWorker();
  const host = process.env.SVD_HOST ?? '127.0.0.1';
  console.log(`Listening on ${await app.listen({ host, port: limit('PORT', 8080) })} ...`);
}
