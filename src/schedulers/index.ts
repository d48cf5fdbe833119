/** Schedulers and the functions that make their schedules. */
export { betaPpf } from './betaDistribution.ts';
export {
  alphasCumprodOf,
  cosineBetas,
  linearBetas,
  rescaleZeroTerminalSnr,
  scaledLinearBetas,
  trainSigmas,
} from './betas.ts';
export {
  EulerDiscreteScheduler,
  type EulerStepOptions,
  type EulerStepOutput,
  type Warn,
} from './eulerDiscrete.ts';
export type { EulerDiscreteSchedulerConfig } from './eulerDiscreteConfig.ts';
export type { CustomSchedule } from './eulerSchedule.ts';
export { churn, eulerStep, inputScale, predictOriginalSample } from './eulerStep.ts';
export {
  betaSigmas,
  exponentialSigmas,
  interpolateSigmas,
  karrasSigmas,
  logLinearSigmas,
  sigmaToTimestep,
} from './sigmas.ts';
export { leadingTimesteps, linspaceTimesteps, trailingTimesteps } from './timesteps.ts';
