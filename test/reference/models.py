"""Fixtures of whole models: outputs and the tensors between their top-level modules, computed by diffusers and transformers."""

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from common import check_numbers, float64_distance, save, tensor, with_hashed_weights
from model_cases import CASES

# Modules whose outputs are kept as stages: those that a reader meets first when walking down from the model.
STAGES = re.compile(
    r'(conv_in|time_embedding|add_embedding|mid_block|(down|up)_blocks\.\d+'
    r'|(encoder|decoder)\.(conv_in|mid_block|(down|up)_blocks\.\d+|conv_out)'
    r'|vision_model\.(embeddings|pre_layrnorm|encoder\.layers\.\d+|post_layernorm))'
)
AXES = {2: 'NC', 3: 'NLC', 4: 'NCHW', 5: 'BFCHW'}


def build(model: str, config: dict) -> torch.nn.Module:
    """The model with weights from their names."""
    if model == 'CLIPVisionModelWithProjection':
        return with_hashed_weights(CLIPVisionModelWithProjection(CLIPVisionConfig(**config)))
    cls = {
        'AutoencoderKLTemporalDecoder': AutoencoderKLTemporalDecoder,
        'UNetSpatioTemporalConditionModel': UNetSpatioTemporalConditionModel,
    }[model]
    return with_hashed_weights(cls(**config))


def runner(method: str, kwargs: dict):
    """A function (model, inputs) -> named outputs that calls `method` of the model."""

    def run(model: torch.nn.Module, inputs: dict) -> dict[str, torch.Tensor]:
        if 'forward_chunking' in kwargs:
            model.enable_forward_chunking(**kwargs['forward_chunking'])
        arguments = {key: value for key, value in kwargs.items() if key != 'forward_chunking'}
        # Calling the model itself, not `forward`, runs the hooks that record stages.
        result = (model if method == 'forward' else getattr(model, method))(**inputs, **arguments)
        if hasattr(result, 'latent_dist'):
            return {'output.mean': result.latent_dist.mean, 'output.logvar': result.latent_dist.logvar}
        if hasattr(result, 'image_embeds'):
            return {'output.image_embeds': result.image_embeds, 'output.last_hidden_state': result.last_hidden_state}
        return {'output': result.sample}

    return run


def record_stages(model: torch.nn.Module, stages: dict[str, torch.Tensor]) -> list:
    """Stores the outputs of the model's top-level modules in `stages` in its next runs. Returns the hooks, which the caller removes."""

    def keep(name: str):
        def hook(_module, _inputs, output):
            stages[f'stage.{name}'] = (output if isinstance(output, torch.Tensor) else output[0]).clone()

        return hook

    return [module.register_forward_hook(keep(name)) for name, module in model.named_modules() if STAGES.fullmatch(name)]


def write(folder: Path) -> None:
    """Writes every case into `folder`."""
    check_numbers()
    for name, case in CASES.items():
        model = build(case.model, case.config)
        inputs = {
            key: tensor(f'{name}.{key}', spec) if isinstance(spec, tuple) else torch.tensor(spec, dtype=torch.float32)
            for key, spec in case.inputs.items()
        }
        run, stages = runner(case.method, case.kwargs), {}
        hooks = record_stages(model, stages) if case.stages else []
        outputs = run(model, inputs)
        for hook in hooks:
            hook.remove()
        tensors = {**{f'input.{key}': value for key, value in inputs.items()}, **stages, **outputs}
        metadata = {
            'class': case.model,
            'method': case.method,
            'config': case.config,
            'kwargs': case.kwargs,
            'layouts': {key: AXES[value.ndim] for key, value in tensors.items()},
            # A list of keys outweighs the numbers of a small case: it goes where the stages are.
            **({'keys': list(model.state_dict())} if case.stages else {}),
            'float64_distance': float64_distance(model, run, inputs),
        }
        save(folder / 'models' / f'{name}.safetensors', tensors, metadata)
