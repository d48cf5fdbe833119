/** Whether the disks have room for what a call writes. */
import { spaceProblem } from '../../files/diskSpace.ts';
import { targetOf, workFolderOf } from '../../files/writing/target.ts';
import type { OutputFormat } from '../../media/video/output.ts';
import type { GenerateCommand } from './options.ts';

/** Bytes that the result takes at least for each byte of its 8-bit frames. */
const share: Record<OutputFormat, number> = {
  ...{ mp4: 1 / 1000, webm: 1 / 1000, webp: 1 / 1000, gif: 1 / 100, png: 1 / 20 },
  safetensors: 4,
};
/** Those of latents: four float32 values for each 8 x 8 pixels. */
const LATENTS = 1 / 12;

/**
 * Checks before sampling that a call of `frames` frames in all does not fill a disk for sure.
 * @throws Error if it would.
 */
export async function checkSpace(
  { dump, format, outputType, numInferenceSteps }: GenerateCommand,
  paths: string[],
  { frames, height, width }: { frames: number; height: number; width: number },
): Promise<void> {
  const bytes = frames * height * width * 3;
  const ofResult = outputType === 'latent' ? LATENTS : share[format];
  const needed = new Map<string, number>();
  const add = async (path: string, size: number) => {
    const folder = await workFolderOf(await targetOf(path));
    needed.set(folder, (needed.get(folder) ?? 0) + size);
  };
  for (const path of paths) await add(path, (bytes * ofResult) / paths.length);
  if (dump !== undefined) await add(dump, bytes * LATENTS * numInferenceSteps);
  for (const [folder, size] of needed) {
    const problem = await spaceProblem(folder, Math.ceil(size), 'The output');
    if (problem) {
      const message = `${problem} Free space there or choose another place.`;
      throw Object.assign(new Error(message), { code: 'ENOSPC' });
    }
  }
}
