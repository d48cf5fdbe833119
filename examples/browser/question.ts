/** Asks before a model is downloaded, and shows what that means. */
import type { UrlDescription } from 'stable-video-diffusion-tfjs/browser';
import { element } from './element.ts';
import type { FromWorker } from './messages.ts';

/** A model that is at an address, and what using it means. */
export type Question = Extract<FromWorker, { type: 'question' }>;

const dialog = element<HTMLDialogElement>('question');
const disk = (bytes: number) =>
  bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
const memory = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/**
 * Asks whether a model may be downloaded.
 * @returns What the visitor wants; false if `unask` has taken the question back.
 */
export function ask({ model, description }: Question): Promise<boolean> {
  const { download } = description;
  const isKept = download.bytes - download.storedBytes <= download.roomBytes;
  element('question-model').textContent = model;
  element('question-download').textContent = amountOf(download);
  element('question-storage').textContent = storageOf(description, isKept);
  element('question-memory').textContent = memoryOf(description);
  element('download-model').textContent = isKept ? 'Download' : 'Go on';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === 'yes');
  });
}

/** Takes the question back. */
export const unask = (): void => dialog.close('');

element('download-model').onclick = () => dialog.close('yes');
element('decline-model').onclick = () => dialog.close('');

function amountOf({ bytes, storedBytes, unsizedFiles }: UrlDescription['download']): string {
  const least = unsizedFiles > 0 ? 'at least ' : '';
  const stored = storedBytes > 0 ? `, besides ${disk(storedBytes)} that this browser has` : '';
  return `${least}${disk(bytes - storedBytes)}${stored}`;
}

const often = { none: 'at each visit', model: 'for each video', sequential: 'in each step' };

function storageOf({ download: { roomBytes }, plan }: UrlDescription, isKept: boolean): string {
  if (isKept) return 'This browser keeps the weights, so that they are downloaded once.';
  const room =
    roomBytes > 0
      ? `This browser has room for ${disk(roomBytes)}, too little to keep the weights`
      : 'This browser keeps nothing for this page';
  return `${room}: they come from the server ${often[plan.offload]}.`;
}

function memoryOf({ plan, call }: UrlDescription): string {
  const { numFrames, width, height } = call;
  const bytes = memory(plan.deviceBytes ?? plan.processBytes);
  const how = plan.choices.length > 0 ? `, with ${plan.choices.join(', ')}` : '';
  return `${bytes} for ${numFrames} frames of ${width}x${height}${how}`;
}
