/** The page: takes a picture and settings, has its worker make a video, and shows it. */
import type { BrowserVideoFormat, RgbImage } from 'stable-video-diffusion-tfjs/browser';
import { element } from './element.ts';
import { clearErrors, FieldError, form, requested, showError, tellOfWebgpu } from './form.ts';
import type { FromWorker } from './messages.ts';
import { readPicture, showPicture } from './picture.ts';
import { ask, type Question, unask } from './question.ts';
import { expectedCosts } from './remaining.ts';
import { RestartingWorker } from './restartingWorker.ts';
import * as stage from './stage.ts';

const worker = new RestartingWorker(receive, fail);
const file = element<HTMLInputElement>('file');
const samples = document.querySelectorAll<HTMLButtonElement>('[data-sample]');
/** Milliseconds that a worker has to obey Cancel before it is ended. */
const patience = 5000;

let picture: RgbImage | undefined;
/** Ends when the picture has been read that was chosen last. */
let opening: Promise<unknown> = Promise.resolve();
let working = false;
let cancelling: ReturnType<typeof setTimeout> | undefined;
/** The last video. */
let made: { frames: RgbImage[]; fps: number } | undefined;
const fps = () => Number(new FormData(form).get('fps'));

/** Offers Cancel in the place of Make a video, or the other way round. */
function busy(is: boolean): void {
  working = is;
  clearTimeout(cancelling);
  const [gone, there] = [element(is ? 'start' : 'cancel'), element(is ? 'cancel' : 'start')];
  const focused = gone === document.activeElement;
  Object.assign(there, { hidden: false, disabled: false });
  if (focused) there.focus();
  Object.assign(gone, { hidden: true, disabled: true });
  for (const input of [file, ...samples]) input.disabled = is;
}

/** Opens a picture after those that were chosen before. */
function open(source: File | HTMLImageElement | undefined): Promise<unknown> {
  if (source && !working) opening = opening.then(() => read(source));
  return opening;
}

async function read(source: File | HTMLImageElement): Promise<void> {
  const name = source instanceof File ? source.name : source.src.replace(/.*\//, '');
  clearErrors();
  showPicture();
  picture = undefined;
  try {
    picture = await readPicture(source);
    showPicture(source);
    stage.say(`${name}: ${picture.width} x ${picture.height} pixels.`);
  } catch {
    stage.say('No picture yet.', false);
    showError('file', `${name} is not a picture that this browser can read. Try a PNG or JPEG.`);
  }
}

async function start(): Promise<void> {
  await opening;
  if (working) return;
  clearErrors();
  try {
    const request = requested(picture);
    busy(true);
    stage.begin(request.settings, expectedCosts(request.settings));
    worker.send({ type: 'generate', request });
  } catch (error) {
    fail((error as Error).message, error instanceof FieldError ? error.field : undefined);
  }
}

function receive(data: FromWorker): void {
  if (data.type === 'backend') {
    const note = data.note ? ` (${data.note})` : '';
    Object.assign(element('backend'), {
      textContent: `Computes on ${data.name}.${note}`,
      hidden: false,
    });
  }
  if (data.type === 'question') void answer(data);
  if (data.type === 'progress') stage.showProgress(data.progress);
  if (data.type === 'preview') stage.preview(data.frames, fps());
  if (data.type === 'failed') {
    // It may have lost its memory or the graphics card.
    if (!data.reusable) worker.end();
    fail(data.message, data.field);
  }
  if (data.type === 'cancelled') cancelled('Cancelled.');
  if (data.type === 'done') {
    made = { frames: data.frames, fps: fps() };
    stage.showVideo(data.video, data.formats);
    stage.say(`Done in ${data.seconds.toFixed(1)} s.`);
    busy(false);
  }
  if (data.type === 'encoded') {
    stage.save(data.format, data.video);
    encoding(false);
  }
}

async function answer(question: Question): Promise<void> {
  stage.say('Waiting for your answer.', false);
  const isYes = await ask(question);
  if (isYes) worker.send({ type: 'download' });
  else if (working) cancel();
}

function fail(message: string, field?: string): void {
  if (working) stage.clear();
  encoding(false);
  busy(false);
  unask();
  if (!field) stage.sayError(message);
  else if (field !== 'downloads') stage.say(picture ? 'No video yet.' : 'No picture yet.', false);
  if (field) showError(field, message);
}

function cancelled(message: string): void {
  stage.clear();
  stage.say(message);
  busy(false);
}

const encoding = (is: boolean) => {
  for (const button of stage.formatButtons()) button.disabled = is;
};

form.onsubmit = (event) => {
  event.preventDefault();
  void start();
};
form.oninput = ({ target }) => clearErrors((target as HTMLInputElement).name);
void tellOfWebgpu();
element('cancel').onclick = cancel;
function cancel(): void {
  worker.send({ type: 'cancel' });
  stage.say('Cancelling.');
  element<HTMLButtonElement>('cancel').disabled = true;
  cancelling = setTimeout(() => {
    worker.end();
    cancelled(
      'Cancelled. The worker did not answer, so it was ended. The next video starts a new one.',
    );
  }, patience);
}
element('motion').addEventListener('input', ({ target }) => {
  element('motion-value').textContent = (target as HTMLInputElement).value;
});
file.onchange = () => open(file.files?.[0]);
for (const button of samples)
  button.onclick = async () => {
    await open(button.querySelector('img')!);
    if (picture) await start();
  };
for (const button of stage.formatButtons())
  button.onclick = () => {
    clearErrors('downloads');
    encoding(true);
    worker.send({ type: 'encode', ...made!, format: button.dataset.format as BrowserVideoFormat });
  };
document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add('dropping');
};
document.ondragleave = () => document.body.classList.remove('dropping');
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove('dropping');
  void open(event.dataTransfer?.files[0]);
};
