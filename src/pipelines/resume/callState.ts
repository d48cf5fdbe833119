/** Takes the state of a sampling call, and goes on from it. */
import * as tf from '@tensorflow/tfjs-core';
import type { FloatArray } from '../../media/image.ts';
import type { Generator } from '../../random/generator.ts';
import { joined } from '../../text/messages.ts';
import { channelsFirst } from '../sampling/axes.ts';
import type { CallSettings } from '../settings.ts';
import type { CallingPipeline } from '../types.ts';
import type { SamplingState } from './state.ts';

type Scheduler = CallingPipeline['scheduler'];

/** The state of one call while it runs. */
export class CallState {
  private readonly settings: CallSettings;
  private readonly scheduler: Scheduler;
  private readonly generators: Generator[];
  private readonly from?: SamplingState;
  private readonly firstGenerators: Uint8Array[];

  /**
   * Takes the state of a call that begins, with its steps set. One that goes on `from` a state
   * begins with the generators as they were at the beginning.
   * @throws Error if that is the state of a call with other settings.
   */
  constructor(settings: CallSettings, scheduler: Scheduler, from?: SamplingState) {
    this.settings = settings;
    this.scheduler = scheduler;
    this.generators = [settings.generator].flat();
    this.from = from;
    if (from) {
      checkSettings(from.settings, this.comparable);
      setStates(this.generators, from.firstGenerators);
    }
    this.firstGenerators = from?.firstGenerators ?? statesOf(this.generators);
  }

  /** Steps that were done before. */
  get stepsDone(): number {
    return this.from?.step ?? 0;
  }

  /** Whether no step is left. */
  get isSampled(): boolean {
    return this.stepsDone === this.scheduler.timesteps.length;
  }

  /** Goes back to where the call stood. @returns The latents `[videos*F, h, w, C]`. */
  restore(): tf.Tensor {
    const { latents, generators, scheduler } = this.from!;
    setStates(this.generators, generators);
    const [videos, frames, ...size] = latents.shape;
    return tf.tidy(() => {
      restoreScheduler(this.scheduler, scheduler);
      const rows = tf.reshape(tensorOf(latents), [videos * frames, ...size]);
      return tf.transpose(rows, [0, 2, 3, 1]);
    });
  }

  /** Where the call stands after `step` steps, with latents `[videos*F, h, w, C]`. */
  async after(step: number, latents: tf.Tensor): Promise<SamplingState> {
    return {
      step,
      latents: await channelsFirst(latents, this.settings.numFrames),
      generators: statesOf(this.generators),
      firstGenerators: this.firstGenerators,
      scheduler: stateOfScheduler(this.scheduler),
      settings: this.comparable,
    };
  }

  /** The settings that the result of sampling depends on. */
  private get comparable(): Record<string, unknown> {
    const { generator, latents, callbackOnStepEndTensorInputs, ...others } = this.settings;
    const { guidanceTogether, decodeChunkSize, outputType, ...settings } = others;
    return {
      ...settings,
      sigmas: settings.sigmas && Array.from(settings.sigmas),
      seeds: this.generators.map(({ initialSeed }) => `${initialSeed}`),
      scheduler: this.scheduler.toConfig(),
    };
  }
}

const tensorOf = ({ data, shape }: FloatArray) => tf.tensor(data, shape, 'float32');

/** Euler's method keeps nothing of earlier steps. */
const stateOfScheduler = ({ stepIndex }: Scheduler): SamplingState['scheduler'] => ({
  stepIndex,
  modelOutputs: [],
});

function restoreScheduler(scheduler: Scheduler, { stepIndex }: SamplingState['scheduler']): void {
  scheduler.setBeginIndex(stepIndex ?? 0);
}

const statesOf = (generators: Generator[]) => generators.map((one) => one.getState());

function setStates(generators: Generator[], states: Uint8Array[]): void {
  for (const [i, one] of generators.entries()) one.setState(states[i]);
}

/** Names of the values that differ, as a file would store them. */
export function differingNames(
  before: Record<string, unknown>,
  now: Record<string, unknown>,
): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  return names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]));
}

function checkSettings(before: Record<string, unknown>, now: Record<string, unknown>): void {
  const others = differingNames(before, now);
  if (others.length === 0) return;
  throw new Error(
    `\`resumeFrom\` is the state of a call with another ${joined(others.map((name) => `\`${name}\``))}. ` +
      'Pass the settings of that call.',
  );
}
