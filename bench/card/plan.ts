/** The memory plan of a case: how this package runs it, what it takes, and its work. */
import { openModelFolder } from '../../src/checkpoints/index.ts';
import { memoryLimits } from '../../src/memory/limits.ts';
import { type MemoryPlan, planMemory } from '../../src/memory/plan.ts';
import type { MemorySettings } from '../../src/memory/stages.ts';
import type { ComputeDtype } from '../../src/ops/index.ts';
import { modelConfigs } from '../../src/pipelines/loading/modelConfigs.ts';
import type { SizedCase } from './cases.ts';
import type { Target } from './devices.ts';

/** How a case runs. */
export interface CasePlan {
  settings: MemorySettings;
  /** Settings that save memory at the cost of time, in words. */
  choices: string[];
  fits: boolean;
  /** Bytes that the process is predicted to take, and those on the card. */
  processBytes: number;
  deviceBytes?: number;
  /** Multiply-adds of one round. */
  work: number;
}

/** Plans a case as the pipeline does, but only with the model that it needs in memory. */
export async function planCase(
  { part, ...size }: SizedCase,
  checkpoint: string,
  { device }: Target,
  dtype: ComputeDtype,
): Promise<CasePlan> {
  await using files = await openModelFolder(checkpoint);
  const configs = await modelConfigs(files, device, { dtype });
  const plan = planMemory(configs, {
    ...{
      ...size,
      numFrames: size.frames,
      device,
      pictures: 1,
      videos: 1,
      decoded: part === 'vae-decode',
    },
    ...memoryLimits(device),
    givenSettings: { offload: 'model' },
  });
  return { ...plan, ...stageOf(plan, part, size), choices: choicesOf(plan) };
}

/** Every model is in memory only while it is used, in each process. */
const choicesOf = ({ choices }: MemoryPlan) =>
  choices.filter((choice) => !choice.startsWith('offload'));

function stageOf(
  { stages, settings }: MemoryPlan,
  part: SizedCase['part'],
  { guided, frames }: Pick<SizedCase, 'guided' | 'frames'>,
): Pick<CasePlan, 'processBytes' | 'deviceBytes' | 'work'> {
  const name = part === 'unet' ? 'sampling' : 'decoding';
  const { processBytes, deviceBytes, blocks } = stages.find(({ stage }) => stage === name)!;
  const times =
    part === 'unet'
      ? guided && !settings.guidanceTogether
        ? 2
        : 1
      : frames / Math.min(settings.decodeChunkSize, frames);
  const work = times * blocks.reduce((sum, block) => sum + block.work, 0);
  return { processBytes, deviceBytes, work };
}
