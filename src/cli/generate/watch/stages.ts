/**
 * Keeps the stage tensors of a run, for `--dump` and for the final latents of a `.safetensors`
 * output.
 */
import type { FloatArray } from '../../../pipelines/types.ts';

/** Receives stages through the `onStage` option of `generate`. */
export class StageRecorder {
  private readonly keepAll: boolean;
  private readonly kept = new Map<string, FloatArray>();
  private latents?: FloatArray;

  /** `keepAll`: every stage. Otherwise only the latents of the last step. */
  constructor(keepAll: boolean) {
    this.keepAll = keepAll;
  }

  record = (name: string, value: FloatArray): void => {
    if (this.keepAll) this.kept.set(name, value);
    if (name.startsWith('latents_step_')) this.latents = value;
  };

  /** Takes the stages that an earlier run has recorded. */
  restore(stages: Record<string, FloatArray>): void {
    for (const [name, value] of Object.entries(stages)) this.record(name, value);
  }

  /** Every stage by name. */
  get all(): Record<string, FloatArray> {
    return Object.fromEntries(this.kept);
  }

  /** Latents after the last sampling step, `[B, F, 4, h, w]`. */
  get finalLatents(): FloatArray {
    if (this.latents === undefined)
      throw new Error('There are no latents: the run ended before its first sampling step.');
    return this.latents;
  }
}
