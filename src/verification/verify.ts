/** Replays the call of a reference and compares every stage with that of diffusers. */
import type { FloatArray } from '../media/image.ts';
import type { SamplingPipeline } from '../pipelines/stableVideoDiffusion.ts';
import type { Progress } from '../pipelines/types.ts';
import { Generator } from '../random/generator.ts';
import { schedulerFromConfig } from '../schedulers/index.ts';
import { checkOptionValues, type Kinds, kinds } from '../text/options.ts';
import { BlockOutputs, stageTensor } from './blockOutputs.ts';
import type { Reference } from './reference.ts';
import { ReplayedPipeline } from './replayedPipeline.ts';
import { compareStage, isOfDiffusers, neverComputed, type StageResult } from './stageResult.ts';

/** Options of `verifyReference`. */
export interface VerifyOptions {
  /**
   * `own` (default): each stage works on the output of the stage before it, as in any call.
   * `reference`: it works on the reference's output of that stage, and shows only its own error.
   */
  stageInputs?: 'own' | 'reference';
  /** Called with the values of each stage and block and those of the reference, and awaited. */
  onCompared?: (stage: string, actual: FloatArray, expected: FloatArray) => void | Promise<void>;
  /** The signal that stops the call, as of `generate`. */
  signal?: AbortSignal;
  /** Receives the progress of the call, as of `generate`. */
  onProgress?: (progress: Progress) => void;
}

const verifyOptionKinds: Kinds<VerifyOptions> = {
  stageInputs: { oneOf: ['own', 'reference'] },
  onCompared: kinds.listener,
  signal: kinds.signal,
  onProgress: kinds.listener,
};

/**
 * Replays the call of a reference from the same random draws, and compares each stage and block in
 * the order in which they are computed. Frames are decoded in diffusers' chunks. A stage that is
 * off in diffusers, by the reference's float64, goes on with the reference's result. If only blocks
 * are above tolerance, a second replay finds whether they are so on the reference's inputs, too.
 * @returns One result for everything that the reference holds.
 * @throws When `generate` throws.
 */
export async function verifyReference(
  pipe: SamplingPipeline,
  reference: Reference,
  options: VerifyOptions = {},
): Promise<StageResult[]> {
  checkOptionValues('verifyReference', options, verifyOptionKinds);
  const results = await replay(pipe, reference, options);
  const broken = results.filter(({ within }) => !within);
  const onlyBlocks = broken.every(({ stage }) => stage.startsWith('block.'));
  if (options.stageInputs === 'reference' || broken.length === 0 || !onlyBlocks) return results;
  const { signal, onProgress } = options;
  const fed = await replay(pipe, reference, { stageInputs: 'reference', signal, onProgress });
  const own = new Map(fed.map((result) => [result.stage, result]));
  return results.map((result) => {
    const alone = own.get(result.stage)!;
    return result.within || !alone.within ? result : { ...alone, onReferenceInputs: true };
  });
}

async function replay(
  pipe: SamplingPipeline,
  reference: Reference,
  options: VerifyOptions,
): Promise<StageResult[]> {
  const { stageInputs = 'own', onCompared, signal, onProgress } = options;
  const teacherForced = stageInputs === 'reference';
  const results: StageResult[] = [];
  const compare = async (stage: string, actual: FloatArray) => {
    if (!reference.names.includes(stage)) return;
    const expected = await reference.read(stage);
    results.push(await compareStage(stage, actual, expected, reference, teacherForced));
    await onCompared?.(stage, actual, expected);
  };
  // From there on, every stage would only show this difference of diffusers again.
  const isDiffusers = (name: string) =>
    results.some((result) => result.stage === name && isOfDiffusers(result));
  const blocks = await BlockOutputs.start(pipe, reference, teacherForced);
  const generators = reference.seeds.map((seed) => new Generator(seed));
  try {
    const scheduler = reference.scheduler && schedulerFromConfig(reference.scheduler, () => {});
    const replay = new ReplayedPipeline(
      { ...pipe.components, ...(scheduler && { scheduler }) },
      reference,
      (stage) => teacherForced || isDiffusers(stage),
    );
    await replay.generate(reference.pictures, {
      ...reference.call,
      generator: generators.length === 1 ? generators[0] : generators,
      outputType: 'array',
      // The blocks of diffusers have both halves of guidance in one batch.
      guidanceTogether: blocks.names.length > 0 ? true : undefined,
      onBlock: blocks.names.length > 0 ? () => {} : undefined,
      onStage: async (stage, value) => {
        for (const [name, output] of await blocks.take(stage)) await compare(name, output);
        await compare(stage, value);
      },
      callbackOnStepEnd: teacherForced
        ? async (_pipe, step) => ({ latents: await stageTensor(reference, `latents_step_${step}`) })
        : undefined,
      signal,
      onProgress,
    });
  } finally {
    blocks.stop();
  }
  const seen = new Set(results.map(({ stage }) => stage));
  const missing = reference.names.filter((name) => !seen.has(name));
  return [...results, ...missing.map((stage) => neverComputed(stage, teacherForced))];
}
