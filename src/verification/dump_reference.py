"""
Runs diffusers on a checkpoint and pictures and writes the reference that `svd verify` replays: the tensors of every stage, the
pictures, the arguments, and the SHA-256 of the checkpoint's files. `svd reference` runs it in a Python environment of its own, with what
requirements.txt beside it lists. The package holds both in dist/src/verification.

    python dump_reference.py rocket.jpg --model svd-xt --output reference.safetensors [--blocks] [options as of svd generate]

Arithmetic is float32 whatever the files hold.
"""

import argparse
import copy
import functools
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers import StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as pipeline_module
from diffusers.utils import load_image
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import load_file

CONFIGS = (
    *('model_index.json', 'unet/config.json', 'vae/config.json', 'image_encoder/config.json'),
    *('scheduler/scheduler_config.json', 'feature_extractor/preprocessor_config.json'),
)
STEMS = {'unet': 'diffusion_pytorch_model', 'vae': 'diffusion_pytorch_model', 'image_encoder': 'model'}
# The blocks whose outputs --blocks stores, by their paths below the UNet or the VAE.
BLOCKS = re.compile(
    r'(.+\.)?(resnets|attentions|downsamplers|upsamplers)\.\d+|((encoder|decoder)\.)?(conv_in|conv_norm_out|conv_out|time_conv_out)|(add_)?time_proj|(add|time)_embedding|quant_conv'
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='path or URL of a picture; several are one batch')
    parser.add_argument('--model', required=True, help='folder in diffusers format, or org/name on the hub')
    parser.add_argument('--model-name', help='what the reference calls the model. Default: --model')
    parser.add_argument('--output', required=True, type=Path, help='the .safetensors file to write')
    parser.add_argument('--variant', help='weight files of this variant, such as fp16')
    parser.add_argument('--unet', type=Path, help="weight file, or index of several, of a UNet instead of the model's own, in the names of diffusers")
    parser.add_argument('--unet-config', type=Path, help="its config. Default: that of the model's own UNet")
    parser.add_argument('--lora', action='append', default=[], metavar='FILE=SCALE', help='a LoRA in the names and with the metadata of peft. Several add up')
    parser.add_argument('--lora-files', type=json.loads, help='what the reference says of these, as JSON. Default: their names, SHA-256 and scales')
    parser.add_argument('--seed', type=int, action='append', help='once, or once per video. Default: 0')
    parser.add_argument('--scheduler', type=json.loads, help='the sampler, as JSON: a scheduler_config.json with _class_name. Default: that of the model')
    parser.add_argument('--sigmas', type=lambda text: [float(word) for word in text.split(',')], help='X,X,...: noise levels of your own')
    defaults = dict(height=576, width=1024, num_frames=None, num_inference_steps=25, min_guidance_scale=1.0, max_guidance_scale=3.0)
    defaults |= dict(fps=7, motion_bucket_id=127, noise_aug_strength=0.02, decode_chunk_size=None, num_videos_per_prompt=1)
    for name, default in defaults.items():
        parser.add_argument(f'--{name.replace("_", "-")}', type=float if isinstance(default, float) else int, default=default)
    parser.add_argument('--blocks', nargs='?', type=int, const=0, metavar='STEP', help='also every block of the VAE, and of the UNet in this step. Default: 0')
    parser.add_argument('--device', default='cpu', help='where diffusers computes. Random numbers come from the processor. Default: cpu')
    given = parser.parse_args()
    if len(given.images) > 1 and given.num_videos_per_prompt > 1:
        parser.error('diffusers mixes up the latents of several pictures with several videos each: pass one picture, or ask for one video per picture')
    return given


def files_of(folder: Path, variant: str | None, components: Iterable[str] = STEMS) -> list[str]:
    """The files that the pipeline reads, as `svd` lists them, with the weights of some components."""
    files = list(CONFIGS)
    for component in components:
        stem = STEMS[component]
        single = f'{component}/{stem}.{variant}.safetensors' if variant else f'{component}/{stem}.safetensors'
        index = f'{component}/{stem}.safetensors.index.{variant}.json' if variant else f'{component}/{stem}.safetensors.index.json'
        if (folder / single).exists():
            files.append(single)
        elif (folder / index).exists():
            shards = set(json.loads((folder / index).read_text())['weight_map'].values())
            files += [index, *(f'{component}/{shard}' for shard in shards)]
        else:
            sys.exit(f'{folder} has neither {single} nor {index}. Choose another --variant.')
    return sorted(files)


def shards_of(weights: Path) -> list[Path]:
    """The files that the index of several names; otherwise the file itself."""
    if weights.suffix != '.json':
        return [weights]
    return [weights.with_name(name) for name in sorted(set(json.loads(weights.read_text())['weight_map'].values()))]


def other_unet(weights: Path, config: Path) -> UNetSpatioTemporalConditionModel:
    """The UNet in a weight file. What it has beside its weights is passed over, as diffusers does."""
    unet = UNetSpatioTemporalConditionModel.from_config(json.loads(config.read_text()))
    tensors = {name: tensor for file in shards_of(weights) for name, tensor in load_file(file).items()}
    unet.load_state_dict({name: tensors[name] for name in unet.state_dict()})
    return unet.float().eval()


def put_loras(unet: UNetSpatioTemporalConditionModel, loras: list[tuple[Path, float]]) -> None:
    """Lets peft put LoRA on the UNet. diffusers has no method for that of this UNet."""
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
    from peft.tuners.tuners_utils import BaseTunerLayer

    names = [f'lora{i}' for i in range(len(loras))]
    for name, (file, _) in zip(names, loras):
        with safe_open(file, 'pt') as opened:
            settings = json.loads(opened.metadata()['lora_adapter_metadata'])
        inject_adapter_in_model(LoraConfig(**{key.removeprefix('unet.'): value for key, value in settings.items()}), unet, adapter_name=name)
        tensors = {key.removeprefix('unet.'): tensor.float() for key, tensor in load_file(file).items()}
        if unexpected := set_peft_model_state_dict(unet, tensors, adapter_name=name).unexpected_keys:
            sys.exit(f'peft does not know {", ".join(unexpected)} of {file}.')
    for module in unet.modules():
        if isinstance(module, BaseTunerLayer):
            module.set_adapter([name for name in names if name in module.lora_A])
            for name, (_, scale) in zip(names, loras):
                if name in module.lora_A:
                    module.set_scale(name, scale)


def sha256(path: Path) -> str:
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def frames_first(output: torch.Tensor) -> np.ndarray:
    """A block's output without video axes: [B, C, F, H, W] becomes [B*F, C, H, W]."""
    flat = output.permute(0, 2, 1, 3, 4).flatten(0, 1) if output.ndim == 5 else output
    return np.ascontiguousarray(flat.float().cpu().numpy())


def block_output(path: str, output: torch.Tensor | tuple) -> np.ndarray:
    """What is stored of a block's output. All videos have one timestep: of what is made of it, one is stored."""
    tensor = output if isinstance(output, torch.Tensor) else output[0]
    return frames_first(tensor[:1] if path in ('time_proj', 'time_embedding') else tensor)


def record_blocks(pipe: StableVideoDiffusionPipeline, step: int, blocks: dict[str, np.ndarray]) -> None:
    """
    Keeps the output of every block from now on: of the UNet in one step, of the VAE in its first call. Of the VAE's encoder also
    `float64.fed.` what float64 makes of the same inputs.
    """
    evaluations = {'unet': -1}
    pipe.unet.register_forward_pre_hook(lambda *_: evaluations.update(unet=evaluations['unet'] + 1))

    def hook(model: str, path: str):
        def keep(module, inputs, options, output):
            name = f'block.{model}.{path}'
            if name in blocks or evaluations.get(model, step) != step:
                return
            blocks[name] = block_output(path, output)
            if model == 'vae' and not path.startswith('decoder.'):
                blocks[f'float64.fed.{name}'] = block_output(path, in_float64(module)(*map(widened, inputs), **{k: widened(v) for k, v in options.items()}))

        return keep

    for model in ('unet', 'vae'):
        for path, module in getattr(pipe, model).named_modules():
            if BLOCKS.fullmatch(path):
                module.register_forward_hook(hook(model, path), with_kwargs=True)


def widened(value):
    return value.cpu().double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def in_float64(module: torch.nn.Module) -> torch.nn.Module:
    """A copy that computes in float64, without the hooks of the original."""
    exact = copy.deepcopy(module).cpu().double()
    for part in exact.modules():
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    return exact


def encode_in_float64(vae: torch.nn.Module, pixels: torch.Tensor, names: Iterable[str]) -> dict[str, np.ndarray]:
    """
    The picture latents and those blocks of the encoder that are in `names`, by an encoder in float64. Of flat and of dark pictures, torch's
    channels-last group normalisation in float32 is up to 8e-3 away from it: with this, `svd verify` can tell who is off.
    """
    exact: dict[str, np.ndarray] = {}
    parts = torch.nn.ModuleDict({'encoder': in_float64(vae.encoder), 'quant_conv': in_float64(vae.quant_conv)})
    for path, module in parts.named_modules():
        if f'block.vae.{path}' in names:
            keep = lambda _module, _inputs, output, path=path: exact.update({f'float64.block.vae.{path}': block_output(path, output)})  # noqa: E731
            module.register_forward_hook(keep)
    moments = parts['quant_conv'](parts['encoder'](widened(pixels)))
    return exact | {'float64.image_latents': frames_first(moments.chunk(2, dim=1)[0])}


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

    step = pipe.scheduler.step
    if 'generator' in inspect.signature(step).parameters:  # the pipeline forgets it, and the noise would come from elsewhere
        pipe.scheduler.step = functools.partial(step, generator=arguments.get('generator'))
    user_callback = arguments.pop('callback_on_step_end', None)

    def on_step_end(pipe, step, timestep, tensors):
        stages[f'latents_step_{step}'] = tensors['latents'].clone()
        stages['latents'] = stages[f'latents_step_{step}']
        if user_callback is None:
            return {}
        replaced = user_callback(pipe, step, timestep, tensors)
        stages['latents'] = replaced['latents'].clone()
        return replaced

    draw = pipeline_module.randn_tensor
    try:
        for method, name_stage in keep.items():
            setattr(pipe, method, recording(getattr(pipe, method), name_stage))
        pipeline_module.randn_tensor = recording(draw, lambda result: ('image_noise', result))  # the first draw is the picture's
        frames = pipe(
            images if len(images) > 1 or isinstance(images, torch.Tensor) else images[0], callback_on_step_end=on_step_end, **arguments
        ).frames
    finally:
        pipeline_module.randn_tensor = draw
        pipe.scheduler.__dict__.pop('step', None)
        for method in keep:
            delattr(pipe, method)
    if arguments.get('output_type') != 'latent':
        stages['frames'] = torch.from_numpy(frames)
    return stages


def say_step(pipe: StableVideoDiffusionPipeline, step: int, _timestep: torch.Tensor, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tells `svd reference`, and who reads along, where the call is."""
    print(f'sampling: step {step + 1} of {pipe.num_timesteps}', flush=True)
    return tensors


def main() -> None:
    given = arguments()
    torch.set_grad_enabled(False)
    folder = Path(given.model)
    if not folder.is_dir():
        folder = Path(StableVideoDiffusionPipeline.download(given.model, variant=given.variant))
    files = {file: folder / file for file in files_of(folder, given.variant, [name for name in STEMS if name != 'unet' or not given.unet])}
    others = {}
    if given.unet:
        config = given.unet_config or folder / 'unet/config.json'
        others = {'unet': other_unet(given.unet, config)}
        files |= {f'unet/{path.name}': path for path in [config, given.unet, *shards_of(given.unet)]}
    pipe = StableVideoDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, variant=given.variant, **others).to(given.device)
    pipe.set_progress_bar_config(disable=True)
    loras = [(Path(file), float(scale)) for file, _, scale in (text.rpartition('=') for text in given.lora)]
    if loras:
        put_loras(pipe.unet, loras)
    if given.scheduler is not None:
        pipe.scheduler = getattr(diffusers, given.scheduler['_class_name']).from_config(given.scheduler)
    pictures = [load_image(image) for image in given.images]

    names = ('height', 'width', 'num_frames', 'num_inference_steps', 'sigmas', 'min_guidance_scale', 'max_guidance_scale', 'fps')
    names += ('motion_bucket_id', 'noise_aug_strength', 'decode_chunk_size', 'num_videos_per_prompt')
    call = {name: getattr(given, name) for name in names}
    call['num_frames'] = call['num_frames'] or pipe.unet.config.num_frames
    call['decode_chunk_size'] = call['decode_chunk_size'] or call['num_frames']
    seeds = given.seed or [0]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    encoded: list[torch.Tensor] = []
    pipe.vae.encoder.register_forward_pre_hook(lambda _module, inputs: encoded.append(inputs[0]))
    blocks: dict[str, np.ndarray] = {}
    if given.blocks is not None:
        record_blocks(pipe, given.blocks, blocks)
    generator = generators if len(generators) > 1 else generators[0]
    stages = run_with_stages(pipe, pictures, output_type='np', generator=generator, callback_on_step_end=say_step, **call)
    del stages['latents']  # those of the last step

    tensors = {name: np.ascontiguousarray(value.float().cpu().numpy()) for name, value in stages.items()}
    tensors |= {f'input.image.{i}': np.array(picture) for i, picture in enumerate(pictures)}
    tensors |= encode_in_float64(pipe.vae, encoded[0], blocks)
    # As text where JavaScript's numbers do not hold it exactly.
    stored_seeds = [seed if abs(seed) < 2**53 else str(seed) for seed in seeds]
    metadata = {
        'args': {'images': [Path(re.sub(r'(?i)^(\w+://[^?#]*).*', r'\1', image)).name for image in given.images], 'seeds': stored_seeds, **call},
        'checkpoint': {'id': given.model_name or given.model, 'variant': given.variant, 'files': {file: sha256(path) for file, path in sorted(files.items())}},
        'scheduler': json.loads(pipe.scheduler.to_json_string()),
        'blocks': given.blocks,
        **({'loras': given.lora_files or [{'file': file.name, 'sha256': sha256(file), 'scale': scale} for file, scale in loras]} if loras else {}),
        'versions': {'diffusers': diffusers.__version__, 'torch': torch.__version__, 'transformers': transformers.__version__},
    }
    partial = given.output.with_name(given.output.name + '.partial')
    save_file({**tensors, **blocks}, partial, {key: json.dumps(value) for key, value in metadata.items()})
    partial.rename(given.output)
    print(f'{given.output}: {len(tensors)} tensors of stages and pictures, {len(blocks)} of blocks')


if __name__ == '__main__':
    main()
