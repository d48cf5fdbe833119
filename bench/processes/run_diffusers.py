"""The other side of the benchmark: diffusers on the same work, given as JSON; answers each line that comes in with one of JSON."""

import json
import re
import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder, StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.utils import logging
from PIL import Image
from safetensors import safe_open
from transformers import CLIPVisionModelWithProjection
from transformers.utils import logging as transformers_logging


def noise(seed, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def model(cls, component):
    return cls.from_pretrained(work['checkpoint'], subfolder=component, dtype=torch.float32).eval()


def layer(module):
    """Fills a layer by its prefix from the UNet's file."""
    with safe_open(Path(work['checkpoint']) / 'unet' / 'diffusion_pytorch_model.safetensors', 'pt') as file:
        keys = [key for key in file.keys() if key.startswith(work['prefix'])]
        module.load_state_dict({key[len(work['prefix']) :]: file.get_tensor(key).float() for key in keys})
    return module.eval()


def unet():
    """One evaluation with guidance as in the pipeline: both halves in one batch."""
    net = model(UNetSpatioTemporalConditionModel, 'unet')
    frames = work['frames']
    shape = (1, frames, 4, work['height'] // 8, work['width'] // 8)
    latents, picture, context = noise(1, shape), noise(2, shape), noise(3, (1, 1, net.config.cross_attention_dim))
    picture, context = (torch.cat([torch.zeros_like(part), part]) for part in (picture, context))
    ids = torch.tensor([[6, 127, 0.02]] * 2)
    scale = torch.linspace(1, 3, frames)[None, :, None, None, None]

    def run():
        sample = torch.cat([torch.cat([latents] * 2), picture], dim=2)
        unconditional, conditional = net(sample, 1.25, encoder_hidden_states=context, added_time_ids=ids, return_dict=False)[0].chunk(2)
        return unconditional + scale * (conditional - unconditional)

    return run


def vae_decode():
    vae, latents = model(AutoencoderKLTemporalDecoder, 'vae'), noise(1, (work['frames'], 4, work['height'] // 8, work['width'] // 8))
    return lambda: vae.decode(latents, num_frames=work['frames']).sample


def vae_encode():
    vae, pixels = model(AutoencoderKLTemporalDecoder, 'vae'), noise(1, (1, 3, work['height'], work['width']))
    return lambda: vae.encode(pixels).latent_dist.mode()


def clip():
    encoder, pixels = model(CLIPVisionModelWithProjection, 'image_encoder'), noise(1, (1, 3, work['height'], work['width']))
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
    """All tensors of the UNet's file in float32, which stay in memory; gives those of one axis, by name."""
    tensors = {}

    def run():
        with safe_open(Path(work['checkpoint']) / 'unet' / 'diffusion_pytorch_model.safetensors', 'pt') as file:
            tensors.update({key: file.get_tensor(key).float() for key in file.keys()})
        return torch.cat([tensors[key] for key in sorted(tensors) if tensors[key].dim() == 1])

    return run


def pipeline():
    pipe, picture = whole()
    options = dict(height=work['height'], width=work['width'], num_frames=work['frames'], num_inference_steps=work['steps'])

    def run():
        frames = pipe(picture, **options, generator=torch.Generator().manual_seed(0), output_type='np').frames
        return torch.from_numpy(frames)

    return run


def tokens():
    return noise(1, (work['frames'], work['side'] ** 2, work['channels']))


def self_attention():
    return layer(Attention(work['channels'], heads=work['heads'], dim_head=work['channels'] // work['heads']))


def attention():
    module, x = self_attention(), tokens()
    return lambda: module(x)


def temporal_attention():
    """Frames come first and leave first, as in the block around it; attention has to have pixels first."""
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
            answer(seconds=time.perf_counter() - start)
        elif command == 'save':
            output.contiguous().numpy().astype('float32').tofile(path[0])
            answer(saved=path[0])
        else:
            answer(peakBytes=memory('VmHWM'))
