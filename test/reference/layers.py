"""Fixtures of single layers: one file per case with the layer's inputs and outputs, computed by diffusers."""

from pathlib import Path

import torch
from diffusers.models.attention import BasicTransformerBlock, FeedForward, TemporalBasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import TemporalDecoder
from diffusers.models.autoencoders.vae import Encoder
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import AlphaBlender, ResnetBlock2D, SpatioTemporalResBlock, TemporalResnetBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from diffusers.models.unets import unet_2d_blocks, unet_3d_blocks
from diffusers.models.upsampling import Upsample2D

from common import check_numbers, float64_distance, save, tensor, with_hashed_weights
from layer_cases import CASES

CLASSES = {
    'GroupNormalization': torch.nn.GroupNorm,
    'LayerNorm': torch.nn.LayerNorm,
    'Conv2d': torch.nn.Conv2d,
    'Conv3d': torch.nn.Conv3d,
    'Linear': torch.nn.Linear,
    'DownEncoderBlock2D': unet_2d_blocks.DownEncoderBlock2D,
    'UNetMidBlock2D': unet_2d_blocks.UNetMidBlock2D,
    **{
        cls.__name__: cls
        for cls in (
            *(AlphaBlender, Attention, BasicTransformerBlock, Downsample2D, Encoder, FeedForward, ResnetBlock2D),
            *(SpatioTemporalResBlock, TemporalBasicTransformerBlock, TemporalDecoder, TemporalResnetBlock),
            *(TimestepEmbedding, Timesteps, TransformerSpatioTemporalModel, Upsample2D),
            *(unet_3d_blocks.CrossAttnDownBlockSpatioTemporal, unet_3d_blocks.CrossAttnUpBlockSpatioTemporal),
            *(unet_3d_blocks.DownBlockSpatioTemporal, unet_3d_blocks.UpBlockSpatioTemporal),
            *(unet_3d_blocks.UNetMidBlockSpatioTemporal, unet_3d_blocks.MidBlockTemporalDecoder),
            *(unet_3d_blocks.UpBlockTemporalDecoder,),
        )
    },
}
AXES = {1: 'N', 2: 'NC', 3: 'NLC', 4: 'NCHW', 5: 'BCFHW'}


def layout(name: str, value: torch.Tensor) -> str:
    """The axes of an input or output: B batch, F frames, N batch times frames (frame fastest), L tokens, C channels."""
    if name == 'image_only_indicator':
        return 'BF'
    return 'BFC' if name == 'temb' and value.ndim == 3 else AXES[value.ndim]


def run(module: torch.nn.Module, inputs: dict) -> dict[str, torch.Tensor]:
    """Calls the layer by keyword; inputs `name.0`, `name.1`, ... travel as one tuple. Names the outputs."""
    arguments = {key: value for key, value in inputs.items() if '.' not in key}
    for key in inputs:
        if '.' in key:
            arguments[key.split('.')[0]] = (*arguments.get(key.split('.')[0], ()), inputs[key])
    result = module(**arguments)
    if isinstance(result, torch.Tensor):
        return {'output': result}
    if hasattr(result, 'sample'):
        return {'output': result.sample}
    hidden_states, output_states = result
    return {'output.hidden_states': hidden_states, **{f'output.output_states.{i}': state for i, state in enumerate(output_states)}}


def value(name: str, spec: tuple | list | None, range: tuple[float, float]) -> torch.Tensor | None:
    """An input: a shape (filled from the name), the values themselves, or None for an optional input left out."""
    if isinstance(spec, tuple):
        return tensor(name, spec, *range)
    return spec if spec is None else torch.tensor(spec, dtype=torch.float32)


def write(folder: Path) -> None:
    """Writes every case into `folder`."""
    check_numbers()
    for name, case in CASES.items():
        module = with_hashed_weights(CLASSES[case.layer](**case.config))
        inputs = {key: value(f'{name}.{key}', spec, case.range) for key, spec in case.inputs.items()}
        # Most layers read the number of frames off the indicator's shape. It is stored for readers without indicators.
        implied = 'image_only_indicator' in inputs and case.layer != 'TemporalDecoder'
        arguments = {**inputs, **{key: option for key, option in case.kwargs.items() if key != 'num_frames' or not implied}}
        given = {f'input.{key}': tensor for key, tensor in inputs.items() if tensor is not None}
        tensors = {**given, **run(module, arguments)}
        metadata = {
            'class': case.layer,
            'config': case.config,
            'kwargs': case.kwargs,
            'layouts': {key: layout(key.removeprefix('input.'), tensor) for key, tensor in tensors.items()},
            'keys': list(module.state_dict()),
            'float64_distance': float64_distance(module, run, arguments),
        }
        save(folder / 'layers' / f'{name}.safetensors', tensors, metadata)
