/** Schedulers and the functions that make their schedules. */
export { schedulerByName, schedulerFromConfig } from './byName.ts';
export type { CustomSchedule } from './customSchedule.ts';
export { AnimateLCMSVDStochasticIterativeScheduler } from './edm/animateLCMSVDStochasticIterative.ts';
export type {
  AnimateLCMSVDStochasticIterativeSchedulerConfig,
  EDMDPMSolverMultistepSchedulerConfig,
  EDMEulerSchedulerConfig,
} from './edm/edmConfig.ts';
export { EDMDPMSolverMultistepScheduler } from './edm/edmDPMSolverMultistep.ts';
export { EDMEulerScheduler } from './edm/edmEuler.ts';
export { type SolverWeights, solverWeights } from './edm/solverWeights.ts';
export { betaPpf } from './euler/betaDistribution.ts';
export {
  alphasCumprodOf,
  cosineBetas,
  linearBetas,
  rescaleZeroTerminalSnr,
  scaledLinearBetas,
  trainSigmas,
} from './euler/betas.ts';
export { EulerDiscreteScheduler } from './euler/eulerDiscrete.ts';
export type { EulerDiscreteSchedulerConfig } from './euler/eulerDiscreteConfig.ts';
export {
  churn,
  type EulerStepOptions,
  eulerStep,
  inputScale,
  predictOriginalSample,
} from './euler/eulerStep.ts';
export { leadingTimesteps, linspaceTimesteps, trailingTimesteps } from './euler/timesteps.ts';
export {
  type ScheduleName,
  type SchedulerName,
  scheduleNames,
  schedulerNames,
} from './names.ts';
export type { Scheduler, SchedulerState, StepOptions, StepOutput, Warn } from './scheduler.ts';
export {
  alignYourSteps,
  betaSigmas,
  exponentialSigmas,
  interpolateSigmas,
  karrasSigma,
  karrasSigmas,
  logLinearSigmas,
  sigmaToTimestep,
} from './sigmas.ts';
