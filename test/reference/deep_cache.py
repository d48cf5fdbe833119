"""
Writes the fixtures of DeepCache by its published code: python test/reference/deep_cache.py CHECKOUT, a folder with github.com/horseee/DeepCache.

Its folder `svd` is right for two layers per block and for sizes that halve evenly; the other UNets run by its `DeepCacheSDHelper`.
"""

import importlib.util
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import torch

from common import FIXTURES, save, tensor, with_hashed_weights
from model_cases import FOUR, THREE, UNET, blocks
from models import build
from pipelines import SMALL, TINY, run_case
from images import CAT, ROCKET

TIMESTEPS = [1.5, 1.25, 0.75, 0.25, -0.5]
EVEN = {**UNET, **FOUR, 'layers_per_block': 2}
# Sizes that do not halve evenly, other numbers of layers, and one number for each level.
OTHERS = {
    'one-layer-odd': ({**UNET, **FOUR}, (1, 2, 8, 9, 13)),
    'two-layers-odd': ({**UNET, **THREE}, (2, 1, 8, 5, 7)),
    'per-level': (
        {**UNET, **blocks(3), 'block_out_channels': [32, 64, 96], 'num_attention_heads': [2, 4, 6], 'layers_per_block': [3, 1, 2]},
        (1, 2, 8, 4, 6),
    ),
}


def published(checkout: Path):
    """The module of the UNet in the folder `svd`, whose imports are those of an older diffusers."""
    import diffusers.models.transformers as transformers

    for name in ('dual_transformer_2d', 'transformer_2d', 'transformer_temporal'):
        sys.modules[f'diffusers.models.{name}'] = importlib.import_module(f'{transformers.__name__}.{name}')
    package = types.ModuleType('deep_cache_svd')
    package.__path__ = [str(checkout / 'DeepCache' / 'svd')]
    sys.modules[package.__name__] = package
    return importlib.import_module('deep_cache_svd.unet_spatio_temporal_condition')


def helper(checkout: Path):
    """`DeepCacheSDHelper`."""
    spec = importlib.util.spec_from_file_location('deep_cache_extension', checkout / 'DeepCache' / 'extension' / 'deepcache.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DeepCacheSDHelper()


def inputs_of(name: str, shape: tuple[int, ...], step: int) -> dict[str, torch.Tensor]:
    """The inputs of a step."""
    return {
        'sample': tensor(f'{name}.sample.{step}', shape),
        'encoder_hidden_states': tensor(f'{name}.encoder_hidden_states', (shape[0], 1, UNET['cross_attention_dim'])),
        'added_time_ids': torch.tensor([[6, 127, 0.02]] * shape[0]),
    }


def describe(config: dict, shape: tuple[int, ...], tensors: dict[str, torch.Tensor]) -> dict:
    return {'config': config, 'kwargs': {'shape': shape, 'timesteps': TIMESTEPS}, 'layouts': {key: 'BFCHW' for key in tensors}}


def write_published(checkout: Path, name: str = 'published', shape: tuple[int, ...] = (1, 2, 8, 8, 8)) -> None:
    """The predictions of all branches, in the steps that follow one in full at intervals from 2 to 5."""
    unet = with_hashed_weights(published(checkout).UNetSpatioTemporalConditionModel(**EVEN))
    run = lambda step, **options: unet(timestep=TIMESTEPS[step], return_dict=False, **inputs_of(name, shape, step), **options)
    steps = range(len(TIMESTEPS))
    pairs = sorted({(step - step % interval, step) for interval in range(2, 6) for step in steps if step % interval})
    tensors = {f'full.{step}': run(step)[0] for step in steps}
    for branch in range(11):
        kept = {full: run(full, cache_branch=branch)[1] for full in {full for full, _ in pairs}}
        for full, step in pairs:
            tensors[f'{branch}.{full}.{step}'] = run(step, cache_branch=branch, cache_features=kept[full])[0]
    save(FIXTURES / 'deep-cache' / f'{name}.safetensors', tensors, describe(EVEN, shape, tensors))


def write_others(checkout: Path) -> None:
    """One shallow prediction for each branch of the other UNets."""
    for name, (config, shape) in OTHERS.items():
        layers = config['layers_per_block']
        levels = layers if isinstance(layers, list) else [layers] * len(config['block_out_channels'])
        places = [(block, layer) for block, count in enumerate(levels) for layer in range(count + 1)]
        tensors = {}
        for branch, (block, layer) in enumerate(places[1:]):
            unet = build('UNetSpatioTemporalConditionModel', config)
            caching = helper(checkout)
            caching.pipe = SimpleNamespace(unet=unet, scheduler=SimpleNamespace(timesteps=TIMESTEPS))
            caching.params = {'cache_interval': 5, 'cache_layer_id': layer, 'cache_block_id': block, 'skip_mode': 'uniform'}
            caching.enable()
            for step in (0, 1):
                inputs = inputs_of(name, shape, step)
                prediction = unet.forward(inputs.pop('sample'), torch.tensor(TIMESTEPS[step]), **inputs).sample
                tensors['full.0' if step == 0 else f'{branch}.0.1'] = prediction
        save(FIXTURES / 'deep-cache' / f'{name}.safetensors', tensors, describe(config, shape, tensors))


CALLS = {
    'deep-cache-2': dict(SMALL, images=[CAT], num_inference_steps=5, output_type='latent', deep_cache={'interval': 2, 'branch': 1}),
    'deep-cache-3-two-videos': dict(
        SMALL, images=[ROCKET], num_inference_steps=5, num_frames=2, num_videos_per_prompt=2, output_type='latent', deep_cache={'interval': 3, 'branch': 0}
    ),
    'deep-cache-guidance-interval': dict(
        SMALL, images=[CAT], num_inference_steps=9, output_type='latent', deep_cache={'interval': 4, 'branch': 3}, guidance_interval=[0.5, 100]
    ),
}


def write_calls(checkout: Path) -> None:
    """Whole sampling calls of diffusers' pipeline with the published UNet."""
    unet_class = published(checkout).UNetSpatioTemporalConditionModel
    for name, args in CALLS.items():

        def prepare(pipe, interval: int, branch: int) -> None:
            deep, kept = with_hashed_weights(unet_class(**TINY['unet'])), {'state': None}

            def forward(sample, timestep, return_dict, **inputs):
                step, needed = pipe.scheduler.step_index, sample.shape[0] * sample.shape[1]
                if step % interval == 0 or kept['state'] is None or len(kept['state']) < needed:
                    state = None
                else:
                    state = kept['state'][-needed:]  # the conditional half comes last
                output, kept['state'] = deep(sample, timestep, cache_features=state, cache_branch=branch, return_dict=False, **inputs)
                return (output,)

            pipe.unet.forward = forward

        save(FIXTURES / 'pipelines' / f'{name}.safetensors', *run_case(name, case=(TINY, args), deep_cache=prepare))


def main(checkout: Path) -> None:
    write_published(checkout)
    write_others(checkout)
    write_calls(checkout)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
