"""Results of Pillow, torch and diffusers for small pictures: resizing, preprocessing and conversion to bytes."""
import base64
import json
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from diffusers.video_processor import VideoProcessor
from PIL import Image
from transformers import CLIPImageProcessor

from common import tensor, uniform

NEAREST = [(5, 8), (8, 5), (3, 5), (7, 14), (40, 23), (224, 576), (1000, 999), (997, 1024), (41, 1681), (1, 6), (6, 1), (4096, 4097)]
LANCZOS = [(64, 48), (31, 17), (120, 90), (83, 61), (83, 30), (40, 61), (1, 1), (300, 2), (90, 60), (73, 40), (73, 41)]
# (height, width) of the picture and of the result.
ANTIALIASED = [((40, 61), (16, 20)), ((13, 17), (32, 24)), ((90, 7), (9, 12)), ((2, 2), (5, 3)), ((24, 24), (24, 24)), ((150, 200), (11, 1))]


def encode(values: torch.Tensor | np.ndarray) -> dict:
    array = np.ascontiguousarray(values, np.float32)
    return {'shape': list(array.shape), 'data': base64.b64encode(array.tobytes()).decode()}


def channels_last(values: torch.Tensor) -> np.ndarray:
    return values.permute(0, 2, 3, 1).numpy()


def picture(name: str, width: int, height: int) -> Image.Image:
    """A picture of noise whose bytes follow from its name."""
    values = np.floor((uniform(name, width * height * 3) + 1) / 2 * 256)
    return Image.fromarray(values.astype(np.uint8).reshape(height, width, 3))


def nearest() -> list[dict]:
    indices = lambda a, b: torch.nn.functional.interpolate(torch.arange(a).float()[None, None, None], size=(1, b))[0, 0, 0].int()
    return [{'from': a, 'to': b, 'indices': indices(a, b).tolist()} for a, b in NEAREST]


def lanczos(folder: Path) -> None:
    """From a photograph, which `resampled/input.png` holds too."""
    image = Image.open(folder / 'jpeg_420.jpg').convert('RGB')
    (folder / 'resampled').mkdir(exist_ok=True)
    image.save(folder / 'resampled' / 'input.png', optimize=True)
    for size in LANCZOS:
        image.resize(size, Image.Resampling.LANCZOS).save(folder / 'resampled' / f'{size[0]}x{size[1]}.png', optimize=True)


def antialiased() -> list[dict]:
    result = []
    for (h, w), size in ANTIALIASED:
        name = f'antialias.{h}x{w}'
        result.append({'name': name, 'from': [h, w], 'to': size, 'output': encode(channels_last(_resize_with_antialiasing(tensor(name, (2, 3, h, w)), size)))})
    return result


def clip(image: Image.Image, size: int) -> torch.Tensor:
    """The CLIP branch of `StableVideoDiffusionPipeline._encode_image`, with the size as an argument."""
    processor = VideoProcessor(do_resize=True, vae_scale_factor=8)
    values = processor.numpy_to_pt(processor.pil_to_numpy(image))
    values = (_resize_with_antialiasing(values * 2.0 - 1.0, (size, size)) + 1.0) / 2.0
    return CLIPImageProcessor()(
        images=values, do_normalize=True, do_center_crop=False, do_resize=False, do_rescale=False, return_tensors='pt'
    ).pixel_values


def write(folder: Path) -> None:
    folder = folder / 'media'
    lanczos(folder)
    processor = VideoProcessor(do_resize=True, vae_scale_factor=8)
    small, large = picture('media.small', 20, 15), picture('media.large', 70, 50)
    values = tensor('media.values', (1, 3, 10, 12), 0, 1)
    signed = tensor('media.signed', (1, 3, 10, 12))
    steps = np.arange(0, 1 + 1 / 1020, 1 / 1020, dtype=np.float32)  # every byte, and the ties between them
    bytes_of = np.array(processor.numpy_to_pil(np.repeat(steps.reshape(1, 1, -1, 1), 3, -1))[0])[0, :, 0]
    numbers = {
        'nearest': nearest(),
        'antialiased': antialiased(),
        'clip': {name: encode(channels_last(clip(image, 24))) for name, image in (('media.small', small), ('media.large', large))},
        'vae': {name: encode(channels_last(processor.preprocess(image, 24, 32))) for name, image in (('media.small', small), ('media.large', large))},
        'vae_values': encode(channels_last(processor.preprocess(values, 24, 16))),
        'vae_signed': encode(channels_last(processor.preprocess(signed, 24, 16))),
        'bytes': {'values': encode(steps), 'bytes': bytes_of.tolist()},
    }
    (folder / 'resizing.json').write_text(json.dumps(numbers) + '\n')
