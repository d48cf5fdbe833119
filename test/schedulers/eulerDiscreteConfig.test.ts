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
      [{ num_train_timesteps: '1000' }, 'num_train_timesteps is "1000", not a whole number.'],
      [{ num_train_timesteps: 0 }, 'num_train_timesteps is 0, less than 1.'],
      [{ num_train_timesteps: 1e9 }, 'num_train_timesteps is 1000000000, more than 100000.'],
      [{ beta_start: 'low' }, 'beta_start is "low", not a finite number.'],
      [{ sigma_max: -1 }, 'sigma_max is -1, less than 0.'],
      [{ steps_offset: 0.5 }, 'steps_offset is 0.5, not a whole number.'],
      [{ use_karras_sigmas: 'true' }, 'use_karras_sigmas is "true", not true or false.'],
      [{ prediction_type: 1 }, 'prediction_type is 1, not a string.'],
      [{ trained_betas: [0.1] }, 'trained_betas has 1 entry, fewer than 2.'],
      [{ trained_betas: [0.1, 'x'] }, 'trained_betas[1] is "x", not a finite number.'],
    ];
    for (const [json, message] of wrong)
      expect(() => EulerDiscreteScheduler.fromConfig(json)).to.throw(`The scheduler's ${message}`);
    expect(() => new EulerDiscreteScheduler({ stepsOffset: 0.5 })).to.throw(
      "The scheduler's stepsOffset is 0.5, not a whole number.",
    );
    expect(() => EulerDiscreteScheduler.fromConfig({ timestep_type: 'foo' })).to.throw(
      "foo is not supported. Please make sure to choose timestepType 'discrete' or 'continuous'.",
    );
  });
});
