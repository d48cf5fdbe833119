/** The comparison of one stage with a reference, and its verdict. */
import type { FloatArray } from '../media/image.ts';
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
  /**
   * Set on a block that is above tolerance in the call only because of what came before it. The
   * result is then that on the reference's inputs.
   */
  onReferenceInputs?: true;
  /**
   * The distances of both from float64, if the reference has it: of the picture latents, and of
   * every block that is not within its tolerance of diffusers.
   */
  float64?: {
    /**
     * The relative L2 distance of this package. A stage that is not within its tolerance of
     * diffusers is within if it keeps to that of float64.
     */
    own: number;
    /** That of diffusers, which computes in float32. */
    diffusers: number;
  };
}

/**
 * Compares a stage with `expected`, that of the reference. Blocks that work on the reference's
 * outputs (`teacherForced`) are compared with float64 on the same inputs.
 */
export async function compareStage(
  stage: string,
  actual: FloatArray,
  expected: FloatArray,
  reference: Reference,
  teacherForced: boolean,
): Promise<StageResult> {
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
  const within = comparison.relativeL2 <= tolerance && (stage !== 'frames' || bytes);
  const result = { stage, tolerance, within, comparison };
  const isSettled = within && stage !== 'image_latents';
  const exact = isSettled ? undefined : await reference.readFloat64(stage, teacherForced);
  if (!exact) return result;
  const own = compareTensors(actual, exact).relativeL2;
  const diffusers = compareTensors(expected, exact).relativeL2;
  return { ...result, within: within || own <= tolerance, float64: { own, diffusers } };
}

/**
 * Whether the difference of a stage is that of diffusers: it is several times as far from float64.
 * Of ordinary pictures, both are about as near.
 */
export const isOfDiffusers = ({ within, float64 }: StageResult): boolean =>
  within && float64 !== undefined && float64.diffusers > 3 * float64.own;

/** The result of a stage that was never computed. */
export const neverComputed = (stage: string, teacherForced: boolean): StageResult => ({
  stage,
  tolerance: toleranceOf(stage, teacherForced),
  within: false,
  problem: 'never computed',
});

function toleranceOf(stage: string, teacherForced: boolean): number {
  if (['image_noise', 'added_time_ids', 'initial_latents'].includes(stage))
    return stageTolerances.random;
  if (stage.startsWith('block.'))
    return teacherForced ? stageTolerances.layer : stageTolerances.model;
  return ['image_embeddings', 'image_latents'].includes(stage)
    ? stageTolerances.model
    : stageTolerances.call;
}
