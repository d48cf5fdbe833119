/** What stands beside the form: previews, the video, its progress and its files. */
import type { BrowserVideoFormat, Progress, RgbImage } from 'stable-video-diffusion-tfjs/browser';
import { element } from './element.ts';
import { type Costs, RemainingTime, timeLeft } from './remaining.ts';

const canvas = element<HTMLCanvasElement>('preview');
const video = element<HTMLVideoElement>('video');
const bar = element<HTMLProgressElement>('progress');
const link = element<HTMLAnchorElement>('download');
const calm = matchMedia('(prefers-reduced-motion: reduce)');

let playing: ReturnType<typeof setInterval> | undefined;
let counting: ReturnType<typeof setInterval> | undefined;
let remaining: RemainingTime | undefined;
let stage = '';

/** Says how it stands. A screen reader says it too, unless that is left out. */
export function say(text: string, aloud = true): void {
  element('status').textContent = text;
  element('status').className = '';
  if (aloud) element('spoken').textContent = text;
}

export function sayError(text: string): void {
  say(text);
  element('status').className = 'error';
}

/** Makes the stage ready for a video. */
export function begin({ width, height }: { width: number; height: number }, costs: Costs): void {
  clear();
  element('stage').style.setProperty('--aspect', `${width / height}`);
  remaining = new RemainingTime(costs);
  bar.hidden = false;
  say('Starting.');
  element('stage').scrollIntoView({ block: 'nearest', behavior: calm.matches ? 'auto' : 'smooth' });
}

/** Removes the last video, or the previews of a failed one. */
export function clear(): void {
  end();
  Object.assign(canvas, { width: 0, height: 0 });
  for (const hidden of [video, element('downloads')]) hidden.hidden = true;
  video.removeAttribute('src');
  video.load();
  URL.revokeObjectURL(link.href);
}

/** Ends previews and progress. */
function end(): void {
  clearInterval(playing);
  countDown(undefined);
  Object.assign(bar, { hidden: true, value: 0, max: 1 });
  stage = '';
}

export function showProgress(progress: Progress): void {
  const { step, steps } = progress;
  const isNew = progress.stage !== stage;
  stage = progress.stage;
  const bytes = stage === 'downloading' || stage === 'loading';
  const { done, seconds } = bytes ? { done: step / steps } : remaining!.update(progress);
  bar.value = done;
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const [now, all] = bytes ? [mib(step), mib(steps)] : [step, steps];
  say(`${stage[0]!.toUpperCase()}${stage.slice(1)} ${now} of ${all}`, isNew);
  countDown(seconds);
}

/** Shows the seconds that are left, and counts them down. */
function countDown(seconds: number | undefined): void {
  clearInterval(counting);
  const end = performance.now() + 1000 * (seconds ?? 0);
  const show = () => {
    const left = seconds ? timeLeft((end - performance.now()) / 1000) : '';
    element('remaining').textContent = left;
  };
  show();
  if (seconds) counting = setInterval(show, 1000);
}

/**
 * Shows previews one after the other, in a loop, or one of them to those who want little motion.
 */
export function preview(frames: RgbImage[], fps: number): void {
  clearInterval(playing);
  const pictures = frames.map(withAlpha);
  const { width, height } = pictures[0]!;
  Object.assign(canvas, { width, height });
  let next = calm.matches ? frames.length >> 1 : 0;
  const show = () =>
    canvas.getContext('2d')!.putImageData(pictures[next++ % pictures.length]!, 0, 0);
  show();
  if (!calm.matches) playing = setInterval(show, 1000 / fps);
}

function withAlpha({ width, height, data }: RgbImage): ImageData {
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return new ImageData(rgba, width, height);
}

/** Shows the finished video, and offers it in formats. */
export function showVideo(mp4: Blob, formats: BrowserVideoFormat[]): void {
  end();
  const url = URL.createObjectURL(mp4);
  Object.assign(video, { src: url, hidden: false, autoplay: !calm.matches });
  Object.assign(canvas, { width: 0, height: 0 });
  link.href = url;
  element('downloads').hidden = false;
  for (const button of formatButtons())
    button.hidden = !formats.includes(button.dataset.format as BrowserVideoFormat);
}

/** The buttons of formats that are made when they are wanted. */
export const formatButtons = (): NodeListOf<HTMLButtonElement> =>
  document.querySelectorAll<HTMLButtonElement>('[data-format]');

/** Lets the browser save a file. */
export function save(format: BrowserVideoFormat, file: Blob): void {
  const href = URL.createObjectURL(file);
  Object.assign(document.createElement('a'), { href, download: `video.${format}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
