"""
Writes a checkpoint of the published size (14 frames, 2.25 billion weights, float16, 4.5 GB): python test/reference/full_checkpoint.py FOLDER.
With --small after it, one of the same parts with 64 and 128 channels.

Its weights are seeded noise, each tensor's by its own name, and of a size that keeps activations finite in half precision too: it stands in
for trained weights where speed, memory and agreement are measured. Tensors go to the file one at a time, so that little memory is needed.
"""

import json
import sys
import tempfile
from pathlib import Path
from zlib import crc32

import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from model_cases import blocks
from pipelines import SCHEDULER

# The UNet's other arguments are the published ones by default.
FULL = {
    'unet': dict(sample_size=96, num_frames=14),
    'vae': dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=768),
    'image_encoder': dict(
        hidden_size=1280, intermediate_size=5120, projection_dim=1024, num_hidden_layers=32, num_attention_heads=16, patch_size=14
    ),
}
SMALL = {
    'unet': dict(sample_size=96, num_frames=14, block_out_channels=(64, 128), num_attention_heads=(1, 2), **blocks(2)),
    'vae': dict(block_out_channels=(32, 32, 64, 64), layers_per_block=1),
    'image_encoder': dict(hidden_size=64, intermediate_size=256, projection_dim=1024, num_hidden_layers=2, num_attention_heads=2),
}


def weights(key: str, shape: torch.Size) -> torch.Tensor:
    """Noise for one tensor: variance 1 / inputs for matrices and filters, gains around 1, biases around 0. No value is subnormal in float16."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(crc32(key.encode())))
    if key.endswith('mix_factor'):
        values = 0.5 + 0.1 * noise
    elif len(shape) == 1:
        values = (1.0 if key.endswith('weight') else 0.0) + 0.02 * noise
    else:
        values = noise * shape[1:].numel() ** -0.5
    smallest = torch.finfo(torch.float16).tiny
    return torch.where(values.abs() < smallest, smallest, values).half()


def write(model: torch.nn.Module, path: Path) -> None:
    """Writes a safetensors file with weights for each tensor of a model that may be without memory of its own."""
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    header, end = {'__metadata__': {'format': 'pt'}}, 0
    for key, shape in shapes.items():
        begin, end = end, end + 2 * shape.numel()
        header[key] = {'dtype': 'F16', 'shape': list(shape), 'data_offsets': [begin, end]}
    encoded = json.dumps(header).encode()
    encoded += b' ' * (-len(encoded) % 8)
    with path.open('wb') as file:
        file.write(len(encoded).to_bytes(8, 'little') + encoded)
        for key, shape in shapes.items():
            file.write(weights(key, shape).contiguous().numpy())


def main(folder: Path, configs: dict[str, dict]) -> None:
    """Writes beside `folder` and renames, so that it is there whole or not at all."""
    half = dict(hidden_act='gelu', architectures=['CLIPVisionModelWithProjection'], dtype=torch.float16)
    with torch.device('meta'):
        unet = UNetSpatioTemporalConditionModel(**configs['unet'])
        vae = AutoencoderKLTemporalDecoder(**configs['vae'], down_block_types=['DownEncoderBlock2D'] * 4)
        encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**configs['image_encoder'], **half))
    pipe = StableVideoDiffusionPipeline(vae, encoder, unet, EulerDiscreteScheduler(**SCHEDULER), CLIPImageProcessor())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='unfinished-', dir=folder.parent, ignore_cleanup_errors=True) as temporary:
        place = Path(temporary) / folder.name
        pipe.save_config(place)
        for name, part in pipe.components.items():
            part.config.save_pretrained(place / name) if part is encoder else getattr(part, 'save_config', part.save_pretrained)(place / name)
        for name, file in (('unet', 'diffusion_pytorch_model'), ('vae', 'diffusion_pytorch_model'), ('image_encoder', 'model')):
            print(f'Writing random weights of {name}', file=sys.stderr)
            write(getattr(pipe, name), place / name / f'{file}.safetensors')
        place.rename(folder)


if __name__ == '__main__':
    main(Path(sys.argv[1]), SMALL if '--small' in sys.argv else FULL)
