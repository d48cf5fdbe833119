/**
 * The samplers that fit Stable Video Diffusion, by name. They stand apart from the classes, so that
 * the command line can show them without loading TensorFlow.js.
 */

/** Names of samplers with settings that fit Stable Video Diffusion, and the class of each. */
export const schedulerClasses = {
  euler: 'EulerDiscreteScheduler',
  'edm-euler': 'EDMEulerScheduler',
  'dpmpp-2m': 'EDMDPMSolverMultistepScheduler',
  'dpmpp-2m-sde': 'EDMDPMSolverMultistepScheduler',
  animatelcm: 'AnimateLCMSVDStochasticIterativeScheduler',
} as const;

/** The name of a sampler with settings that fit Stable Video Diffusion. */
export type SchedulerName = keyof typeof schedulerClasses;

/** The names of samplers. */
export const schedulerNames = Object.keys(schedulerClasses) as SchedulerName[];

/** The classes of these samplers, as diffusers and AnimateLCM call them. */
export const schedulerClassNames: readonly string[] = [...new Set(Object.values(schedulerClasses))];

/** The name of the sampler that a `scheduler_config.json` is of, the first of its class. */
export const schedulerNameOf = ({ _class_name: name }: Record<string, unknown>) =>
  schedulerNames.find((own) => schedulerClasses[own] === name);

/** Schedules besides those of the samplers: `ays` is Align Your Steps. */
export const scheduleNames = ['ays'] as const;

/** What to say of a name that is none of `scheduleNames`: the right one, or the way out. */
export function otherSchedule(name: string): string | undefined {
  const plain = name.toLowerCase().replaceAll(/[\s_-]/g, '');
  if (plain === 'ays' || plain.startsWith('alignyoursteps')) return 'ays';
  return plain === 'karras' ? 'Leave it out: the samplers take those of Karras.' : undefined;
}

/** The name of a schedule. */
export type ScheduleName = (typeof scheduleNames)[number];

/** The steps that AnimateLCM-SVD was trained with, the most that its sampler takes. */
export const ANIMATELCM_STEPS = 40;

/** What is wrong with all other samplers of diffusers, as a sentence. */
export const UNFIT = 'It knows no continuous timesteps, which Stable Video Diffusion needs.';

/** Other samplers of diffusers, by what its users call them. */
const others = new RegExp(
  `^(${[
    'amused|cm|cogvideox|ddim|ddpm|deis|euler_?a|flow|heun|ipndm|karras_?ve|k?dpm|lcm|lms',
    'plms|pndm|repaint|sa_?solver|scm|score_?sde|tcd|unclip|uni_?pc|vq',
  ].join('|')})`,
);

/** What to say of a name that is none of `schedulerNames`: the right one, or why there is none. */
export function otherScheduler(name: string): string | undefined {
  const byClass = schedulerNames.find((own) =>
    [name, `${name}Scheduler`].includes(schedulerClasses[own]),
  );
  if (byClass) return byClass;
  const plain = name
    .toLowerCase()
    .replaceAll(/[\s-]/g, '_')
    .replace('dpm++', 'dpmpp')
    .replace(/^k_/, '');
  const same = schedulerNames.find((own) => own.replaceAll('-', '_') === plain);
  if (same) return same;
  return name.endsWith('Scheduler') || others.test(plain) ? UNFIT : undefined;
}
