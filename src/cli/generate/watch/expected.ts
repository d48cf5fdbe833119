/** What is known of the time of a call before it runs. */
import { availableParallelism } from 'node:os';
import { maxThreads } from '../../../backends/types.ts';
import { secondsPerUnit, workOfCall } from '../../../memory/duration.ts';
import type { MemoryPlan } from '../../../memory/plan.ts';
import type { Device } from '../../../memory/shapes/allocators.ts';
import type { VideoSize } from '../../../memory/stages.ts';
import type { Expected } from '../../terminal/progress.ts';
import type { GenerateCommand } from '../options.ts';

/** Multiply-adds that take as long as writing a pixel. An estimate. */
const WRITING = 5000;

/** The work of a call, and how fast such a device is. */
export function expectedOf(
  plan: MemoryPlan,
  size: VideoSize,
  device: Device,
  { sigmas, numInferenceSteps, deepCache, threads }: GenerateCommand,
): Expected {
  const { height, width, numFrames, videos } = size;
  const steps = sigmas ? sigmas.length - 1 : numInferenceSteps;
  const writing = WRITING * height * width * numFrames * videos;
  return {
    work: { ...workOfCall(plan, size, steps, deepCache?.interval), writing },
    secondsPerUnit: speedOf(device, threads),
  };
}

/** Seconds that a multiply-add takes on a device of this machine; undefined if not measured. */
export function speedOf(device: Device, threads?: number): number | undefined {
  const cores = availableParallelism();
  const used = device === 'wasm' ? (threads ?? Math.min(cores, maxThreads)) : cores;
  return secondsPerUnit(device, used);
}
