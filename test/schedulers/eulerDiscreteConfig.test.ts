import { expect } from 'chai';
import { EulerDiscreteScheduler } from '../../src/schedulers/index.ts';

/** The configuration that diffusers 0.42.1 saves for a scheduler of class defaults. */
const DEFAULTS = {
  _class_name: 'EulerDiscreteScheduler',
  _diffusers_version: '0.42.1',
  beta_end: 0.02,
  beta_schedule: 'linear',
  beta_start: 0.0001,
  final_sigmas_type: 'zero',
  interpolation_type: 'linear',
  num_train_timesteps: 1000,
  prediction_type: 'epsilon',
  rescale_betas_zero_snr: false,
  sigma_max: null,
  sigma_min: null,
  steps_offset: 0,
  timestep_spacing: 'linspace',
  timestep_type: 'discrete',
  trained_betas: null,
  use_beta_sigmas: false,
  use_exponential_sigmas: false,
  use_karras_sigmas: false,
};

describe('configuration of EulerDiscreteScheduler', () => {
  it("has diffusers' class defaults", () => {
    expect(new EulerDiscreteScheduler().toConfig()).to.deep.equal(DEFAULTS);
    expect(EulerDiscreteScheduler.fromConfig({}).toConfig()).to.deep.equal(DEFAULTS);
  });

  it('reads and writes scheduler_config.json', () => {
    const json = {
      ...DEFAULTS,
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
      final_sigmas_type: 'sigma_min',
      interpolation_type: 'log_linear',
      num_train_timesteps: 3,
      prediction_type: 'v_prediction',
      rescale_betas_zero_snr: true,
      sigma_max: 700,
      sigma_min: 0.002,
      steps_offset: 1,
      timestep_spacing: 'leading',
      timestep_type: 'continuous',
      trained_betas: [0.1, 0.2, 0.3],
      use_karras_sigmas: true,
    };
    const scheduler = EulerDiscreteScheduler.fromConfig(JSON.parse(JSON.stringify(json)));
    expect(scheduler.config).to.include({
      betaEnd: 0.012,
      timestepType: 'continuous',
      rescaleBetasZeroSnr: true,
      useKarrasSigmas: true,
    });
    expect(scheduler.toConfig()).to.deep.equal(json);
  });

  it('ignores unknown keys and takes null as the default', () => {
    const json = {
      clip_sample: false,
      skip_prk_steps: true,
      use_karras_sigmas: null,
      betaEnd: 'not snake_case',
    };
    expect(EulerDiscreteScheduler.fromConfig(json).toConfig()).to.deep.equal(DEFAULTS);
    expect(new EulerDiscreteScheduler({ sigmaMin: undefined }).toConfig()).to.deep.equal(DEFAULTS);
  });

  it('refuses values of a wrong type, by the name that was written', () => {
    const wrong: [Record<string, unknown>, string][] = [
      [
        { num_train_timesteps: '1000' },
        '`num_train_timesteps` of the scheduler has to be a whole number of at least 1 but is ' +
          '"1000".',
      ],
      [
        { num_train_timesteps: 0 },
        '`num_train_timesteps` of the scheduler has to be a whole number of at least 1 but is 0.',
      ],
      [
        { beta_start: 'low' },
        '`beta_start` of the scheduler has to be a finite number but is "low".',
      ],
      [
        { sigma_max: -1 },
        '`sigma_max` of the scheduler has to be a number of at least 0 but is -1.',
      ],
      [
        { steps_offset: 0.5 },
        '`steps_offset` of the scheduler has to be a whole number but is 0.5.',
      ],
      [
        { use_karras_sigmas: 'true' },
        '`use_karras_sigmas` of the scheduler has to be true or false but is "true".',
      ],
      [{ prediction_type: 1 }, '`prediction_type` of the scheduler has to be a string but is 1.'],
      [
        { trained_betas: [0.1, 'x'] },
        '`trained_betas` of the scheduler has to be a list of two or more finite numbers but ' +
          'is [0.1,"x"].',
      ],
    ];
    for (const [json, message] of wrong)
      expect(() => EulerDiscreteScheduler.fromConfig(json)).to.throw(message);
    expect(() => new EulerDiscreteScheduler({ stepsOffset: 0.5 })).to.throw(
      '`stepsOffset` of the scheduler has to be a whole number but is 0.5.',
    );
    expect(() => EulerDiscreteScheduler.fromConfig({ timestep_type: 'foo' })).to.throw(
      "foo is not supported. Please make sure to choose timestepType 'discrete' or 'continuous'.",
    );
  });
});
