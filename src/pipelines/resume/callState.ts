/** Takes the state of a sampling call, and goes on from it. */
import * as tf from '@tensorflow/tfjs-core';
import type { FloatArray } from '../../media/image.ts';
import type { Generator } from '../../random/generator.ts';
import type { Scheduler } from '../../schedulers/index.ts';
import { joined } from '../../text/messages.ts';
import { channelsFirst } from '../sampling/axes.ts';
import type { SampledCall } from '../sampling/schedule.ts';
import type { SamplingState } from './state.ts';

/** The state of one call while it runs. */
export class CallState {
  private readonly settings: SampledCall;
  private readonly generators: Generator[];
  private readonly from?: SamplingState;
  private readonly firstGenerators: Uint8Array[];

  /**
   * Takes the state of a call that begins, with its steps set. One that goes on `from` a state
   * begins with the generators as they were at the beginning.
   * @throws Error if that is the state of a call with other settings.
   */
  constructor(settings: SampledCall, from?: SamplingState) {
    this.settings = settings;
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
    return this.stepsDone === this.settings.scheduler.timesteps.length;
  }

  /** Goes back to where the call stood. @returns The latents `[videos*F, h, w, C]`. */
  restore(): tf.Tensor {
    const { latents, generators, scheduler } = this.from!;
    setStates(this.generators, generators);
    const [videos, frames, ...size] = latents.shape;
    return tf.tidy(() => {
      const modelOutputs = scheduler.modelOutputs.map(tensorOf);
      this.settings.scheduler.restore({ ...scheduler, modelOutputs });
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
      scheduler: await stateOf(this.settings.scheduler),
      settings: this.comparable,
    };
  }

  /** The settings that the result of sampling depends on. */
  private get comparable(): Record<string, unknown> {
    const { generator, latents, callbackOnStepEndTensorInputs, ...others } = this.settings;
    const { guidanceTogether, decodeChunkSize, outputType, scheduler, ...settings } = others;
    return {
      ...settings,
      sigmas: settings.sigmas && Array.from(settings.sigmas),
      seeds: this.generators.map(({ initialSeed }) => `${initialSeed}`),
      scheduler: scheduler.toConfig(),
    };
  }
}

const tensorOf = ({ data, shape }: FloatArray) => tf.tensor(data, shape, 'float32');

/** What a scheduler carries to its next step. */
async function stateOf(scheduler: Scheduler): Promise<SamplingState['scheduler']> {
  const { stepIndex, modelOutputs } = scheduler.state();
  const read = modelOutputs.map(async (output) => ({
    data: Float32Array.from(await output.data()),
    shape: output.shape,
  }));
  return { stepIndex, modelOutputs: await Promise.all(read) };
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
