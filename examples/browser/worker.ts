/** The worker: makes videos while the page stays responsive. */
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import {
  DeviceLostError,
  describeModel,
  Generator,
  latentPreviews,
  MemoryError,
  type Progress,
  StableVideoDiffusionPipeline,
  useBrowserBackend,
} from 'stable-video-diffusion-tfjs/browser';
import { encode, formatsFor } from './encode.ts';
import type { FromWorker, Request, ToWorker } from './messages.ts';

setWasmPaths(new URL('./', self.location.href).href);
const post = (message: FromWorker) => self.postMessage(message);
// Browsers have locks on https and localhost only.
void navigator.locks?.request(self.name, () => {
  post({ type: 'locked' });
  return new Promise(() => {});
});
let running: AbortController | undefined;
/** Whether a failure leaves the worker as it was: it has a model, and has not begun to compute. */
let reusable = false;
/** The field of the page to which a failure belongs. */
let field: string | undefined;
let loaded: { key: string; on: unknown; pipe: StableVideoDiffusionPipeline } | undefined;
/** Goes on with a download that the visitor was asked about. */
let goOn: (() => void) | undefined;

self.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'cancel') return running?.abort(new DOMException('Cancelled.', 'AbortError'));
  if (data.type === 'download') return goOn?.();
  running = new AbortController();
  const { signal } = running;
  try {
    if (data.type === 'generate') return await generate(data.request, signal);
    const { frames, fps, format } = data;
    [reusable, field] = [true, 'downloads'];
    post({ type: 'encoded', format, video: await encode(frames, { fps, format, signal }) });
  } catch (error) {
    let { message } = error as Error;
    if (error instanceof MemoryError && / \d+x\d+ /.test(message)) field = 'width';
    if (error instanceof DeviceLostError) {
      field = undefined;
      message = `${error.loss} The next video starts on another one.`;
    }
    post(signal.aborted ? { type: 'cancelled' } : { type: 'failed', message, reusable, field });
  }
};

async function generate(request: Request, signal: AbortSignal): Promise<void> {
  const start = performance.now();
  const { picture, backend, seed, settings } = request;
  [reusable, field] = [false, 'backend'];
  const { name, refused } = await useBrowserBackend(backend);
  const note = refused.map(({ name, reason }) => `no ${name}: ${reason}`).join('; ');
  post({ type: 'backend', name, note });
  field = 'model';
  const pipe = await load(name, request, signal);
  [reusable, field] = [true, undefined];
  const formats = await formatsFor(settings);
  const { frames } = await pipe.generate(picture, {
    ...settings,
    generator: new Generator(seed),
    signal,
    onProgress: (progress) => {
      reusable = false;
      onProgress(progress);
    },
    ...latentPreviews(picture, ([frames]) => post({ type: 'preview', frames: frames! })),
  });
  const [{ fps }, video] = [settings, frames[0]!];
  post({
    type: 'done',
    frames: video,
    video: await encode(video, { fps, format: 'mp4', signal }),
    formats,
    seconds: (performance.now() - start) / 1000,
  });
}

const onProgress = (progress: Progress) => post({ type: 'progress', progress });

/** The pipeline of the request, which may be there from the last one. */
async function load(
  backend: string,
  request: Request,
  signal: AbortSignal,
): Promise<StableVideoDiffusionPipeline> {
  const { model, variant } = request;
  const key = [backend, model, variant].join();
  // A device that was lost has taken its weights along.
  if (loaded?.key === key && loaded.on === tf.backend()) return loaded.pipe;
  const pipe = await loadAnew(request, signal).catch((error) => {
    if (variant && error.message.includes(`.${variant}.`)) field = 'variant';
    throw error;
  });
  loaded = { key, on: tf.backend(), pipe };
  return pipe;
}

async function loadAnew(
  request: Request,
  signal: AbortSignal,
): Promise<StableVideoDiffusionPipeline> {
  const { isOwn, model, variant, settings } = request;
  if (!isOwn) await askBeforeDownload(request, signal);
  loaded?.pipe.dispose();
  loaded = undefined;
  return StableVideoDiffusionPipeline.fromPretrained(model, {
    variant,
    plannedFor: settings,
    onProgress,
    signal,
  });
}

/**
 * Shows the visitor what there is to download and how the call would run, and waits for an answer.
 * @throws MemoryError if the call does not fit; the signal's reason if the answer is no.
 */
async function askBeforeDownload(
  { model, variant, settings }: Request,
  signal: AbortSignal,
): Promise<void> {
  const description = await describeModel(model, { ...settings, variant, signal });
  const { advice, download } = description;
  if (advice !== undefined) throw new MemoryError(advice);
  if (download.storedBytes === download.bytes && download.unsizedFiles === 0) return;
  await new Promise<void>((resolve, reject) => {
    goOn = resolve;
    signal.onabort = () => reject(signal.reason);
    post({ type: 'question', model, description });
  });
}
