/** Samplers by their names, and by the class that a configuration names. */
import { expect } from 'chai';
import { publishedConfigs } from '../../src/checkpoints/index.ts';
import { misfitOf } from '../../src/schedulers/byName.ts';
import {
  EDMDPMSolverMultistepScheduler,
  EulerDiscreteScheduler,
  type SchedulerName,
  schedulerByName,
  schedulerFromConfig,
  schedulerNames,
} from '../../src/schedulers/index.ts';
import {
  otherSchedule,
  otherScheduler,
  schedulerClassNames,
  UNFIT,
} from '../../src/schedulers/names.ts';

/** The configurations that diffusers 0.42.1 and AnimateLCM save for schedulers of class defaults. */
const noise = { rho: 7, sigma_data: 0.5, sigma_max: 80, sigma_min: 0.002 };
const edmEuler = {
  ...noise,
  ...{ final_sigmas_type: 'zero', num_train_timesteps: 1000, prediction_type: 'epsilon' },
  sigma_schedule: 'karras',
};
const defaults: Record<string, object> = {
  EDMEulerScheduler: edmEuler,
  EDMDPMSolverMultistepScheduler: {
    ...edmEuler,
    ...{ algorithm_type: 'dpmsolver++', dynamic_thresholding_ratio: 0.995, euler_at_final: false },
    ...{ lower_order_final: true, sample_max_value: 1, solver_order: 2, solver_type: 'midpoint' },
    thresholding: false,
  },
  AnimateLCMSVDStochasticIterativeScheduler: {
    ...noise,
    ...{ clip_denoised: true, num_train_timesteps: 40, s_noise: 1 },
  },
};

describe('schedulers by class', () => {
  it("have the references' class defaults, and read back what they write", () => {
    for (const [_class_name, config] of Object.entries(defaults)) {
      const written = schedulerFromConfig({ _class_name }).toConfig();
      expect(written).to.deep.equal({ _class_name, _diffusers_version: '0.42.1', ...config });
      const changed = { ...written, rho: 5, sigma_max: 700, unknown: 1 };
      const { unknown: _, ...rest } = changed;
      expect(schedulerFromConfig(changed).toConfig()).to.deep.equal(rest);
    }
    expect(schedulerClassNames).to.have.members([
      'EulerDiscreteScheduler',
      ...Object.keys(defaults),
    ]);
  });

  it('refuse classes that do not fit, with the reason and those that do', () => {
    const classes = schedulerClassNames.join(' or ');
    expect(() => schedulerFromConfig({ _class_name: 'DDIMScheduler' })).to.throw(
      `The scheduler's class has to be ${classes} but is DDIMScheduler. ${UNFIT}`,
    );
    for (const name of [undefined, 'constructor', 'UNet'])
      expect(() => schedulerFromConfig({ _class_name: name })).to.throw(`but is ${name}.`);
  });

  it('take one another’s configurations, as in diffusers', () => {
    const euler = schedulerByName('euler').toConfig();
    expect(EDMDPMSolverMultistepScheduler.fromConfig(euler).config).to.include({
      ...{ sigmaMax: 700, predictionType: 'v_prediction', sigmaData: 0.5 },
    });
  });
});

describe('schedulers by name', () => {
  it('have settings that fit Stable Video Diffusion', () => {
    const configs = Object.fromEntries(
      schedulerNames.map((name) => [name, schedulerByName(name).toConfig()]),
    ) as Record<SchedulerName, Record<string, unknown>>;
    const published = publishedConfigs(25).configs.scheduler;
    expect(configs.euler).to.deep.equal(EulerDiscreteScheduler.fromConfig(published).toConfig());
    const fitting = { sigma_min: 0.002, sigma_max: 700, sigma_data: 1, rho: 7 };
    for (const name of schedulerNames.slice(1)) expect(configs[name]).to.include(fitting);
    const edm = {
      prediction_type: 'v_prediction',
      sigma_schedule: 'karras',
      final_sigmas_type: 'zero',
    };
    for (const name of ['edm-euler', 'dpmpp-2m', 'dpmpp-2m-sde'] as const)
      expect(configs[name]).to.include(edm);
    const solver = { solver_order: 2, solver_type: 'midpoint', lower_order_final: true };
    expect(configs['dpmpp-2m']).to.include({ ...solver, algorithm_type: 'dpmsolver++' });
    expect(configs['dpmpp-2m-sde']).to.include({ ...solver, algorithm_type: 'sde-dpmsolver++' });
    expect(configs.animatelcm).to.include({ clip_denoised: false, num_train_timesteps: 40 });
    expect(() => schedulerByName('ddim' as 'euler')).to.throw(
      `\`scheduler\` has to be one of ${schedulerNames.join(', ')} but is ddim.`,
    );
  });

  it('tell settings that do not fit', () => {
    for (const name of schedulerNames) expect(misfitOf(schedulerByName(name))).to.equal(undefined);
    expect(misfitOf(schedulerFromConfig({ _class_name: 'EDMEulerScheduler' }))).to.equal(
      'The EDMEulerScheduler has sigma_data 0.5 instead of 1, prediction_type epsilon instead of ' +
        "v_prediction, so it does not fit Stable Video Diffusion: `schedulerByName('edm-euler')` " +
        '(--scheduler edm-euler) does.',
    );
  });

  it('are found by what people call them', () => {
    const meant: Record<string, string | undefined> = {
      ...{ EDMEulerScheduler: 'edm-euler', EulerDiscreteScheduler: 'euler', dpmpp_2m: 'dpmpp-2m' },
      ...{ 'DPM++ 2M SDE': 'dpmpp-2m-sde', EDMDPMSolverMultistepScheduler: 'dpmpp-2m' },
      ...{ ddim: UNFIT, UniPCMultistepScheduler: UNFIT, 'euler-a': UNFIT, 'dpm++-3m': UNFIT },
      ...{ lcm: UNFIT, HeunDiscreteScheduler: UNFIT, eulr: undefined, fast: undefined },
      ...{ uni_pc: UNFIT, k_dpm_2: UNFIT, er_sde: undefined, repaint: UNFIT, cm: UNFIT },
      ...{ k_euler: 'euler', EulerDiscrete: 'euler', EDMDPMSolverMultistep: 'dpmpp-2m' },
    };
    for (const [name, other] of Object.entries(meant))
      expect(otherScheduler(name), name).to.equal(other);
    for (const name of ['AYS', 'align-your-steps', 'AlignYourSteps', 'align_your_steps'])
      expect(otherSchedule(name), name).to.equal('ays');
    expect(otherSchedule('Karras')).to.match(/^Leave it out/);
    expect(otherSchedule('beta')).to.equal(undefined);
  });
});
