"""
Writes the fixtures of LoRA: the UNet `pipeline-tiny` of model_cases.py with adapters that peft has injected.

A fixture holds the output alone. Values of adapters follow from their names, as those of weights do: `<adapter>.<path>.lora_A.weight` of a convolution
is `[rank, in, kernel...]`, `lora_B.weight` `[out, rank, 1...]`.
"""

import torch
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer

from common import save, tensor, weight
from model_cases import CASES, UNET
from models import build

ATTENTION = ['to_q', 'to_k', 'to_v', 'to_out.0']
CONVOLUTIONS = ['conv_in', 'conv_out', 'conv1', 'conv2', 'conv_shortcut', 'downsamplers.0.conv', 'upsamplers.0.conv']
OTHERS = ['time_emb_proj', 'proj_in', 'proj_out', 'ff.net.0.proj', 'ff.net.2', 'linear_1']
attention = dict(r=4, lora_alpha=8, target_modules=ATTENTION)
convolutions = dict(r=3, lora_alpha=3, target_modules=CONVOLUTIONS)

# For each fixture, its adapters: their config of peft, and their scale.
ADAPTERS = {
    'attention': {'a': (attention, 1)},
    'convolutions': {'a': (convolutions, 1)},
    'others': {'a': (dict(r=2, lora_alpha=1, target_modules=OTHERS), 1.5)},
    'two': {'a': (attention, 0.7), 'b': (dict(r=2, lora_alpha=6, target_modules=['to_q', *CONVOLUTIONS], use_rslora=True), -0.4)},
    'patterns': {'a': (dict(attention, rank_pattern={'attn2.to_k': 2}, alpha_pattern={'attn2.to_k': 5, 'to_v': 3}), 1)},
}


def put_adapters(unet: torch.nn.Module, adapters: dict[str, tuple[dict, float]]) -> dict[str, dict[str, torch.Tensor]]:
    """Injects adapters with values from their names, and returns their tensors by the names of peft."""
    for name, (config, _) in adapters.items():
        inject_adapter_in_model(LoraConfig(**config), unet, adapter_name=name)
        for key, parameter in unet.named_parameters():
            if f'.{name}.weight' in key and '.lora_' in key:
                parameter.copy_(weight(f'{name}.{key.replace(f".{name}.", ".")}', tuple(parameter.shape)))
    for module in unet.modules():
        if isinstance(module, BaseTunerLayer):
            there = [name for name in adapters if name in module.lora_A]
            module.set_adapter(there)
            for name in there:
                module.set_scale(name, adapters[name][1])
    return {name: get_peft_model_state_dict(unet, adapter_name=name) for name in adapters}


def write(folder) -> None:
    case = CASES['UNetSpatioTemporalConditionModel-pipeline-tiny']
    inputs = {key: tensor(key, shape) if isinstance(shape, tuple) else torch.tensor(shape) for key, shape in case.inputs.items()}
    for name, adapters in ADAPTERS.items():
        unet = build(case.model, UNET)
        states = put_adapters(unet, adapters)
        output = unet(**inputs, timestep=case.kwargs['timestep']).sample
        # The names of some tensors in the layouts that diffusers writes, in one order.
        some = {key: value for key, value in states['a'].items() if key.startswith('mid_block')}
        kohya = convert_state_dict_to_kohya({f'unet.{key}': value for key, value in some.items()})
        names = {'diffusers': convert_state_dict_to_diffusers(dict(some)), 'kohya': {key: 0 for key in kohya if not key.endswith('.alpha')}}
        save(
            folder / 'lora' / f'{name}.safetensors',
            {'output': output},
            {
                'config': UNET,
                'kwargs': case.kwargs,
                'layouts': {'output': 'BFCHW'},
                'adapters': {key: {**config, 'scale': scale} for key, (config, scale) in adapters.items()},
                'shapes': {key: {path: list(value.shape) for path, value in state.items()} for key, state in states.items()},
                **({'names': {layout: list(keys) for layout, keys in names.items()}} if name == 'attention' else {}),
            },
        )
