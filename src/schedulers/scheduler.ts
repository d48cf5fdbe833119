/** What every sampler has: a run along noise levels, one step after the other. */
import * as tf from '@tensorflow/tfjs-core';
import { Generator } from '../random/generator.ts';
import { generatorKind, randnTensor, toChannelsFirst } from '../random/randnTensor.ts';
import { type Kinds, kinds } from '../text/options.ts';
import { type ConfigTable, completeConfig, configToJson } from './config.ts';
import type { CustomSchedule } from './customSchedule.ts';

/** Options of `step` that every sampler has. Those without noise draw none. */
export interface StepOptions {
  /**
   * Source of the added noise, drawn in diffusers' axis order for a channels-last sample. Default:
   * a new one with a random seed.
   */
  generator?: Generator | readonly Generator[];
  /** The added noise itself, of the sample's shape, instead of a generator. */
  noise?: tf.Tensor;
}

/** The values of those options. */
export const stepOptionKinds: Kinds<StepOptions> = {
  generator: generatorKind,
  noise: kinds.object,
};

/** The result of `step`. The caller disposes of both tensors. */
export interface StepOutput {
  /** The sample at the next noise level. */
  prevSample: tf.Tensor;
  /** The clean sample that follows from the model's output. */
  predOriginalSample: tf.Tensor;
}

/** What the rest of a run depends on, besides its schedule and the sample. */
export interface SchedulerState {
  /** Index of the next step; null before the first. */
  stepIndex: number | null;
  /**
   * The clean samples that the latest steps have predicted, the last one last: at most one less
   * than a multistep solver's order, none of other samplers.
   */
  modelOutputs: readonly tf.Tensor[];
}

/**
 * A sampler, by diffusers' names. Call `setTimesteps`, scale the start noise by `initNoiseSigma`,
 * and for each of `timesteps`: `scaleModelInput`, the model, `step`.
 */
export interface Scheduler {
  /** Its class, as `model_index.json` names it. */
  readonly className: string;
  /** Its options, by diffusers' names in camelCase. */
  readonly config: object;
  /** Noise levels of the run, the terminal one last. */
  readonly sigmas: Float32Array;
  /** The model's timestep input at each step. */
  readonly timesteps: Float32Array | Float64Array;
  /** Standard deviation of the start noise under the current schedule. */
  readonly initNoiseSigma: number;
  /**
   * Makes the schedule of a run and forgets the current step. Pass a number of steps, or null and a
   * custom schedule.
   * @throws When the sampler cannot follow such a schedule.
   */
  setTimesteps(numInferenceSteps: number | null, custom?: CustomSchedule): void;
  /** Scales a sample to unit variance for the model. */
  scaleModelInput(sample: tf.Tensor, timestep: number): tf.Tensor;
  /** Takes the sample to the next noise level. */
  step(
    modelOutput: tf.Tensor,
    timestep: number,
    sample: tf.Tensor,
    options?: StepOptions,
  ): StepOutput;
  /** The state of the run. Its tensors are the scheduler's own, until the next step. */
  state(): SchedulerState;
  /** Goes on from a state, whose tensors stay the caller's, in a schedule that has been set. */
  restore(state: SchedulerState): void;
  /** Frees the tensors that a run keeps for its next steps. One that has ended keeps none. */
  dispose(): void;
  /** The content of `scheduler_config.json`. */
  toConfig(): Record<string, unknown>;
}

/** A function that receives a warning: one sentence for the user. */
export type Warn = (message: string) => void;

/** The run of a sampler: where it is in its schedule, and what it keeps for the next steps. */
export abstract class ScheduledRun<
  Config extends { numTrainTimesteps: number },
  Timesteps extends Scheduler['timesteps'] = Float32Array,
> implements Scheduler
{
  /** The configuration with defaults filled in. */
  readonly config: Readonly<Config>;
  /** Standard deviation of the start noise under the current schedule. */
  abstract readonly initNoiseSigma: number;
  /** Order of the solver: model calls per step. */
  readonly order = 1;
  /**
   * Noise levels of the run, the terminal one last; those of the whole training schedule before
   * `setTimesteps`.
   */
  sigmas!: Float32Array;
  /** The model's timestep input at each step. */
  timesteps!: Timesteps;
  /** Steps of the run; null before `setTimesteps`. */
  numInferenceSteps: number | null = null;
  /** The clean samples of the latest steps. */
  protected modelOutputs: tf.Tensor[] = [];
  private readonly configTable: ConfigTable<Config>;
  private readonly warn: Warn;
  private currentIndex: number | null = null;
  private firstIndex: number | null = null;
  private readonly warned = new Set<string>();
  private inputWasScaled = false;

  /**
   * @param options The options that differ from the defaults of the table.
   * @param warn Receives warnings, each once.
   * @throws When an option is unknown, or a value is not allowed.
   */
  constructor(configTable: ConfigTable<Config>, options: Partial<Config>, warn: Warn) {
    this.configTable = configTable;
    this.config = completeConfig(configTable, options);
    this.warn = warn;
  }

  /** Its class, as `model_index.json` names it. */
  get className(): string {
    return this.configTable.className;
  }

  abstract setTimesteps(numInferenceSteps: number | null, custom?: CustomSchedule): void;
  abstract step(...step: Parameters<Scheduler['step']>): StepOutput;

  /** What divides a sample at a noise level, so that it has unit variance. */
  protected abstract inputScale(sigma: number): number;

  /** Number of training steps, diffusers' `len(scheduler)`. */
  get length(): number {
    return this.config.numTrainTimesteps;
  }

  /** Index of the next step; null until the first `scaleModelInput` or `step`. */
  get stepIndex(): number | null {
    return this.currentIndex;
  }

  /** The index that `setBeginIndex` set, else null. */
  get beginIndex(): number | null {
    return this.firstIndex;
  }

  /** Begins the run at this index of the schedule, instead of at that of its first timestep. */
  setBeginIndex(beginIndex = 0): void {
    this.firstIndex = beginIndex;
  }

  /**
   * The index of a timestep in the schedule. Of several equal ones it is the second, so that a run
   * that starts in the middle skips none. This is diffusers' rule: a schedule that repeats its
   * first timestep therefore loses a step and ends with an error.
   * @throws When the timestep is not in the schedule.
   */
  indexForTimestep(timestep: number, timesteps: ArrayLike<number> = this.timesteps): number {
    const values = Array.from(timesteps);
    const first = values.indexOf(timestep);
    if (first < 0) {
      throw new Error(
        `The timestep ${timestep} is not in the schedule. Make sure to pass one of the ` +
          '`scheduler.timesteps` as a timestep.',
      );
    }
    const second = values.indexOf(timestep, first + 1);
    return second < 0 ? first : second;
  }

  /** Scales a sample to unit variance for the model. */
  scaleModelInput(sample: tf.Tensor, timestep: number): tf.Tensor {
    const sigma = this.sigmaAt(this.currentOrFirst(timestep));
    this.inputWasScaled = true;
    return tf.div(sample, this.inputScale(sigma));
  }

  /**
   * Adds noise of the level of each sample's timestep: `samples + noise * sigma`. After
   * `setBeginIndex`, the level is that of the current step, or before it of the first one.
   * @param timesteps One for each sample of the batch, or one for all.
   */
  addNoise(originalSamples: tf.Tensor, noise: tf.Tensor, timesteps: ArrayLike<number>): tf.Tensor {
    const indices = Array.from(timesteps, (t) =>
      this.firstIndex === null ? this.indexForTimestep(t) : (this.currentIndex ?? this.firstIndex),
    );
    const sigmas = indices.map((index) => this.sigmaAt(index));
    return tf.tidy(() =>
      tf.add(originalSamples, tf.mul(noise, perSample(sigmas, originalSamples.rank))),
    );
  }

  /** The content of `scheduler_config.json`. */
  toConfig(): Record<string, unknown> {
    return configToJson(this.configTable, this.config);
  }

  /** The state of the run. Its tensors are the scheduler's own, until the next step. */
  state(): SchedulerState {
    return { stepIndex: this.currentIndex, modelOutputs: this.modelOutputs };
  }

  /** Goes on from a state, whose tensors stay the caller's, in a schedule that has been set. */
  restore({ stepIndex, modelOutputs }: SchedulerState): void {
    this.currentIndex = stepIndex;
    this.keepOutputs(modelOutputs.map((output) => tf.clone(output)));
  }

  /** Frees the tensors that a run keeps for its next steps. One that has ended keeps none. */
  dispose(): void {
    this.keepOutputs([]);
  }

  /** Keeps other outputs than before, and frees those that are not among them. */
  protected keepOutputs(outputs: tf.Tensor[]): void {
    const before = this.modelOutputs;
    this.modelOutputs = outputs.map((output) => tf.keep(output));
    tf.dispose(before.filter((output) => !outputs.includes(output)));
  }

  /** Begins a run along a schedule. */
  protected begin(sigmas: Float32Array, timesteps: Timesteps): void {
    this.sigmas = sigmas;
    this.timesteps = timesteps;
    this.currentIndex = null;
    this.firstIndex = null;
    this.dispose();
  }

  /**
   * Does the step of a timestep, and ends it.
   * @param work Receives the index of the step and the noise levels around it. Its tensors but the
   * result are freed.
   */
  protected takeStep(
    timestep: number,
    work: (index: number, sigma: number, sigmaNext: number) => StepOutput,
  ): StepOutput {
    this.refuseIndices('step', [timestep]);
    if (!this.inputWasScaled) {
      this.warnOnce(
        'The `scaleModelInput` function should be called before `step` to ensure correct ' +
          'denoising.',
      );
    }
    const index = this.currentOrFirst(timestep);
    const [sigma, sigmaNext] = [this.sigmaAt(index), this.sigmaAt(index + 1)];
    const output = tf.tidy(() => ({ ...work(index, sigma, sigmaNext) }));
    this.currentIndex = index + 1;
    if (this.currentIndex >= this.timesteps.length) this.dispose();
    return output;
  }

  /** Gives a warning, if it has not given the same one before. */
  protected warnOnce(message: string): void {
    if (!this.warned.has(message)) this.warn(message);
    this.warned.add(message);
  }

  /** The index of the step to take, found from its timestep if it is the first. */
  private currentOrFirst(timestep: number): number {
    this.currentIndex ??= this.firstIndex ?? this.indexForTimestep(timestep);
    return this.currentIndex;
  }

  private sigmaAt(index: number): number {
    const sigma = this.sigmas[index];
    if (sigma === undefined) {
      throw new Error(
        `index ${index} is out of bounds for dimension 0 with size ${this.sigmas.length}: the ` +
          'schedule has ended. ' +
          'Call `setTimesteps` for another run, and use a schedule whose timesteps all differ.',
      );
    }
    return sigma;
  }

  /** Throws when a timestep looks like a counter: a whole number that is not in the schedule. */
  protected refuseIndices(method: string, timesteps: number[]): void {
    if (timesteps.some((t) => Number.isInteger(t) && !this.timesteps.includes(t))) {
      throw new Error(
        'Passing integer indices (e.g. from `enumerate(timesteps)`) as timesteps to ' +
          `\`${this.className}.${method}()\` is not supported. ` +
          'Make sure to pass one of the `scheduler.timesteps` as a timestep.',
      );
    }
  }
}

/** The noise of a step of `sample`. */
export const stepNoise = (sample: tf.Tensor, { generator, noise }: StepOptions): tf.Tensor =>
  noise ?? randnTensor(generator ?? new Generator(), toChannelsFirst(sample.shape));

/** Numbers of the samples of a batch as a tensor `[B, 1, ...]`. */
export function perSample(values: number[], rank: number): tf.Tensor {
  return tf.tensor(
    values,
    [values.length, ...new Array<number>(Math.max(rank - 1, 0)).fill(1)],
    'float32',
  );
}
