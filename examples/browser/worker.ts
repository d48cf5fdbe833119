/** The worker: makes videos while the page stays responsive. */
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';
import {
  canEncodeVideo,
  encodeVideo,
  Generator,
  type Progress,
  StableVideoDiffusionPipeline,
  useBrowserBackend,
} from 'stable-video-diffusion-tfjs/browser';
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
let loaded: { key: string; pipe: StableVideoDiffusionPipeline } | undefined;

self.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'cancel') return running?.abort(new DOMException('Cancelled.', 'AbortError'));
  running = new AbortController();
  const { signal } = running;
  try {
    await generate(data.request, signal);
  } catch (error) {
    post(
      signal.aborted
        ? { type: 'cancelled' }
        : { type: 'failed', message: (error as Error).message, reusable },
    );
  }
};

async function generate(
  { picture, model, variant, backend, seed, settings }: Request,
  signal: AbortSignal,
): Promise<void> {
  const start = performance.now();
  reusable = false;
  const { name, refused } = await useBrowserBackend(backend);
  post({
    type: 'backend',
    name,
    note: refused.map(({ name, reason }) => `no ${name}: ${reason}`).join('; '),
  });
  const onProgress = (progress: Progress) => post({ type: 'progress', progress });
  const key = [name, model, variant].join();
  if (loaded?.key !== key) {
    loaded?.pipe.dispose();
    loaded = undefined;
    loaded = {
      key,
      pipe: await StableVideoDiffusionPipeline.fromPretrained(model, {
        variant,
        plannedFor: settings,
        onProgress,
        signal,
      }),
    };
  }
  // Before the long work: after it, the page's server may be gone.
  const canEncode = await canEncodeVideo('mp4', settings);
  const h264 = canEncode ? undefined : await import('h264-mp4-encoder');
  reusable = true;
  const { frames } = await loaded.pipe.generate(picture, {
    ...settings,
    generator: new Generator(seed),
    signal,
    onProgress: (progress) => {
      reusable = false;
      onProgress(progress);
    },
    callbackOnStepEnd: async (_pipe, _step, _timestep, { latents }) => {
      post(await preview(latents as tf.Tensor5D));
      return undefined;
    },
  });
  const file = await encodeVideo(frames[0], {
    fps: settings.fps,
    signal,
    loadH264Encoder: h264 && (async () => h264.createH264MP4Encoder),
  });
  const mp4 = new Uint8Array(await file.arrayBuffer());
  post({ type: 'done', frames: frames[0], mp4, seconds: (performance.now() - start) / 1000 });
}

/** The first three channels of latents `[1, F, h, w, 4]` as colours, each scaled to its range. */
async function preview(latents: tf.Tensor5D): Promise<FromWorker> {
  const [, count, height, width] = latents.shape;
  const colours = tf.tidy(() => {
    const x = tf.reshape(tf.slice(latents, 0, [1, count, height, width, 3]), [-1, 3]);
    const [low, high] = [tf.min(x, 0), tf.max(x, 0)];
    return tf.round(tf.mul(tf.div(tf.sub(x, low), tf.maximum(tf.sub(high, low), 1e-6)), 255));
  });
  const values = await colours.data();
  colours.dispose();
  const size = height * width;
  const frames = Array.from({ length: count }, (_, frame) => {
    const rgba = new Uint8ClampedArray(4 * size).fill(255);
    for (let i = 0; i < size; i++)
      rgba.set(values.subarray(3 * (frame * size + i), 3 * (frame * size + i + 1)), 4 * i);
    return rgba;
  });
  return { type: 'preview', width, height, frames };
}
