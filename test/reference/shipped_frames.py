"""
Frames that diffusers makes with the checkpoint of the package, as shipped-model.png: a row for each seed from 0 on, a column for each frame.

    python test/reference/shipped_frames.py

To be run again whenever `weights/tiny` changes. Trained weights spread otherwise than the ones of the other fixtures, which follow from names.
"""

import numpy as np
import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image

from common import FIXTURES

ROOT = FIXTURES.parent.parent
SEEDS = 10
CALL = dict(height=64, width=64, num_frames=8, num_inference_steps=20, output_type='np')


def main() -> None:
    pipe = StableVideoDiffusionPipeline.from_pretrained(ROOT / 'weights' / 'tiny', dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    picture = Image.open(ROOT / 'examples' / 'pictures' / 'toy-rocket.png').convert('RGB')
    videos = [pipe(picture, generator=torch.Generator().manual_seed(seed), **CALL).frames[0] for seed in range(SEEDS)]
    rows = np.round(np.concatenate([np.concatenate(list(video), 1) for video in videos]) * 255).astype(np.uint8)
    Image.fromarray(rows).save(FIXTURES / 'shipped-model.png', optimize=True)


if __name__ == '__main__':
    main()
