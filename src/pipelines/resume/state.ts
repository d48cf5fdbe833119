/** Where a sampling call stands, so that another call can go on from there. */
import type { FloatArray } from '../../media/image.ts';
import { type Kind, kinds } from '../../text/kinds.ts';

/** Where a call stands after a sampling step: everything that the rest of it depends on. */
export interface SamplingState {
  /** The sampling steps that are done, from 1 to all. */
  step: number;
  /** Latents after that step, `[B, F, 4, h, w]`. */
  latents: FloatArray;
  /** The states of the generators after that step, by `getState`. */
  generators: Uint8Array[];
  /** Their states when the call began. */
  firstGenerators: Uint8Array[];
  /** What the scheduler carries to the next step. */
  scheduler: {
    /** Index of the next step in its schedule. */
    stepIndex: number | null;
    /** What it keeps of earlier steps, as it lays it out: the last one last. */
    modelOutputs: FloatArray[];
  };
  /** The settings of the call, which have to be the same for the rest of it. */
  settings: Record<string, unknown>;
}

const isBytes = (value: unknown) =>
  Array.isArray(value) && value.length > 0 && value.every((one) => one instanceof Uint8Array);

/** The states that a call can go on from. */
export const stateKind = {
  is: 'a state that `onState` was called with',
  test(value) {
    const state = Object(value) as Partial<SamplingState>;
    return (
      [state.generators, state.firstGenerators].every(isBytes) &&
      [state.latents, state.scheduler, state.settings].every(kinds.object.test) &&
      Number.isInteger(state.step)
    );
  },
} satisfies Kind;
