"""The distance of diffusers in half precision from diffusers in float32, per case, type and stage: the most that ours may differ."""

import json
from pathlib import Path

import torch
from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as module

from common import VERSIONS, relative_distance
from pipelines import run_case

CASES = ['conditioning', 'default-guidance', 'odd-latents-8x']
TYPES = {'float16': torch.float16, 'bfloat16': torch.bfloat16}


def distances(name: str, dtype: torch.dtype) -> dict[str, float]:
    """Relative L2 distance of each stage. The noise is drawn in float32 and rounded: in half precision, torch draws other numbers."""
    reference, _ = run_case(name)
    draw = module.randn_tensor
    module.randn_tensor = lambda shape, dtype, **rest: draw(shape, dtype=torch.float32, **rest).to(dtype)
    try:
        stages, _ = run_case(name, dtype)
    finally:
        module.randn_tensor = draw
    compared = ['image_embeddings', 'image_latents', 'latents', 'frames']
    return {key: float(f'{relative_distance(stages[key].float().numpy(), reference[key].numpy()):.2g}') for key in compared}


def write(folder: Path) -> None:
    """Writes `half-precision.json`."""
    found = {name: {label: distances(name, dtype) for label, dtype in TYPES.items()} for name in CASES}
    (folder / 'half-precision.json').write_text(json.dumps({'versions': VERSIONS, **found}, indent=2) + '\n')
