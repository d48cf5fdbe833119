"""diffusers' process: builds the work that it gets as JSON, then answers each line of its standard
input with a line of JSON.

The file must not be called `diffusers.py`: Python would import it in place of the package.
"""

import json
import re
import sys
import time
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.utils import logging
from PIL import Image
from safetensors import safe_open
from transformers import CLIPVisionModelWithProjection
from transformers.utils import logging as transformers_logging


def dtype():
    return getattr(torch, work.get('dtype', 'float32'))


def device():
    return work.get('device', 'cpu')


def finish():
    """Waits for the card, which computes on its own."""
    if device() == 'cuda':
        torch.cuda.synchronize()


def noise(seed, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device(), dtype())


def model(cls, component):
    return cls.from_pretrained(work['checkpoint'], subfolder=component, dtype=dtype()).to(device()).eval()


def unet_file():
    folder = Path(work['checkpoint']) / 'unet'
    return safe_open(folder / 'diffusion_pytorch_model.safetensors', 'pt')


def layer(module):
    """Loads the weights of a layer, whose prefix is in `work`, from the UNet's file."""
    prefix = work['prefix']
    with unet_file() as file:
        keys = [key for key in file.keys() if key.startswith(prefix)]
        module.load_state_dict({key[len(prefix) :]: file.get_tensor(key).float() for key in keys})
    return module.eval()


def unet():
    """One evaluation; a guided one as at each step of the pipeline, both halves as one batch."""
    net = model(UNetSpatioTemporalConditionModel, 'unet')
    frames = work['frames']
    shape = (1, frames, 4, work['height'] // 8, work['width'] // 8)
    latents, picture = noise(1, shape), noise(2, shape)
    context = noise(3, (1, 1, net.config.cross_attention_dim))
    guided = work.get('guided', True)
    if guided:
        picture, context = (torch.cat([torch.zeros_like(part), part]) for part in (picture, context))
    ids = torch.tensor([[6, 127, 0.02]] * len(picture), dtype=dtype(), device=device())
    scale = torch.linspace(1, 3, frames, dtype=dtype(), device=device())[None, :, None, None, None]

    def run():
        sample = torch.cat([latents.expand_as(picture), picture], dim=2)
        velocity = net(sample, 1.25, context, ids, return_dict=False)[0]
        if not guided:
            return velocity
        unconditional, conditional = velocity.chunk(2)
        return unconditional + scale * (conditional - unconditional)

    return run


def vae_decode():
    vae = model(AutoencoderKLTemporalDecoder, 'vae')
    latents = noise(1, (work['frames'], 4, work['height'] // 8, work['width'] // 8))
    parts = latents.split(work.get('settings', {}).get('decodeChunkSize', work['frames']))
    return lambda: torch.cat([vae.decode(part, num_frames=len(part)).sample for part in parts])


def vae_encode():
    vae = model(AutoencoderKLTemporalDecoder, 'vae')
    pixels = noise(1, (1, 3, work['height'], work['width']))
    return lambda: vae.encode(pixels).latent_dist.mode()


def clip():
    encoder = model(CLIPVisionModelWithProjection, 'image_encoder')
    pixels = noise(1, (1, 3, work['height'], work['width']))
    return lambda: encoder(pixels).image_embeds


def whole():
    pipe = StableVideoDiffusionPipeline.from_pretrained(work['checkpoint'], dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe, Image.open(work['picture']).convert('RGB')


def load():
    pipe, picture = whole()
    embedding = pipe._encode_image(picture, 'cpu', 1, False)
    return lambda: embedding


def load_float32():
    """Reads all tensors of the UNet's file as float32 and keeps them in memory.

    The result is the tensors of one axis, sorted by name."""
    tensors = {}

    def run():
        with unet_file() as file:
            tensors.update({key: file.get_tensor(key).float() for key in file.keys()})
        return torch.cat([tensors[key] for key in sorted(tensors) if tensors[key].dim() == 1])

    return run


def pipeline():
    pipe, picture = whole()
    options = dict(height=work['height'], width=work['width'], num_frames=work['frames'])
    options |= dict(num_inference_steps=work['steps'], output_type='np')

    def run():
        generator = torch.Generator().manual_seed(0)
        return torch.from_numpy(pipe(picture, **options, generator=generator).frames)

    return run


def tokens():
    return noise(1, (work['frames'], work['side'] ** 2, work['channels']))


def self_attention():
    channels, heads = work['channels'], work['heads']
    return layer(Attention(channels, heads=heads, dim_head=channels // heads))


def attention():
    module, x = self_attention(), tokens()
    return lambda: module(x)


def temporal_attention():
    """The input and the result have frames first, as in the block; attention needs pixels first."""
    module, x = self_attention(), tokens()
    return lambda: module(x.transpose(0, 1)).transpose(0, 1).contiguous()


def resblock():
    frames, channels, side = work['frames'], work['channels'], work['side']
    module = layer(SpatioTemporalResBlock(channels, channels, temb_channels=1280))
    x, temb = noise(1, (frames, channels, side, side)), noise(2, (frames, 1280))
    indicator = torch.zeros(1, frames)
    return lambda: module(x, temb, indicator)


def feed_forward():
    module, x = layer(FeedForward(work['channels'], activation_fn='geglu')), tokens()
    return lambda: module(x)


def memory(name):
    """A figure of /proc/self/status in bytes."""
    return 1024 * int(re.search(rf'{name}:\s+(\d+)', Path('/proc/self/status').read_text())[1])


def answer(**values):
    print(json.dumps(values), flush=True)


logging.disable_progress_bar()
transformers_logging.disable_progress_bar()
work = json.loads(sys.argv[1])
torch.set_num_threads(int(sys.argv[2]))
with torch.inference_mode():
    job = globals()[work['kind'].replace('-', '_')]()
    if work['kind'] != 'load':
        Path('/proc/self/clear_refs').write_text('5')
    answer(version=f'torch {torch.__version__}', restingBytes=memory('VmRSS'))
    output = None
    for line in sys.stdin:
        command, *path = line.split()
        if command == 'round':
            output = None
            start = time.perf_counter()
            output = job()
            finish()
            answer(seconds=time.perf_counter() - start)
        elif command == 'save':
            output.contiguous().float().cpu().numpy().tofile(path[0])
            answer(saved=path[0])
        else:
            answer(peakBytes=memory('VmHWM'))
