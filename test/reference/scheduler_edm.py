"""
Schedules and steps of the schedulers in EDM's parametrisation: diffusers' EDMEulerScheduler and EDMDPMSolverMultistepScheduler, and
AnimateLCM's, which is not in diffusers: ANIMATELCM names the folder animatelcm_svd of a clone of github.com/G-U-N/AnimateLCM.
"""

import contextlib
import importlib
import io
import os
import sys
import warnings
from itertools import product
from pathlib import Path

import torch
from diffusers import EDMDPMSolverMultistepScheduler, EDMEulerScheduler

from common import save, tensor

SVD = dict(sigma_min=0.002, sigma_max=700.0, sigma_data=1.0, prediction_type='v_prediction')
LCM = dict(sigma_min=0.002, sigma_max=700.0, sigma_data=1.0, clip_denoised=False)
VIDEO = (2, 1, 4, 2, 2)  # B, F, C, h, w
SOLVER = 'EDMDPMSolverMultistepScheduler'
CLASSES = {scheduler.__name__: scheduler for scheduler in (EDMEulerScheduler, EDMDPMSolverMultistepScheduler)}


def animatelcm():
    """The class of AnimateLCM's scheduler, or None."""
    folder = os.environ.get('ANIMATELCM')
    if folder is None:
        return None
    sys.path.append(folder)
    return importlib.import_module('animatelcm_scheduler').AnimateLCMSVDStochasticIterativeScheduler


def schedules() -> list[tuple[str, dict, dict]]:
    """Class, configuration and request of schedules."""
    cases = []
    for number, (name, kind, final) in enumerate(product(CLASSES, ('karras', 'exponential'), ('zero', 'sigma_min'))):
        for steps in ((1, 7, 25), (2, 14, 15))[number % 2]:
            cases.append((name, {**SVD, 'sigma_schedule': kind, 'final_sigmas_type': final}, {'num_inference_steps': steps}))
        cases.append((name, {'sigma_schedule': kind, 'rho': 5.0, 'num_train_timesteps': 30}, {'num_inference_steps': 4}))
    return cases


def solver_steps() -> list[tuple[str, dict, int, dict]]:
    """Class, configuration, number of steps and options of runs."""
    cases = []
    orders = [(1, 'midpoint'), *product((2, 3), ('midpoint', 'heun'))]
    for (order, solver), algorithm, kind, final, lower, euler in product(
        orders, ('dpmsolver++', 'sde-dpmsolver++'), ('karras', 'exponential'), ('zero', 'sigma_min'), (True, False), (False, True)
    ):
        if algorithm.startswith('sde') and order == 3:
            continue  # diffusers fails: UnboundLocalError
        config = dict(solver_order=order, solver_type=solver, algorithm_type=algorithm, sigma_schedule=kind, final_sigmas_type=final)
        config |= dict(lower_order_final=lower, euler_at_final=euler)
        seeds = ([], [3], [4, 5])[(1 + len(cases) % 2) if algorithm.startswith('sde') else 0]
        cases.append((SOLVER, {**SVD, **config}, 6, {'seeds': seeds}))
    for order, solver in orders:
        cases.append((SOLVER, {**SVD, 'solver_order': order, 'solver_type': solver}, 16, {}))
    cases.append((SOLVER, {'sigma_data': 0.7}, 4, {}))
    for kind, final, prediction in product(('karras', 'exponential'), ('zero', 'sigma_min'), ('epsilon', 'v_prediction')):
        config = {**SVD, 'sigma_schedule': kind, 'final_sigmas_type': final, 'prediction_type': prediction}
        cases.append(('EDMEulerScheduler', config, 5, {}))
        cases.append(('EDMEulerScheduler', config, 5, {'s_churn': 4.0, 's_tmin': 0.05, 's_noise': 1.003, 'seeds': [6]}))
    cases.append(('EDMEulerScheduler', {}, 1, {'s_churn': 4.0, 'seeds': [6, 7]}))
    return cases


def lcm_steps() -> list[tuple[dict, dict, dict]]:
    """Configuration, request and options of runs of AnimateLCM's scheduler."""
    steps = [(LCM, {'num_inference_steps': n}, {'seeds': [8]}) for n in (1, 2, 4, 8, 13, 14, 20, 25, 40)]
    return [
        *steps,
        (LCM, {'timesteps': [30, 20, 9, 0]}, {'seeds': [8, 9]}),
        ({**LCM, 's_noise': 1.01, 'clip_denoised': True}, {'num_inference_steps': 4}, {'seeds': [8]}),
        ({}, {'num_inference_steps': 6}, {'seeds': [8]}),
    ]


def run(scheduler, request: dict, options: dict) -> torch.Tensor:
    """The samples after each step, of model outputs `edm.output.0`, ... from `edm.start` times the start noise's deviation."""
    scheduler.set_timesteps(**request)
    generators = [torch.Generator().manual_seed(seed) for seed in options.get('seeds', [])]
    given = {key: value for key, value in options.items() if key != 'seeds'}
    if generators:
        given['generator'] = generators if len(generators) > 1 else generators[0]
    sample, samples = tensor('edm.start', VIDEO) * scheduler.init_noise_sigma, []
    for i, timestep in enumerate(scheduler.timesteps):
        scheduler.scale_model_input(sample, timestep)
        sample = scheduler.step(tensor(f'edm.output.{i}', VIDEO), timestep, sample, **given).prev_sample.float()
        samples.append(sample)
    return torch.stack(samples)


def scheduled(scheduler, name: str) -> dict[str, torch.Tensor]:
    """What a schedule is made of."""
    values = {'sigmas': scheduler.sigmas, 'timesteps': scheduler.timesteps.float(), 'init_noise_sigma': torch.tensor([scheduler.init_noise_sigma])}
    return {f'{name}.{key}': value.float() for key, value in values.items()}


def write(folder: Path) -> None:
    warnings.filterwarnings('ignore', module='diffusers')
    tensors, cases = {}, []
    for i, (name, config, request) in enumerate(schedules()):
        scheduler = CLASSES[name](**config)
        scheduler.set_timesteps(**request)
        tensors |= scheduled(scheduler, str(i))
        cases.append({'config': {'_class_name': name, **config}, 'request': request})
    save(folder / 'scheduler' / 'edm-schedules.safetensors', tensors, {'cases': cases})

    tensors, cases = {}, []
    for i, (name, config, steps, options) in enumerate(solver_steps()):
        request = {'num_inference_steps': steps}
        tensors[f'{i}'] = run(CLASSES[name](**config), request, options)
        cases.append({'config': {'_class_name': name, **config}, 'request': request, 'options': options})
    save(folder / 'scheduler' / 'edm-steps.safetensors', tensors, {'shape': VIDEO, 'cases': cases})

    reference = animatelcm()
    if reference is None:
        print('ANIMATELCM is not set: the fixture of its scheduler stays as it is')
        return
    tensors, cases = {}, []
    for i, (config, request, options) in enumerate(lcm_steps()):
        scheduler = reference(**config)
        with contextlib.redirect_stdout(io.StringIO()):
            tensors[f'{i}'] = run(scheduler, request, options)
        tensors |= scheduled(scheduler, str(i))
        cases.append({'config': {'_class_name': reference.__name__, **config}, 'request': request, 'options': options})
    save(folder / 'scheduler' / 'animatelcm.safetensors', tensors, {'shape': VIDEO, 'cases': cases})
