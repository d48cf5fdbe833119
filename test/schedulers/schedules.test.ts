import { expect } from 'chai';
import { betaPpf, EulerDiscreteScheduler } from '../../src/schedulers/index.ts';
import { type Fixture, readFixture } from '../harness/fixtures.ts';

interface Case {
  config: Record<string, unknown>;
  request: { num_inference_steps?: number; timesteps?: number[]; sigmas?: number[] };
  before: [number, number, number, number];
  init_noise_sigma: number;
}

/** Distance in units in the last place of float32. */
function ulps(a: number, b: number): number {
  const [x, y] = new Int32Array(Float32Array.of(a, b).buffer);
  return Math.abs(x! - y!);
}

/**
 * Torch's square roots, logarithms and exponentials are off by one unit now and then; the zero-SNR
 * rescale cancels four digits.
 */
function relativeTolerance({ config }: Case): number {
  return config.rescale_betas_zero_snr ? 1e-3 : 1e-6;
}

function expectNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  absolute: number,
): void {
  expect(actual.length).to.equal(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(actual[i], `value ${i}`).to.be.closeTo(
      expected[i]!,
      Math.abs(expected[i]!) * relative + absolute,
    );
  }
}

describe('schedules of EulerDiscreteScheduler', () => {
  let fixture: Fixture;
  let cases: Case[];

  before(async () => {
    fixture = await readFixture('scheduler', 'schedules.safetensors');
    cases = JSON.parse(fixture.metadata.cases!);
  });

  function scheduled({ config, request }: Case): EulerDiscreteScheduler {
    const scheduler = EulerDiscreteScheduler.fromConfig(config, () => {});
    const { num_inference_steps = null, ...custom } = request;
    scheduler.setTimesteps(num_inference_steps, custom);
    return scheduler;
  }

  it('equal diffusers in every bit where its functions round correctly', () => {
    expect(cases.length).to.be.above(150);
    cases.forEach((one, i) => {
      const what = JSON.stringify({ ...one.config, ...one.request });
      const { sigmas, timesteps } = scheduled(one);
      expect(timesteps, `timesteps of ${what}`).to.deep.equal(
        fixture.tensors[`${i}.timesteps.rounded`]!.data,
      );
      const expected = fixture.tensors[`${i}.sigmas.rounded`]!.data;
      // Beta quantiles agree to 15 digits, not to the last bit of float64.
      if (!one.config.use_beta_sigmas) expect(sigmas, `sigmas of ${what}`).to.deep.equal(expected);
      expect(sigmas.length).to.equal(expected.length);
      sigmas.forEach((sigma, k) => {
        expect(ulps(sigma, expected[k]!), `sigma ${k} of ${what}`).to.be.at.most(1);
      });
    });
  });

  it('equal diffusers as it is to float32 rounding', () => {
    cases.forEach((one, i) => {
      const { sigmas, timesteps, initNoiseSigma } = scheduled(one);
      expectNear(sigmas, fixture.tensors[`${i}.sigmas`]!.data, relativeTolerance(one), 0);
      // Timesteps are found between logarithms that are as little as 0.004 apart, each known to
      // 5e-7.
      expectNear(
        timesteps,
        fixture.tensors[`${i}.timesteps`]!.data,
        1e-6,
        one.config.rescale_betas_zero_snr ? 2e-3 : 5e-4,
      );
      expectNear([initNoiseSigma], [one.init_noise_sigma], relativeTolerance(one), 0);
    });
  });

  it('are the training schedule before setTimesteps', () => {
    for (const one of cases) {
      const scheduler = EulerDiscreteScheduler.fromConfig(one.config);
      const { sigmas, timesteps, initNoiseSigma } = scheduler;
      expect(sigmas.at(-1)).to.equal(0);
      const actual = [initNoiseSigma, sigmas.at(-2)!, timesteps[0]!, timesteps.at(-1)!];
      expectNear(actual, one.before, relativeTolerance(one), 1e-7);
      expect(scheduler.numInferenceSteps).to.equal(null);
      expect(scheduler.length).to.equal(one.config.num_train_timesteps ?? 1000);
    }
  });

  it('rest on betas, alphas and sigmas that equal torch’s in every bit', async () => {
    const tables = await readFixture('scheduler', 'training-tables.safetensors');
    const configs: Record<string, unknown>[] = JSON.parse(tables.metadata.cases!);
    expect(configs).to.have.length.above(4);
    configs.forEach((config, i) => {
      const scheduler = EulerDiscreteScheduler.fromConfig(config);
      expect(scheduler.betas, 'betas').to.deep.equal(tables.tensors[`${i}.betas`]!.data);
      expect(scheduler.alphasCumprod, 'alphas').to.deep.equal(
        tables.tensors[`${i}.alphas_cumprod`]!.data,
      );
      expect(scheduler.sigmas, 'sigmas').to.deep.equal(tables.tensors[`${i}.sigmas`]!.data);
    });
  });
});

describe('betaPpf', () => {
  it('returns scipy’s quantiles', async () => {
    const { metadata } = await readFixture('scheduler', 'beta-quantiles.safetensors');
    const quantiles: { a: number; b: number; p: number; value: number }[] = JSON.parse(
      metadata.quantiles!,
    );
    expect(quantiles).to.have.length.above(50);
    for (const { a, b, p, value } of quantiles)
      expect(betaPpf(p, a, b), `ppf(${p}, ${a}, ${b})`).to.be.closeTo(
        value,
        1e-13 * value + 1e-300,
      );
  });
});
