"""
Writes a tiny Stable Video Diffusion checkpoint: python test/reference/random_checkpoint.py FOLDER.

Its weights are random but for three output convolutions, which are fitted by least squares on a few photographs so that
the frames resemble the picture: the VAE encoder's (to the mean colours of 8x8 pixels), the VAE decoder's (back to pixels) and the
UNet's (to the denoised latents). The architecture is the published one with fewer channels: four UNet levels, a VAE with factor 8.
"""

import sys
from pathlib import Path

import numpy as np
import skimage
import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
from PIL import Image
from torch.nn import functional
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from model_cases import blocks
from pipelines import SCHEDULER

PHOTOGRAPHS = ('astronaut.png', 'chelsea.png', 'coffee.png', 'rocket.jpg', 'motorcycle_left.png', 'hubble_deep_field.jpg')
SIZE = (64, 96)
FRAMES = 4
CLIPS = 72
RIDGE = 1e-3


def components() -> StableVideoDiffusionPipeline:
    """The pipeline with random weights as PyTorch draws them."""
    torch.manual_seed(0)
    channels = (32, 32, 32, 32)
    unet = UNetSpatioTemporalConditionModel(
        **dict(
            sample_size=(8, 12), block_out_channels=channels, layers_per_block=1, cross_attention_dim=32, num_attention_heads=(1, 2, 4, 4)
        ),
        **dict(addition_time_embed_dim=32, projection_class_embeddings_input_dim=96, num_frames=8, **blocks(4)),
    )
    vae = AutoencoderKLTemporalDecoder(block_out_channels=channels, down_block_types=['DownEncoderBlock2D'] * 4, layers_per_block=1)
    encoder = CLIPVisionConfig(
        **dict(hidden_size=32, projection_dim=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=224),
        **dict(patch_size=32, hidden_act='gelu'),
    )
    pipe = StableVideoDiffusionPipeline(
        vae.eval(), CLIPVisionModelWithProjection(encoder).eval(), unet.eval(), EulerDiscreteScheduler(**SCHEDULER), CLIPImageProcessor()
    )
    for model in (vae, unet):
        calm(model)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def calm(model: torch.nn.Module) -> None:
    """Lets a picture pass: residual branches become small, and resampling convolutions a blur of each channel plus some noise."""
    blur = torch.outer(torch.tensor([1, 2, 1]), torch.tensor([1, 2, 1])) / 16
    for name, module in model.named_modules():
        if name.endswith(('.conv2', '.to_out.0', '.proj_out')):
            # Small pictures leave two pixels at the deepest level, where normalising each channel by itself amplifies rounding errors.
            module.weight.mul_(0.005 if name.startswith(('down_blocks.3', 'mid_block', 'up_blocks.0')) else 0.2)
        if name.endswith('samplers.0.conv'):
            module.weight.mul_(0.2)
            module.weight += torch.eye(*module.weight.shape[:2])[..., None, None] * blur


def clips(random: np.random.Generator) -> torch.Tensor:
    """Short clips [CLIPS, FRAMES, 3, H, W] in [-1, 1]: a window that glides over a photograph."""
    height, width = SIZE
    pictures = [Image.open(Path(skimage.__file__).parent / 'data' / name).convert('RGB') for name in PHOTOGRAPHS]
    result = []
    for index in range(CLIPS):
        picture = pictures[index % len(pictures)]
        scale = random.uniform(1.1, 1.8) * max(width / picture.width, height / picture.height)
        small = picture.resize((round(picture.width * scale) + 1, round(picture.height * scale) + 1), Image.Resampling.LANCZOS)
        start, end = (random.uniform(0, 1, 2) * (small.width - width, small.height - height) for _ in range(2))
        corners = np.round(np.linspace(start, start + 0.2 * (end - start), FRAMES)).astype(int)
        result.append(np.stack([np.asarray(small.crop((x, y, x + width, y + height))) for x, y in corners]))
    return torch.from_numpy(np.stack(result)).permute(0, 1, 4, 2, 3) / 127.5 - 1


def inputs_of(module: torch.nn.Module, run) -> torch.Tensor:
    """What `module` gets as input while `run()` is called."""
    seen = []
    hook = module.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    run()
    hook.remove()
    return torch.cat(seen)


def fit(conv: torch.nn.Conv2d, features: torch.Tensor, targets: torch.Tensor) -> None:
    """Sets the first output channels of a 3x3 `conv` by ridge regression from features [N, C, H, W] to targets [N, T, H, W]."""
    gram, product = 0, 0
    for part, wanted in zip(features.split(16), targets.split(16)):
        columns = functional.unfold(part, 3, padding=1).transpose(1, 2).flatten(0, 1).double()
        columns = torch.cat([columns, torch.ones(len(columns), 1, dtype=torch.float64)], 1)
        gram = gram + columns.T @ columns
        product = product + columns.T @ wanted.permute(0, 2, 3, 1).flatten(0, 2).double()
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    solution = torch.linalg.solve(gram + ridge, product).T.float()
    count = targets.shape[1]
    conv.weight[:count] = solution[:, :-1].reshape(conv.weight[:count].shape)
    conv.bias[:count] = solution[:, -1]


def fit_vae(vae: AutoencoderKLTemporalDecoder, videos: torch.Tensor) -> None:
    """Latents become mean colour and left-right contrast of 8x8 pixels, spread as the published VAE's; decoding inverts that."""
    frames = videos.flatten(0, 1)
    halves = functional.avg_pool2d(frames.mean(1, keepdim=True), (8, 4))
    cells = torch.cat([functional.avg_pool2d(frames, 8), halves[..., 1::2] - halves[..., ::2]], 1)
    spread = cells.std((0, 2, 3), keepdim=True) * vae.config.scaling_factor
    pictures = slice(None, None, FRAMES)
    fit(vae.encoder.conv_out, inputs_of(vae.encoder.conv_out, lambda: vae.encode(frames[pictures])), (cells / spread)[pictures])
    vae.quant_conv.weight.copy_(torch.eye(8)[..., None, None])
    vae.quant_conv.bias.zero_()
    vae.encoder.conv_out.weight[4:] = 0
    vae.encoder.conv_out.bias[4:] = -6  # a nearly certain posterior
    vae.decoder.time_conv_out.weight.mul_(0.05)
    vae.decoder.time_conv_out.weight[:, :, 1, 0, 0] += torch.eye(3)
    vae.decoder.time_conv_out.bias.zero_()

    def decode_all():
        for video in videos:
            vae.decode(vae.encode(video).latent_dist.mean, num_frames=FRAMES)

    fit(vae.decoder.conv_out, inputs_of(vae.decoder.conv_out, decode_all), frames)


def fit_unet(pipe: StableVideoDiffusionPipeline, videos: torch.Tensor) -> None:
    """The UNet's output becomes the best linear guess of the v that leads to the clip, over all noise levels."""
    unet, vae, targets = pipe.unet, pipe.vae, []
    noise = torch.Generator().manual_seed(1)
    sigmas = torch.exp(torch.linspace(np.log(2), np.log(700), len(videos)))[torch.randperm(len(videos), generator=noise)]

    def predict_all():
        for index, (video, sigma) in enumerate(zip(videos, sigmas)):
            clean = vae.encode(video).latent_dist.mean[None] * vae.config.scaling_factor
            noisy = clean + sigma * torch.randn(clean.shape, generator=noise)
            picture = (video[:1] + 1) / 2
            embeds = pipe._encode_image([Image.fromarray((picture[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8))], 'cpu', 1, False)
            image = vae.encode(video[:1]).latent_dist.mean[None].expand(-1, FRAMES, -1, -1, -1)
            guided = index % 6 > 0  # the others learn to do without the picture, for the unconditional half of the guidance
            sample = torch.cat([noisy / (sigma**2 + 1) ** 0.5, image * guided], 2)
            unet(sample, 0.25 * sigma.log(), embeds * guided, torch.tensor([[6, 127, 0.02]]))
            targets.append(((clean - noisy / (sigma**2 + 1)) * -((sigma**2 + 1) ** 0.5) / sigma)[0])

    features = inputs_of(unet.conv_out, predict_all)
    fit(unet.conv_out, features, torch.cat(targets))


def main(folder: Path) -> None:
    pipe = components()
    videos = clips(np.random.default_rng(0))
    fit_vae(pipe.vae, videos)
    fit_unet(pipe, videos)
    pipe.to(torch.float16).save_pretrained(folder)


if __name__ == '__main__':
    torch.set_grad_enabled(False)
    main(Path(sys.argv[1]))
