/** How long a call takes, by its work and by speeds that have been measured. */
import type { MemoryPlan } from './plan.ts';
import type { Device } from './shapes/allocators.ts';
import type { VideoSize } from './stages.ts';

/**
 * Multiply-adds per second and core: of the UNet of a published checkpoint on tensorflow, and two
 * thirds of those of its convolutions on wasm, on an Intel Xeon at 2.3 GHz. Graphics cards have not
 * been measured, and cpu is too slow to matter.
 */
const speeds: Partial<Record<Device, number>> = { 'tensorflow-cpu': 37e9, wasm: 6e9 };

/** Seconds that a multiply-add takes on so many cores; undefined where it was not measured. */
export function secondsPerUnit(device: Device, cores: number): number | undefined {
  const speed = speeds[device];
  return speed && 1 / (speed * cores);
}

/**
 * The stages of a call, each with about how many multiply-adds it takes.
 * @param interval With DeepCache, of one of so many steps the UNet runs in full.
 */
export function workOfCall(
  { stages, settings }: Pick<MemoryPlan, 'stages' | 'settings'>,
  { videos, numFrames, guided }: VideoSize,
  steps: number,
  interval = 1,
): Record<'encoding' | 'sampling' | 'decoding', number> {
  const evaluations = guided && !settings.guidanceTogether ? 2 : 1;
  const inFull = Math.ceil(steps / interval);
  const times = {
    encoding: 1,
    sampling: inFull * evaluations,
    decoding: (videos * numFrames) / Math.min(settings.decodeChunkSize, numFrames),
  };
  const work = { encoding: 0, sampling: 0, decoding: 0 };
  for (const { stage, blocks } of stages) {
    const seen = new Set<string>();
    for (const block of blocks) {
      // The blocks of DeepCache's shallow evaluation come once more.
      const isShallow = stage === 'sampling' && seen.has(block.path);
      work[stage] += (isShallow ? (steps - inFull) * evaluations : times[stage]) * block.work;
      seen.add(block.path);
    }
  }
  return work;
}
