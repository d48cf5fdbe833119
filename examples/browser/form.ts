/** The form: reads its settings, and shows errors beside their fields. */
import type { RgbImage } from 'stable-video-diffusion-tfjs/browser';
import { element } from './element.ts';
import type { Request } from './messages.ts';

export const form = element<HTMLFormElement>('settings');

/** A setting that cannot be used. */
export class FieldError extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/** Shows an error beside its field, and moves there. */
export function showError(field: string, message: string): void {
  element(`${field}-error`).textContent = message;
  const input = form.elements.namedItem(field);
  if (!(input instanceof HTMLElement)) return;
  input.setAttribute('aria-invalid', 'true');
  const advanced = input.closest('details');
  if (advanced) advanced.open = true;
  input.focus();
}

/** Removes the errors of all fields, or of one. */
export function clearErrors(field?: string): void {
  for (const error of document.querySelectorAll('.error'))
    if (!field || error.id === `${field}-error`) error.textContent = '';
  for (const input of form.querySelectorAll('[aria-invalid]'))
    if (!field || input.getAttribute('name') === field) input.removeAttribute('aria-invalid');
}

/**
 * What the form asks for.
 * @throws FieldError when a value cannot be used.
 */
export function requested(picture: RgbImage | undefined): Request {
  if (!picture)
    throw new FieldError('file', 'There is no picture yet. Choose one, or start with a sample.');
  for (const input of form.querySelectorAll<HTMLInputElement>('input:not([type=file])'))
    checkField(input);
  const { file: _, ...values } = Object.fromEntries(new FormData(form)) as Record<string, string>;
  const { model, variant, backend, seed, ...settings } = values;
  const own = form.elements.namedItem('model') as HTMLInputElement;
  return {
    picture,
    model: addressOf(model!),
    isOwn: model === own.defaultValue,
    variant: variant || undefined,
    backend: backend as Request['backend'],
    seed: Number(seed),
    settings: Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [name, Number(value)]),
    ) as unknown as Request['settings'],
  };
}

function checkField({ name, labels, value, type, min, max, step, validity }: HTMLInputElement) {
  if (validity.valid || type !== 'number') return;
  const kind =
    step === '' ? 'a whole number' : Number(step) > 1 ? `a multiple of ${step}` : 'a number';
  const range = max ? ` from ${min} to ${max}` : `, at least ${min}`;
  const now = validity.badInput || value === '' ? 'not a number' : value;
  throw new FieldError(name, `${labels![0]!.textContent} is ${now}. Enter ${kind}${range}.`);
}

/** Says beside the choice of a backend why WebGPU cannot be chosen. */
export async function tellOfWebgpu(): Promise<void> {
  const { gpu } = navigator as Partial<Navigator>;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (adapter) return;
  const reason = gpu
    ? 'WebGPU finds no graphics card here'
    : isSecureContext
      ? 'This browser has no WebGPU'
      : 'Browsers have WebGPU on https and localhost only';
  element('backend-note').textContent = `${reason}, so auto takes wasm.`;
}

/** The address of the model's folder, which may be relative to the page. */
function addressOf(model: string): string {
  const url = URL.canParse(model, location.href) ? new URL(model, location.href) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href;
  throw new FieldError(
    'model',
    `"${model}" is not the address of a folder on a web server. Enter one such as ./model or ` +
      'https://example.com/model.',
  );
}
