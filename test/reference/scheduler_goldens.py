"""Schedules and steps of diffusers' EulerDiscreteScheduler, over all its options."""
import warnings
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import count, product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import scipy.stats
import torch
from diffusers import EulerDiscreteScheduler

from common import save, tensor, uniform

SVD = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', prediction_type='v_prediction', use_karras_sigmas=True,
    sigma_min=0.002, sigma_max=700.0, timestep_spacing='leading', timestep_type='continuous', steps_offset=1,
)  # fmt: skip
TRAINED = [round(0.002 + 0.03 * (u + 1), 6) for u in uniform('scheduler.trained_betas', 60)]
TRAINING = [
    dict(),
    dict(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear'),
    dict(beta_schedule='squaredcos_cap_v2', num_train_timesteps=300),
    dict(trained_betas=TRAINED, num_train_timesteps=60),
    dict(beta_schedule='scaled_linear', rescale_betas_zero_snr=True),
    dict(num_train_timesteps=1100, rescale_betas_zero_snr=True),
]
SPACINGS = [dict(timestep_spacing='linspace'), dict(timestep_spacing='leading', steps_offset=1), dict(timestep_spacing='trailing')]
KINDS = [
    dict(),
    dict(interpolation_type='log_linear'),
    dict(use_karras_sigmas=True),
    dict(use_exponential_sigmas=True),
    dict(use_beta_sigmas=True),
    dict(use_karras_sigmas=True, sigma_min=0.02, sigma_max=50.0),
    dict(use_exponential_sigmas=True, sigma_max=80.0),
    dict(use_beta_sigmas=True, sigma_min=0.05, interpolation_type='log_linear'),
]
STEPS = [10, 7, 25, 1, 30, 2, 13]

AYS = [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.0]
CUSTOM = [
    (dict(), dict(timesteps=[900, 601, 333.5, 20, 0])),
    (dict(timestep_spacing='leading', final_sigmas_type='sigma_min'), dict(timesteps=[1200, 999, 998.25, -3])),
    (dict(interpolation_type='log_linear'), dict(timesteps=[700, 300, 100])),
    (dict(), dict(sigmas=[14.6, 7, 3.3, 1, 0.03, 0.0])),
    (dict(final_sigmas_type='sigma_min'), dict(sigmas=[500, 20, 0.5, 0.001])),
    (dict(prediction_type='v_prediction', beta_schedule='scaled_linear'), dict(sigmas=AYS)),
    (SVD, dict(sigmas=AYS)),
    (SVD, dict(sigmas=[*AYS[:-1], 0.002])),
    (SVD, dict(sigmas=[3.0, 700.0, 1.0])),
]

VIDEO = (2, 3, 4, 2, 3)  # B, F, C, h, w
CHURN = dict(s_churn=4.0)
STEPPED = {
    'epsilon': (dict(), 4, {}),
    'sample': (dict(prediction_type='sample'), 4, {}),
    'original-sample': (dict(prediction_type='original_sample'), 3, {}),
    'v-prediction': (dict(prediction_type='v_prediction'), 4, {}),
    'svd': (SVD, 5, {}),
    'one-step': (SVD, 1, {}),
    'final-sigma-min': ({**SVD, 'final_sigmas_type': 'sigma_min'}, 3, {}),
    'zero-snr': (dict(prediction_type='v_prediction', rescale_betas_zero_snr=True, timestep_spacing='trailing'), 4, {}),
    'churn-epsilon': (dict(timestep_spacing='leading'), 5, {**CHURN, 'seeds': [11]}),
    'churn-sample': (dict(prediction_type='sample'), 3, {**CHURN, 'seeds': [12]}),
    'churn-svd': (SVD, 5, {**CHURN, 'seeds': [13]}),
    'churn-limit': (SVD, 3, {'s_churn': 1e3, 's_noise': 1.003, 'seeds': [14]}),
    'churn-range': (SVD, 6, {**CHURN, 's_tmin': 0.05, 's_tmax': 50.0, 's_noise': 0.9, 'seeds': [15]}),
    'churn-generators': (SVD, 3, {**CHURN, 'seeds': [16, 17]}),
}  # fmt: skip


@contextmanager
def correctly_rounded():
    """
    Rounds square roots, logarithms and exponentials of float32 numbers correctly. Those of torch (MKL) and numpy are off by one unit in
    the last place for some numbers, others on other processors, which the zero-SNR rescale enlarges to 1e-4.
    """
    power, log = torch.Tensor.__pow__, np.log
    root = lambda x: torch.sqrt(x.double()).float()
    replacements = {
        'sqrt': root,
        '__pow__': lambda x, exponent: root(x) if exponent == 0.5 else power(x, exponent),
        'log': lambda x: torch.log(x.double()).float(),
        'exp': lambda x: torch.exp(x.double()).float(),
    }
    with ExitStack() as stack:
        for name, function in replacements.items():
            stack.enter_context(patch.object(torch.Tensor, name, function))
        stack.enter_context(patch.object(np, 'log', lambda x: log(np.float64(x)).astype(np.asarray(x).dtype)[()]))
        yield


def schedules() -> tuple[dict, dict]:
    """Each configuration with its number of steps or its own values: as diffusers is, and (`.rounded`) correctly rounded."""
    planned = []
    for (i, training), (j, spacing), (k, kind) in product(enumerate(TRAINING), enumerate(SPACINGS), enumerate(KINDS)):
        final = {'final_sigmas_type': 'sigma_min'} if (i + j + k) % 3 == 0 else {}
        steps = STEPS[len(planned) % len(STEPS)]
        planned.append(({**training, **spacing, **kind, **final}, {'num_inference_steps': steps}))
    planned += [(SVD, {'num_inference_steps': steps}) for steps in (1, 2, 14, 25, 1500)]
    planned += [(dict(prediction_type='v_prediction', timestep_type='continuous'), {'num_inference_steps': 9})]
    tensors, cases = {}, []
    for number, (config, request) in zip(count(), planned + CUSTOM):
        scheduler = EulerDiscreteScheduler(**config)
        before = [float(scheduler.init_noise_sigma), float(scheduler.sigmas[-2]), float(scheduler.timesteps[0]), float(scheduler.timesteps[-1])]
        scheduler.set_timesteps(**request)
        tensors[f'{number}.sigmas'], tensors[f'{number}.timesteps'] = scheduler.sigmas, scheduler.timesteps
        with correctly_rounded():
            rounded = EulerDiscreteScheduler(**config)
            rounded.set_timesteps(**request)
        tensors[f'{number}.sigmas.rounded'], tensors[f'{number}.timesteps.rounded'] = rounded.sigmas, rounded.timesteps
        cases.append({'config': config, 'request': request, 'before': before, 'init_noise_sigma': float(scheduler.init_noise_sigma)})
    return tensors, {'cases': cases}


def training_tables() -> tuple[dict, dict]:
    """Betas, alphas and sigmas of each training schedule, correctly rounded."""
    tensors = {}
    for number, config in enumerate(TRAINING):
        with correctly_rounded():
            scheduler = EulerDiscreteScheduler(**config)
        tensors |= {f'{number}.betas': scheduler.betas, f'{number}.alphas_cumprod': scheduler.alphas_cumprod, f'{number}.sigmas': scheduler.sigmas}
    return tensors, {'cases': TRAINING}


def steps() -> tuple[dict, dict]:
    """Runs with a constant model output `scheduler.v`, from `scheduler.x` times the first noise level: every step's two results."""
    tensors, cases = {}, {}
    for name, (config, number, options) in STEPPED.items():
        with correctly_rounded() if 'rescale_betas_zero_snr' in config else nullcontext():
            scheduler = EulerDiscreteScheduler(**config)
            scheduler.set_timesteps(number)
        seeds = options.get('seeds', [])
        generators = [torch.Generator('cpu').manual_seed(seed) for seed in seeds]
        call = {key: value for key, value in options.items() if key != 'seeds'}
        x, v = tensor('scheduler.x', VIDEO) * scheduler.init_noise_sigma, tensor('scheduler.v', VIDEO)
        for i, t in enumerate(scheduler.timesteps):
            tensors[f'{name}.{i}.scaled'] = scheduler.scale_model_input(x, t)
            output = scheduler.step(v, t, x, generator=generators if len(generators) > 1 else (generators or [None])[0], **call)
            tensors[f'{name}.{i}.prev'], tensors[f'{name}.{i}.x0'] = output.prev_sample, output.pred_original_sample
            x = output.prev_sample
        cases[name] = {'config': config, 'num_inference_steps': number, 'seeds': seeds, 'options': call}
    return tensors, {'shape': VIDEO, 'cases': cases}


def noising() -> tuple[dict, dict]:
    """add_noise in its three states, and get_velocity."""
    x, noise = tensor('scheduler.x', VIDEO), tensor('scheduler.noise', VIDEO)
    tensors = {}
    for name, config in {'default': dict(), 'svd': SVD}.items():
        scheduler = EulerDiscreteScheduler(**config)
        scheduler.set_timesteps(8)
        t = scheduler.timesteps[[2, 6]]
        tensors[f'{name}.add_noise'] = scheduler.add_noise(x, noise, t)
        tensors[f'{name}.add_noise_one'] = scheduler.add_noise(x, noise, scheduler.timesteps[[4]])
        tensors[f'{name}.get_velocity'] = scheduler.get_velocity(x, noise, t)
        scheduler.set_begin_index(3)
        tensors[f'{name}.add_noise_begin'] = scheduler.add_noise(x, noise, t)
        # A whole end of a run from index 3; the timestep is not looked up.
        for i, t in enumerate(scheduler.timesteps[3:6]):
            scheduler.scale_model_input(x, t)
            tensors[f'{name}.{i}.prev'] = x = scheduler.step(noise, t, x).prev_sample
        tensors[f'{name}.add_noise_later'] = scheduler.add_noise(x, noise, scheduler.timesteps[[0, 1]])
        x = tensor('scheduler.x', VIDEO)
    return tensors, {'shape': VIDEO, 'cases': {'default': {}, 'svd': SVD}}


def beta_quantiles() -> tuple[dict, dict]:
    """Quantiles of beta distributions, in double precision as text."""
    probabilities = [0, 1e-9, 1e-4, 0.01, 0.1, 1 / 3, 0.5, 0.6, 0.9, 0.999, 1 - 1e-9, 1]
    shapes = [(0.6, 0.6), (0.5, 0.5), (1, 1), (2, 3), (0.3, 4)]
    values = [{'a': a, 'b': b, 'p': p, 'value': float(scipy.stats.beta.ppf(p, a, b))} for a, b in shapes for p in probabilities]
    return {}, {'quantiles': values}


def write(folder: Path) -> None:
    warnings.filterwarnings('ignore', module='diffusers')
    for make in (schedules, training_tables, steps, noising, beta_quantiles):
        tensors, metadata = make()
        save(folder / 'scheduler' / f'{make.__name__.replace("_", "-")}.safetensors', tensors, metadata)
