/** Facts about NVIDIA cards that need no CUDA. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const cards = '/proc/driver/nvidia/gpus';

/** The name of the NVIDIA card, from its driver. */
export function cardName(): string {
  const card = existsSync(cards) ? readdirSync(cards)[0] : undefined;
  const model =
    card && /^Model:\s*(.+)$/m.exec(readFileSync(join(cards, card, 'information'), 'utf8'))?.[1];
  return model || 'NVIDIA GPU';
}

/** Whether NVIDIA's driver is loaded. Linux on Windows shows it only in /dev. */
export function hasDriver(): boolean {
  return ['/proc/driver/nvidia', '/dev/nvidiactl', '/dev/dxg'].some((path) => existsSync(path));
}

/** One sentence with the reason why a TensorFlow for cards computes on the processor. */
export function whyNoCard(): string {
  const obstacle =
    cardObstacle() ??
    'TensorFlow could not use the card: set TF_CPP_MIN_LOG_LEVEL=0 for `svd generate` to see ' +
      'its reasons, such as a driver too old for CUDA 12';
  return `It computes on the processor, because ${obstacle}.`;
}

/** Why no card can be used, as a part of a sentence; undefined if the system shows one. */
export function cardObstacle(): string | undefined {
  const visible = process.env.CUDA_VISIBLE_DEVICES?.trim();
  if (visible === '' || visible?.startsWith('-1'))
    return `CUDA_VISIBLE_DEVICES is "${visible}", which hides every card`;
  if (!hasDriver()) return 'no NVIDIA driver is loaded';
  if (existsSync(cards) && readdirSync(cards).length === 0)
    return 'the NVIDIA driver finds no card';
  return undefined;
}
