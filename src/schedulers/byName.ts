/** Makes samplers from their names and from their configurations. */
import { checkValue, oneOf } from '../text/kinds.ts';
import { AnimateLCMSVDStochasticIterativeScheduler } from './edm/animateLCMSVDStochasticIterative.ts';
import { EDMDPMSolverMultistepScheduler } from './edm/edmDPMSolverMultistep.ts';
import { EDMEulerScheduler } from './edm/edmEuler.ts';
import { EulerDiscreteScheduler } from './euler/eulerDiscrete.ts';
import {
  type SchedulerName,
  schedulerClasses,
  schedulerClassNames,
  schedulerNames,
  UNFIT,
} from './names.ts';
import type { Scheduler, Warn } from './scheduler.ts';

const noise = { sigmaMin: 0.002, sigmaMax: 700 };
const edm = { ...noise, sigmaData: 1, predictionType: 'v_prediction' } as const;

const makers: Record<SchedulerName, (warn?: Warn) => Scheduler> = {
  euler: (warn) =>
    new EulerDiscreteScheduler(
      {
        ...noise,
        ...{ betaStart: 0.00085, betaEnd: 0.012, betaSchedule: 'scaled_linear' },
        ...{ predictionType: 'v_prediction', timestepType: 'continuous', useKarrasSigmas: true },
        ...{ timestepSpacing: 'leading', stepsOffset: 1 },
      },
      warn,
    ),
  'edm-euler': (warn) => new EDMEulerScheduler(edm, warn),
  'dpmpp-2m': (warn) => new EDMDPMSolverMultistepScheduler(edm, warn),
  'dpmpp-2m-sde': (warn) =>
    new EDMDPMSolverMultistepScheduler({ ...edm, algorithmType: 'sde-dpmsolver++' }, warn),
  animatelcm: (warn) =>
    new AnimateLCMSVDStochasticIterativeScheduler(
      { ...noise, sigmaData: 1, clipDenoised: false },
      warn,
    ),
};

/**
 * A sampler with the settings that fit Stable Video Diffusion: noise levels from 700 to 0.002 of a
 * Karras schedule, then 0. `euler` is that of the published models. `dpmpp-2m` and `dpmpp-2m-sde`
 * are of second order, in the midpoint form. `animatelcm` is for the weights of AnimateLCM-SVD.
 * @param warn Receives warnings, each once. Default: `console.warn`.
 * @throws When there is no sampler of that name.
 */
export function schedulerByName(name: SchedulerName, warn?: Warn): Scheduler {
  checkValue('scheduler', name, oneOf(...schedulerNames));
  return makers[name](warn);
}

const classes: Record<string, (json: Record<string, unknown>, warn?: Warn) => Scheduler> = {
  EulerDiscreteScheduler: EulerDiscreteScheduler.fromConfig,
  EDMEulerScheduler: EDMEulerScheduler.fromConfig,
  EDMDPMSolverMultistepScheduler: EDMDPMSolverMultistepScheduler.fromConfig,
  AnimateLCMSVDStochasticIterativeScheduler: AnimateLCMSVDStochasticIterativeScheduler.fromConfig,
};

/**
 * Makes a sampler of the class that a parsed `scheduler_config.json` names as `_class_name`.
 * @param warn Receives warnings, each once. Default: `console.warn`.
 * @throws When it is another class, or a value is not allowed.
 */
export function schedulerFromConfig(json: Record<string, unknown>, warn?: Warn): Scheduler {
  const name = `${json._class_name}`;
  const make = Object.hasOwn(classes, name) ? classes[name] : undefined;
  if (make) return make(json, warn);
  const why = name.endsWith('Scheduler') ? ` ${UNFIT}` : '';
  throw new Error(
    `The scheduler's class has to be ${schedulerClassNames.join(' or ')} but is ${name}.${why}`,
  );
}

/** What the model is trained for, which a sampler has to fit: the keys of its configuration. */
const ofModel = ['sigma_data', 'prediction_type', 'timestep_type', 'clip_denoised'];

/** A sentence about settings of a sampler that do not fit Stable Video Diffusion. */
export function misfitOf(scheduler: Scheduler): string | undefined {
  const name = schedulerNames.find((one) => schedulerClasses[one] === scheduler.className);
  if (name === undefined) return undefined;
  const [given, fitting] = [scheduler.toConfig(), makers[name]().toConfig()];
  const wrong = ofModel.filter((key) => key in fitting && given[key] !== fitting[key]);
  if (wrong.length === 0) return undefined;
  const has = wrong.map((key) => `${key} ${given[key]} instead of ${fitting[key]}`);
  return (
    `The ${scheduler.className} has ${has.join(', ')}, so it does not fit Stable Video Diffusion: ` +
    `\`schedulerByName('${name}')\` (--scheduler ${name}) does.`
  );
}
