/** The page: takes a picture and settings, shows the progress, plays the video. */
import type { Progress, RgbImage } from 'stable-video-diffusion-tfjs/browser';
import type { FromWorker, Request } from './messages.ts';
import { RestartingWorker } from './restartingWorker.ts';

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const form = element<HTMLFormElement>('settings');
const canvas = element<HTMLCanvasElement>('video');
const status = element('status');
const worker = new RestartingWorker(receive, fail);
/** Milliseconds that a worker has to obey Cancel before it is ended. */
const patience = 5000;

let picture: RgbImage | undefined;
let working = false;
let playing: ReturnType<typeof setInterval> | undefined;
let cancelling: ReturnType<typeof setTimeout> | undefined;

const say = (text: string, kind: '' | 'error' = '') => {
  status.textContent = text;
  status.className = kind;
};

function showState(): void {
  element<HTMLButtonElement>('start').disabled = working || !picture;
  element<HTMLButtonElement>('cancel').disabled = !working;
  element<HTMLInputElement>('file').disabled = working;
}

function busy(is: boolean): void {
  working = is;
  clearTimeout(cancelling);
  showState();
}

/**
 * Reads a dropped or chosen picture. The browser's colour management is off, so that the bytes are
 * those that other programs read.
 */
async function open(file: File | undefined): Promise<void> {
  if (!file || working) return;
  picture = undefined;
  showState();
  const shown = element<HTMLImageElement>('picture');
  URL.revokeObjectURL(shown.src);
  shown.removeAttribute('src');
  try {
    const bitmap = await createImageBitmap(file, {
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext('2d')!;
    context.drawImage(bitmap, 0, 0);
    const rgba = context.getImageData(0, 0, width, height).data;
    picture = {
      width,
      height,
      data: new Uint8Array(width * height * 3).map((_, i) => rgba[4 * Math.floor(i / 3) + (i % 3)]),
    };
    shown.src = URL.createObjectURL(file);
    say(`${file.name}: ${width} x ${height} pixels.`);
  } catch {
    say(`${file.name} is not a picture that this browser can read. Try a PNG or JPEG.`, 'error');
  }
  showState();
}

/** Shows pictures one after the other, in a loop. */
function play(frames: ImageData[], fps: number): void {
  clearInterval(playing);
  const [{ width, height }] = frames;
  Object.assign(canvas, { width, height });
  let next = 0;
  const show = () => canvas.getContext('2d')!.putImageData(frames[next++ % frames.length], 0, 0);
  show();
  playing = setInterval(show, 1000 / fps);
}

/** Removes the last video, or the previews of a failed one. */
function clearVideo(): void {
  clearInterval(playing);
  Object.assign(canvas, { width: 0, height: 0 });
  element('download').hidden = true;
}

function withAlpha({ width, height, data }: RgbImage): ImageData {
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return new ImageData(rgba, width, height);
}

function showProgress({ stage, step, steps }: Progress): void {
  const bar = element<HTMLProgressElement>('progress');
  Object.assign(bar, { max: steps, value: step });
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const bytes = stage === 'downloading' || stage === 'loading';
  say(
    `${stage[0].toUpperCase()}${stage.slice(1)} ${bytes ? mib(step) : step} of ` +
      `${bytes ? mib(steps) : steps}`,
  );
}

function receive(data: FromWorker): void {
  const fps = Number(new FormData(form).get('fps'));
  if (data.type === 'cancelled' || data.type === 'done') busy(false);
  if (data.type === 'backend')
    element('backend').textContent =
      `Computes on ${data.name}.${data.note ? ` (${data.note})` : ''}`;
  if (data.type === 'progress') showProgress(data.progress);
  if (data.type === 'preview') {
    play(
      data.frames.map((rgba) => new ImageData(rgba, data.width, data.height)),
      fps,
    );
  }
  if (data.type === 'failed') {
    // It may have lost its memory or the graphics card.
    if (!data.reusable) worker.end();
    fail(data.message);
  }
  if (data.type === 'cancelled') say('Cancelled.');
  if (data.type === 'done') {
    play(data.frames.map(withAlpha), fps);
    const link = element<HTMLAnchorElement>('download');
    URL.revokeObjectURL(link.href);
    Object.assign(link, {
      href: URL.createObjectURL(new Blob([data.mp4], { type: 'video/mp4' })),
      hidden: false,
    });
    say(`Done in ${data.seconds.toFixed(1)} s.`);
  }
}

function fail(message: string): void {
  if (working) clearVideo();
  say(message, 'error');
  busy(false);
}

/** The address of the model's folder, which may be relative to the page. */
function addressOf(model: string): string {
  const url = URL.canParse(model, location.href) ? new URL(model, location.href) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href;
  throw new Error(
    `"${model}" is not the address of a folder on a web server. Enter one such as ./model or ` +
      'https://example.com/model.',
  );
}

/** What the form asks for. */
function requested(picture: RgbImage): Request {
  const values = Object.fromEntries(new FormData(form)) as Record<string, string>;
  const { model, variant, backend, seed, ...settings } = values;
  return {
    picture,
    model: addressOf(model),
    variant: variant || undefined,
    backend: backend as Request['backend'],
    seed: Number(seed),
    settings: Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [name, Number(value)]),
    ) as unknown as Request['settings'],
  };
}

form.onsubmit = (event) => {
  event.preventDefault();
  clearVideo();
  element<HTMLProgressElement>('progress').value = 0;
  say('Starting.');
  busy(true);
  try {
    worker.send({ type: 'generate', request: requested(picture!) });
  } catch (error) {
    fail((error as Error).message);
  }
};
element('cancel').onclick = () => {
  worker.send({ type: 'cancel' });
  say('Cancelling.');
  element<HTMLButtonElement>('cancel').disabled = true;
  cancelling = setTimeout(() => {
    worker.end();
    busy(false);
    say('Cancelled. The worker did not answer, so it was ended. The next video starts a new one.');
  }, patience);
};
element<HTMLInputElement>('file').onchange = ({ target }) =>
  open((target as HTMLInputElement).files?.[0]);
document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => {
  event.preventDefault();
  void open(event.dataTransfer?.files[0]);
};
