"""Fixtures of the whole sampling call on photographs: final frames and the tensors between the stages, computed by diffusers."""

from pathlib import Path

import diffusers
import torch
from diffusers import StableVideoDiffusionPipeline
from transformers import CLIPImageProcessor

from common import check_numbers, save, tensor
from dump_reference import run_with_stages
from images import CAT, COFFEE, ROCKET, load
from model_cases import FOUR, UNET
from models import build
from scheduler_edm import animatelcm

SCHEDULER = {
    **dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', prediction_type='v_prediction'),
    **dict(
        interpolation_type='linear',
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_spacing='leading',
        timestep_type='continuous',
    ),
    **dict(steps_offset=1, rescale_betas_zero_snr=False),
}
ENCODER = {
    **dict(
        hidden_size=32, projection_dim=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=224, patch_size=56
    ),
    **dict(hidden_act='gelu'),
}


EDM = dict(sigma_min=0.002, sigma_max=700.0, sigma_data=1.0, prediction_type='v_prediction')
SOLVER = dict(_class_name='EDMDPMSolverMultistepScheduler', **EDM)
LCM = dict(_class_name='AnimateLCMSVDStochasticIterativeScheduler', sigma_min=0.002, sigma_max=700.0, sigma_data=1.0, clip_denoised=False)


def vae(*channels: int) -> dict:
    return dict(block_out_channels=channels, down_block_types=['DownEncoderBlock2D'] * len(channels), layers_per_block=1, latent_channels=4)


TINY = {'unet': UNET, 'vae': vae(32, 32, 32), 'image_encoder': ENCODER, 'scheduler': SCHEDULER, 'feature_extractor': {}}
DEEP = {**TINY, 'unet': {**UNET, **FOUR}, 'vae': vae(32, 32, 32, 32)}
SQUARE = {**TINY, 'image_encoder': {**ENCODER, 'image_size': 32, 'patch_size': 8}}
sampled = lambda **scheduler: {**TINY, 'scheduler': scheduler}  # noqa: E731
SMALL = dict(height=24, width=32, num_frames=3, num_inference_steps=3, seeds=[42])
SAMPLED = dict(SMALL, num_inference_steps=4, output_type='latent')

# Arguments of the call in diffusers' names, and instead of objects: `images` (file names), `seeds` (one generator, or a list
# of them when there are several), `latents` and `image` (shapes of tensors filled from their names), `callback_scale` (a
# callback that multiplies the latents by it). `guidance_interval` and `deep_cache` are ours.
CASES: dict[str, tuple[dict, dict]] = {
    'default-guidance': (TINY, dict(SMALL, images=[CAT])),
    'no-guidance': (TINY, dict(SMALL, images=[ROCKET], max_guidance_scale=1.0)),
    'two-videos': (TINY, dict(SMALL, images=[ROCKET], num_videos_per_prompt=2, num_frames=2, seeds=[7])),
    'custom-sigmas': (TINY, dict(SMALL, images=[CAT], sigmas=[700, 54.5, 7.977, 0.403, 0.002, 0], num_inference_steps=25)),
    'two-images-two-generators': (TINY, dict(SMALL, images=[COFFEE, ROCKET], seeds=[1, 2], num_frames=2)),
    'two-images-one-generator': (TINY, dict(SMALL, images=[COFFEE, ROCKET], seeds=[1], num_frames=2)),
    'given-latents': (TINY, dict(SMALL, images=[CAT], latents=[1, 3, 4, 6, 8])),
    'decode-chunk-1': (TINY, dict(SMALL, images=[ROCKET], decode_chunk_size=1)),
    'decode-chunk-2': (TINY, dict(SMALL, images=[CAT], decode_chunk_size=2)),
    'conditioning': (
        TINY,
        dict(SMALL, images=[ROCKET], fps=24, motion_bucket_id=40, noise_aug_strength=0.2, min_guidance_scale=1.5, max_guidance_scale=2.5),
    ),
    'latent-output': (TINY, dict(SMALL, images=[CAT], output_type='latent', seeds=[2**40 + 5])),
    'callback': (TINY, dict(SMALL, images=[CAT], callback_scale=0.9)),
    'tensor-image': (SQUARE, dict(SMALL, image=[1, 3, 32, 32], height=32)),
    'two-images-two-videos': (
        TINY,
        dict(SMALL, images=[COFFEE, ROCKET], num_videos_per_prompt=2, num_frames=2, noise_aug_strength=0, latents=[4, 2, 4, 6, 8]),
    ),
    'edm-euler': (sampled(_class_name='EDMEulerScheduler', **EDM), dict(SAMPLED, images=[CAT])),
    'dpmpp-2m': (sampled(**SOLVER), dict(SAMPLED, images=[ROCKET])),
    'dpmpp-3-heun-sigma-min': (
        sampled(**SOLVER, solver_order=3, solver_type='heun', final_sigmas_type='sigma_min', lower_order_final=False),
        dict(SAMPLED, images=[CAT]),
    ),
    'dpmpp-2m-exponential': (sampled(**SOLVER, sigma_schedule='exponential', euler_at_final=True), dict(SAMPLED, images=[COFFEE])),
    'dpmpp-2m-sde': (sampled(**SOLVER, algorithm_type='sde-dpmsolver++'), dict(SAMPLED, images=[CAT])),
    'dpmpp-2m-sde-two-generators': (
        sampled(**SOLVER, algorithm_type='sde-dpmsolver++', solver_type='heun'),
        dict(SAMPLED, images=[COFFEE, ROCKET], seeds=[1, 2], num_frames=2, num_inference_steps=3),
    ),
    'animatelcm': (sampled(**LCM), dict(SAMPLED, images=[CAT], max_guidance_scale=1.0)),
    'animatelcm-two-videos': (
        sampled(**LCM),
        dict(SAMPLED, images=[ROCKET], num_videos_per_prompt=2, seeds=[7, 8], num_frames=2, max_guidance_scale=1.2),
    ),
    'guidance-interval': (TINY, dict(SMALL, images=[CAT], num_inference_steps=5, guidance_interval=[0.5, 60], output_type='latent')),
    'odd-latents-8x': (DEEP, dict(SMALL, images=[ROCKET], height=72, width=104, num_frames=2)),
}


def scheduler(_class_name: str = 'EulerDiscreteScheduler', **config):
    """The sampler of a class; that of AnimateLCM is not in diffusers."""
    return (animatelcm() if _class_name.startswith('AnimateLCM') else getattr(diffusers, _class_name))(**config)


def pipeline(components: dict) -> StableVideoDiffusionPipeline:
    """The pipeline with weights from their names; each component's names are those of its own state dict."""
    pipe = StableVideoDiffusionPipeline(
        build('AutoencoderKLTemporalDecoder', components['vae']),
        build('CLIPVisionModelWithProjection', components['image_encoder']),
        build('UNetSpatioTemporalConditionModel', components['unet']),
        scheduler(**components['scheduler']),
        CLIPImageProcessor(**components['feature_extractor']),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def limit_guidance(pipe: StableVideoDiffusionPipeline, low: float, high: float) -> None:
    """
    At noise levels outside of the interval, lets the UNet compute only the conditional half and hands it out for both: guidance then
    has no effect, u + g (c - u) = c.
    """
    evaluate = pipe.unet.forward

    def forward(sample, timestep, encoder_hidden_states, added_time_ids, return_dict):
        if low <= pipe.scheduler.sigmas[pipe.scheduler.step_index] <= high:
            return evaluate(sample, timestep, encoder_hidden_states=encoder_hidden_states, added_time_ids=added_time_ids, return_dict=return_dict)
        last = lambda x: x.chunk(2)[1]
        (output,) = evaluate(
            *(last(sample), timestep), encoder_hidden_states=last(encoder_hidden_states), added_time_ids=last(added_time_ids), return_dict=return_dict
        )
        return (torch.cat([output, output]),)

    pipe.unet.forward = forward


def run_case(name: str, dtype: torch.dtype = torch.float32, case=None, deep_cache=None) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors and the metadata of one fixture, with the models in `dtype`. `deep_cache` prepares a pipeline for DeepCache."""
    components, args = case or CASES[name]
    arguments = {'output_type': 'np', **args}
    generators = [torch.Generator().manual_seed(seed) for seed in arguments.pop('seeds')]
    inputs = {
        key: tensor(f'{name}.{key}', tuple(arguments.pop(key)), low, high)
        for key, low, high in (('image', 0, 1), ('latents', -1.7, 1.7))
        if key in arguments
    }
    images = inputs['image'] if 'image' in inputs else [load(image) for image in arguments.pop('images')]
    if 'latents' in inputs:
        arguments['latents'] = inputs['latents']
    if 'callback_scale' in arguments:
        scale = arguments.pop('callback_scale')
        arguments['callback_on_step_end'] = lambda _pipe, _step, _timestep, tensors: {'latents': tensors['latents'] * scale}
    # diffusers mixes up the pictures when several have several videos each, so pass each picture as often as it has videos. It
    # then draws other noise for the pictures: such a case must not use any.
    repeats = arguments.pop('num_videos_per_prompt', 1) if len(images) > 1 else 1
    pictures = [image for image in images for _ in range(repeats)] if repeats > 1 else images
    pipe = pipeline(components)
    if 'deep_cache' in arguments:
        deep_cache(pipe, **arguments.pop('deep_cache'))
    if 'guidance_interval' in arguments:
        limit_guidance(pipe, *arguments.pop('guidance_interval'))
    if dtype != torch.float32:
        pipe.to(dtype)
    stages = run_with_stages(pipe, pictures, generator=generators if len(generators) > 1 else generators[0], **arguments)
    if repeats > 1:
        del stages['image_noise']
        stages = {key: value[::repeats].contiguous() if key.startswith('image_') else value for key, value in stages.items()}
    return {**{f'input.{key}': value for key, value in inputs.items()}, **stages}, {'args': args, 'components': components}


def write(folder: Path) -> None:
    """Writes every case into `folder`."""
    check_numbers()
    for name, (components, _) in CASES.items():
        if components['scheduler'].get('_class_name') == LCM['_class_name'] and animatelcm() is None:
            print(f'ANIMATELCM is not set: {name} stays as it is')
            continue
        save(folder / 'pipelines' / f'{name}.safetensors', *run_case(name))
