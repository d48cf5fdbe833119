/** The option on LoRA, and the files that it names. */
import type { StableVideoDiffusionPipeline } from '../pipelines/node.ts';
import { UsageError } from './terminal/errors.ts';
import { group } from './terminal/options.ts';
import { numberOf, type Reader } from './terminal/values.ts';

/** A LoRA file, and how strong it is. */
export interface AskedLora {
  file: string;
  scale: number;
}

const FORM = /^(.+?)(?:=([^=/]*))?$/s;

/** The LoRA that `FILE[=SCALE]` names. What comes after the last `=` of `a=b.safetensors` is a name. */
export function askedLora(text: string): AskedLora {
  const [, file, scale] = FORM.exec(text) ?? [];
  if (scale === undefined || /\.safetensors$/i.test(scale)) return { file: text, scale: 1 };
  return { file, scale: numberOf(scale) };
}

const readLora: Reader<string> = (text, flag) => {
  if (Number.isFinite(askedLora(text).scale)) return text;
  throw new UsageError(
    `--${flag} takes FILE=SCALE, where SCALE is a finite number, but is "${text}".`,
  );
};

export const loraOptions = group('Files', 'checkpoint', {
  lora: {
    value: 'FILE[=SCALE]',
    files: ['.safetensors'],
    many: true,
    read: readLora,
    help:
      'A LoRA on the UNet: a .safetensors file in the names of diffusers, peft or kohya, or ' +
      'org/name or org/name/FILE of the hub. SCALE, by default 1, is the factor of what it adds. ' +
      'Several add up.',
  },
});

/** Puts the LoRA of a command on the UNet. */
export async function loadLoras(
  pipe: StableVideoDiffusionPipeline,
  loras: readonly string[],
): Promise<void> {
  for (const { file, scale } of loras.map(askedLora)) await pipe.loadLora(file, { scale });
}
