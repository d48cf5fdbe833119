/** What is known of NVIDIA cards without asking CUDA. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const cards = '/proc/driver/nvidia/gpus';

/** The name of the NVIDIA card, as its driver gives it. */
export function cardName(): string {
  const card = existsSync(cards) ? readdirSync(cards)[0] : undefined;
  const model =
    card && /^Model:\s*(.+)$/m.exec(readFileSync(join(cards, card, 'information'), 'utf8'))?.[1];
  return model || 'NVIDIA GPU';
}

/** Whether NVIDIA's driver is loaded. Under Windows, a driver for Linux shows in /dev alone. */
export function hasDriver(): boolean {
  return ['/proc/driver/nvidia', '/dev/nvidiactl', '/dev/dxg'].some((path) => existsSync(path));
}

/** Why a TensorFlow that can use cards computes on the processor, as one sentence. */
export function whyNoCard(): string {
  return `It computes on the processor, because ${obstacle()}.`;
}

function obstacle(): string {
  const visible = process.env.CUDA_VISIBLE_DEVICES?.trim();
  if (visible === '' || visible?.startsWith('-1'))
    return `CUDA_VISIBLE_DEVICES is "${visible}", which hides every card`;
  if (!hasDriver()) return 'no NVIDIA driver is loaded';
  if (existsSync(cards) && readdirSync(cards).length === 0)
    return 'the NVIDIA driver finds no card';
  return 'TensorFlow could not use the card: set TF_CPP_MIN_LOG_LEVEL=0 for `svd generate` to see its reasons, such as a driver too old for CUDA 12';
}
