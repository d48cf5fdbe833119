"""Fixtures of gradients: for one case of every layer that learns or passes gradients on, from torch's autograd in float64."""

from pathlib import Path

import numpy as np
import torch

from common import check_numbers, save, tensor, uniform, with_hashed_weights
from layer_cases import CASES
from layers import CLASSES, layout, run, value

NAMES = (
    *('Linear-bias', 'Conv2d-3x3', 'Conv2d-stride-2', 'Conv3d-temporal', 'GroupNormalization-frames-jointly', 'LayerNorm-tokens'),
    *('Timesteps-cos-first', 'TimestepEmbedding-out-dim', 'ResnetBlock2D-eps5-shortcut', 'TemporalResnetBlock-shortcut'),
    *('SpatioTemporalResBlock-unet', 'SpatioTemporalResBlock-vae', 'AlphaBlender-learned-with-images-5d', 'AlphaBlender-learned-switch-3d'),
    *('Attention-self', 'Attention-cross', 'Attention-vae-heads', 'FeedForward-geglu', 'FeedForward-gelu-mult'),
    *('BasicTransformerBlock-context-1', 'BasicTransformerBlock-context-3', 'TemporalBasicTransformerBlock-context-3'),
    *('TransformerSpatioTemporalModel-layers-1-context-1', 'TransformerSpatioTemporalModel-layers-1-context-3'),
    *('Downsample2D-padding-1-odd', 'Downsample2D-padding-0-mixed', 'Upsample2D-double', 'Upsample2D-output-size-odd'),
    *('DownBlockSpatioTemporal-layers-1', 'CrossAttnDownBlockSpatioTemporal-layers-1', 'UNetMidBlockSpatioTemporal-layers-1'),
    *('UpBlockSpatioTemporal-double', 'CrossAttnUpBlockSpatioTemporal-upsample-size'),
    *('DownEncoderBlock2D-last-layers-1', 'UNetMidBlock2D-vae', 'MidBlockTemporalDecoder-layers-2', 'UpBlockTemporalDecoder-double'),
    *('Encoder-layers-1', 'TemporalDecoder-layers-1'),
)


def gradients(name: str) -> tuple[dict[str, torch.Tensor], dict]:
    """
    Gradients of the sum of all outputs, each value times the uniform number in [-1, 1) of its place under `<case>.<output>.gradient`:
    `input.<name>` in full, and per weight the norm and the product with the uniform numbers under `<case>.<key>.direction`.
    """
    case = CASES[name]
    module = with_hashed_weights(CLASSES[case.layer](**case.config)).double()
    inputs = {key: value(f'{name}.{key}', spec, case.range) for key, spec in case.inputs.items()}
    implied = 'image_only_indicator' in inputs and case.layer != 'TemporalDecoder'
    exact = {key: given if given is None else given.double() for key, given in inputs.items()}
    wanted = {key: given.requires_grad_() for key, given in exact.items() if given is not None and key != 'image_only_indicator'}
    with torch.enable_grad():
        outputs = run(module, {**exact, **{key: option for key, option in case.kwargs.items() if key != 'num_frames' or not implied}})
        counted = {key: output for key, output in outputs.items() if key != 'output.hidden_states'}  # the last of the output states again
        sum((output * tensor(f'{name}.{key}.gradient', tuple(output.shape))).sum() for key, output in counted.items()).backward()
    weights = {key: weight.grad.numpy() for key, weight in module.named_parameters() if weight.grad is not None}
    rows = [[np.linalg.norm(grad), grad.reshape(-1) @ uniform(f'{name}.{key}.direction', grad.size)] for key, grad in weights.items()]
    tensors = {f'input.{key}': given.grad.float() for key, given in wanted.items()}
    layouts = {key: layout(key.removeprefix('input.'), grad) for key, grad in tensors.items()}
    if rows:
        tensors['weights'] = torch.tensor(rows, dtype=torch.float32)
    outputs = {key: {'shape': list(output.shape), 'axes': layout(key, output)} for key, output in counted.items()}
    return tensors, {'layouts': layouts, 'keys': list(weights), 'outputs': outputs}


def write(folder: Path) -> None:
    """Writes every case into `folder`."""
    check_numbers()
    for name in NAMES:
        save(folder / 'gradients' / f'{name}.safetensors', *gradients(name))
