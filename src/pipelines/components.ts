/** The parts of a pipeline. */
import type { Steps, StepWeights } from '../layers/index.ts';
import type { OffloadMode } from '../memory/offloadModes.ts';
import type { GivenSettings, MemoryPlan } from '../memory/plan.ts';
import type { VideoSize } from '../memory/stages.ts';
import type {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../models/index.ts';
import type { ModelName } from '../models/names.ts';
import type { Replays } from '../recording/replay.ts';
import type { Scheduler } from '../schedulers/index.ts';

/** How pictures are normalised for the image encoder: `preprocessor_config.json`. */
export interface FeatureExtractor {
  /** Mean of each channel. */
  imageMean: readonly number[];
  /** Standard deviation of each channel. */
  imageStd: readonly number[];
}

/** The parts of a pipeline. */
export interface Components {
  /** Encodes the picture and decodes the frames. */
  vae: AutoencoderKLTemporalDecoder;
  /** Makes the context of the UNet. */
  imageEncoder: CLIPVisionModelWithProjection;
  /** Predicts the velocity at each step. */
  unet: UNetSpatioTemporalConditionModel;
  /** The sampler. */
  scheduler: Scheduler;
  /** How pictures are normalised for the image encoder. */
  featureExtractor: FeatureExtractor;
  /** Brings weights into memory for their part of the work, if they do not stay there. */
  offload?: Offload;
  /**
   * Chooses how calls run, by the memory there is. Without it, they run as if there were enough.
   */
  planner?: CallPlanner;
  /** Records small models, so that their many operations cost less. */
  replays?: Replays;
}

/** The parts that one call at a time may use. */
export const partsOf = ({ unet, vae, imageEncoder, scheduler }: Components): object[] => [
  ...[unet, vae, imageEncoder],
  scheduler,
];

/** Keeps the weights of models out of memory while they are not needed. */
export interface Offload {
  /** Whether whole models or single blocks are brought in. */
  readonly mode: Exclude<OffloadMode, 'none'>;
  /**
   * Brings the weights of a model into memory, or returns what brings in those of each of its
   * blocks when it runs.
   * @throws The signal's reason if it aborts.
   */
  load(model: ModelName, signal?: AbortSignal): Promise<StepWeights | undefined>;
  /** Frees them and closes their files. */
  release(model: ModelName): Promise<void>;
}

/** Chooses how calls run so that they fit into memory. */
export interface CallPlanner {
  /**
   * Plans one call.
   * @param given The settings that the planner does not choose.
   * @throws MemoryError that names the nearest sizes that fit, if this one does not fit.
   */
  plan(size: VideoSize, given: GivenSettings): MemoryPlan;
  /** The same in steps, between which signals are heard; `plan` then knows the result. */
  planInSteps?(size: VideoSize, given: GivenSettings): Steps<MemoryPlan>;
}
