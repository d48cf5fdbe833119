/** The option on LoRA, and the files that it names. */
import { basename } from 'node:path';
import type { DownloadOptions } from '../checkpoints/hub/download.ts';
import { sha256OfFiles } from '../files/sha256.ts';
import type { StableVideoDiffusionPipeline } from '../pipelines/node.ts';
import type { ReferenceLora } from '../verification/reference.ts';
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

/** A LoRA of a command, whose file is on the disk. */
export interface LocatedLora {
  path: string;
  scale: number;
}

/** Finds the files of LoRA; what is of the hub is brought into the cache first. */
export async function locateLoras(
  {
    lora = [],
    ...hub
  }: { lora?: string[] } & Pick<DownloadOptions, 'token' | 'cacheDir' | 'localFilesOnly'>,
  session: Pick<DownloadOptions, 'signal' | 'onProgress'> = {},
): Promise<LocatedLora[]> {
  if (lora.length === 0) return [];
  const { locateLora } = await import('../checkpoints/lora/open.ts');
  const located: LocatedLora[] = [];
  for (const { file, scale } of lora.map(askedLora)) {
    const { token, cacheDir, localFilesOnly } = hub;
    const path = await locateLora(file, { token, cacheDir, localFilesOnly, ...session });
    located.push({ path, scale });
  }
  return located;
}

/** What a reference stores of LoRA. */
export async function describeLoras(loras: readonly LocatedLora[]): Promise<ReferenceLora[]> {
  const hashes = await sha256OfFiles(loras.map(({ path }) => path));
  return loras.map(({ path, scale }, i) => ({ file: basename(path), sha256: hashes[i], scale }));
}

/** Puts LoRA on the UNet. @returns Their names, in their order. */
export async function loadLoras(
  pipe: StableVideoDiffusionPipeline,
  loras: readonly LocatedLora[],
): Promise<string[]> {
  const names: string[] = [];
  for (const { path, scale } of loras) names.push(await pipe.loadLora(path, { scale }));
  return names;
}
