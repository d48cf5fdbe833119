"""Runs diffusers' pipeline and keeps the tensors between its stages, under the names that `svd generate --dump` gives them."""

import torch
from diffusers import StableVideoDiffusionPipeline
from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as module


def run_with_stages(pipe: StableVideoDiffusionPipeline, images: list | torch.Tensor, **arguments) -> dict[str, torch.Tensor]:
    """
    Calls `pipe` and returns its stages, all float32:

    - `image_embeddings` [N, 1, C], `image_noise` [N, 3, H, W], `image_latents` [N, 4, h, w]: one per picture, without the unconditional half;
    - `added_time_ids` [B, 3]: one per video, without the doubling for guidance;
    - `initial_latents` [B, F, 4, h, w]: the start noise times the scheduler's `init_noise_sigma`;
    - `latents_step_0`, ... [B, F, 4, h, w]: after each step, as `callback_on_step_end` receives them (before it replaces them);
    - `frames` [B, F, H, W, 3] in [0, 1], absent for `output_type='latent'`, and `latents`: the final ones.
    """
    stages: dict[str, torch.Tensor] = {}
    count, videos = len(images), len(images) * arguments.get('num_videos_per_prompt', 1)
    keep = {
        '_encode_image': lambda result: ('image_embeddings', result[-videos:][:: videos // count]),  # A, A, B, B
        '_encode_vae_image': lambda result: ('image_latents', result[-videos:][:count]),  # A, B, A, B
        '_get_add_time_ids': lambda result: ('added_time_ids', result[-videos:]),
        'prepare_latents': lambda result: ('initial_latents', result),
    }

    def recording(function, name_stage):
        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            name, value = name_stage(result)
            stages.setdefault(name, value.clone())
            return result

        return call

    user_callback = arguments.pop('callback_on_step_end', None)

    def on_step_end(pipe, step, timestep, tensors):
        stages[f'latents_step_{step}'] = tensors['latents'].clone()
        stages['latents'] = stages[f'latents_step_{step}']
        if user_callback is None:
            return {}
        replaced = user_callback(pipe, step, timestep, tensors)
        stages['latents'] = replaced['latents'].clone()
        return replaced

    draw = module.randn_tensor
    try:
        for method, name_stage in keep.items():
            setattr(pipe, method, recording(getattr(pipe, method), name_stage))
        module.randn_tensor = recording(draw, lambda result: ('image_noise', result))  # the first draw is the picture's
        frames = pipe(
            images if len(images) > 1 or isinstance(images, torch.Tensor) else images[0], callback_on_step_end=on_step_end, **arguments
        ).frames
    finally:
        module.randn_tensor = draw
        for method in keep:
            delattr(pipe, method)
    if arguments.get('output_type') != 'latent':
        stages['frames'] = torch.from_numpy(frames)
    return stages
