/** Replays the call of a reference and compares every stage with that of diffusers. */
import type * as tf from '@tensorflow/tfjs';
import type { FloatArray } from '../media/image.ts';
import { SamplingPipeline } from '../pipelines/stableVideoDiffusion.ts';
import type { Progress } from '../pipelines/types.ts';
import { Generator } from '../random/generator.ts';
import { checkOptionValues, type Kinds, kinds } from '../text/options.ts';
import { BlockOutputs, stageTensor } from './blockOutputs.ts';
import { compareTensors, type TensorComparison } from './compareTensors.ts';
import type { Reference } from './reference.ts';

/** The largest relative L2 distance of each kind of stage, and the limits for 8-bit frames. */
export const stageTolerances = {
  /** Random numbers, which differ in the last bit at most. */
  random: 1e-6,
  /** A block that works on the reference's outputs of the blocks before it. */
  layer: 1e-5,
  /** The output of one model, and its blocks. */
  model: 3e-5,
  /** Steps and frames, which gather the differences of all stages before them. */
  call: 1e-4,
  /** The smallest share of the 8-bit values of frames that are equal. */
  equalBytes: 0.995,
  /** The largest difference of the other 8-bit values. */
  largestByteDifference: 1,
};

/** The comparison of one stage. */
export interface StageResult {
  /** Its name in the reference. */
  stage: string;
  /** The largest relative L2 distance allowed. */
  tolerance: number;
  /** Whether the stage keeps to it, and frames also to the limits for 8 bits. */
  within: boolean;
  /** The measures. Absent when the stage could not be compared. */
  comparison?: TensorComparison;
  /** The reason why it could not be compared. */
  problem?: string;
}

/** Options of `verifyReference`. */
export interface VerifyOptions {
  /**
   * `own` (default): each stage works on the output of the stage before it, as in any call.
   * `reference`: it works on the reference's output of that stage, and shows only its own error.
   */
  stageInputs?: 'own' | 'reference';
  /** The signal that stops the call, as of `generate`. */
  signal?: AbortSignal;
  /** Receives the progress of the call, as of `generate`. */
  onProgress?: (progress: Progress) => void;
}

const verifyOptionKinds: Kinds<VerifyOptions> = {
  stageInputs: { oneOf: ['own', 'reference'] },
  signal: kinds.signal,
  onProgress: kinds.listener,
};

/**
 * Replays the call of a reference from the same random draws, and compares each stage and block in
 * the order in which they are computed.
 * @returns One result for everything that the reference holds.
 * @throws When `generate` throws.
 */
export async function verifyReference(
  pipe: SamplingPipeline,
  reference: Reference,
  options: VerifyOptions = {},
): Promise<StageResult[]> {
  checkOptionValues('verifyReference', options, verifyOptionKinds);
  const { stageInputs = 'own', signal, onProgress } = options;
  const teacherForced = stageInputs === 'reference';
  const results: StageResult[] = [];
  const compare = async (stage: string, actual: FloatArray) => {
    if (reference.names.includes(stage))
      results.push(compareStage(stage, actual, await reference.read(stage), teacherForced));
  };
  const blocks = await BlockOutputs.start(pipe, reference, teacherForced);
  const generators = reference.seeds.map((seed) => new Generator(seed));
  try {
    const replay = teacherForced
      ? new ReferenceFedPipeline(pipe.components, reference)
      : new Replay(pipe.components);
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
  return [
    ...results,
    ...missing.map((stage) => ({
      stage,
      tolerance: toleranceOf(stage, teacherForced),
      within: false,
      problem: 'never computed',
    })),
  ];
}

function toleranceOf(stage: string, teacherForced: boolean): number {
  if (['image_noise', 'added_time_ids', 'initial_latents'].includes(stage))
    return stageTolerances.random;
  if (stage.startsWith('block.'))
    return teacherForced ? stageTolerances.layer : stageTolerances.model;
  return ['image_embeddings', 'image_latents'].includes(stage)
    ? stageTolerances.model
    : stageTolerances.call;
}

function compareStage(
  stage: string,
  actual: FloatArray,
  expected: FloatArray,
  teacherForced: boolean,
): StageResult {
  const tolerance = toleranceOf(stage, teacherForced);
  if (actual.shape.join() !== expected.shape.join()) {
    return {
      stage,
      tolerance,
      within: false,
      problem: `has the shape [${actual.shape}] instead of [${expected.shape}]`,
    };
  }
  const comparison = compareTensors(actual, expected);
  const { equalBytes, largestByteDifference } = comparison;
  const bytes =
    equalBytes >= stageTolerances.equalBytes &&
    largestByteDifference <= stageTolerances.largestByteDifference;
  return {
    stage,
    tolerance,
    within: comparison.relativeL2 <= tolerance && (stage !== 'frames' || bytes),
    comparison,
  };
}

/** A pipeline that does not warn of calls that only repeat those of a reference. */
class Replay extends SamplingPipeline {
  protected override warn(): void {}
}

/** A pipeline whose encoders compute, and then return the reference's results. */
class ReferenceFedPipeline extends Replay {
  private readonly reference: Reference;

  constructor(components: SamplingPipeline['components'], reference: Reference) {
    super(components);
    this.reference = reference;
  }
  private async substitute(own: tf.Tensor, stage: string): Promise<tf.Tensor> {
    own.dispose();
    return stageTensor(this.reference, stage);
  }
  protected override async encodeImage(
    ...call: Parameters<SamplingPipeline['encodeImage']>
  ): Promise<tf.Tensor> {
    return this.substitute(await super.encodeImage(...call), 'image_embeddings');
  }
  protected override async encodeVaeImage(
    ...call: Parameters<SamplingPipeline['encodeVaeImage']>
  ): Promise<tf.Tensor> {
    return this.substitute(await super.encodeVaeImage(...call), 'image_latents');
  }
}
