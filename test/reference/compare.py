"""
Runs the command line and diffusers on the same checkpoints, photographs and seeds, and compares them stage by stage:

    python test/reference/compare.py [--backend wasm ...] [--case NAME ...] [--keep DIR]

Build the package first. Exits with 1 if any stage is out of tolerance.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from diffusers import StableVideoDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors.numpy import load_file

from common import IMAGES, ROOT, relative_distance, save, tensor
from dump_reference import run_with_stages
from images import CAT, COFFEE, ROCKET, load
from pipelines import DEEP, pipeline

BASE = dict(height=72, width=104, num_frames=4, num_inference_steps=3)
LATENTS = (1, 4, 4, 9, 13)
TOY = ROOT / 'examples' / 'pictures' / 'toy-rocket.png'

# Checkpoint, pictures, seeds, and the other arguments in diffusers' names; `latents` and `forward_chunking` stand for what they name.
CASES: dict[str, tuple[str, list[str | Path], list[int], dict]] = {
    'guidance': ('single', [ROCKET], [42], BASE),
    'no-guidance': ('single', [ROCKET], [42], {**BASE, 'max_guidance_scale': 1.0}),
    'two-videos': ('single', [CAT], [3], {**BASE, 'num_videos_per_prompt': 2}),
    'two-videos-two-generators': ('single', [CAT], [3, 4], {**BASE, 'num_videos_per_prompt': 2}),
    'custom-sigmas': ('single', [COFFEE], [42], {**BASE, 'sigmas': [700.0, 54.5, 7.977, 0.403, 0.002, 0.0]}),
    'two-images-two-generators': ('single', [COFFEE, ROCKET], [1, 2], BASE),
    'two-images-one-generator': ('single', [COFFEE, ROCKET], [1], BASE),
    'sharded': ('sharded', [CAT], [5], BASE),
    'fp16': ('fp16', [ROCKET], [5], BASE),
    'conditioning': (
        'single',
        [CAT],
        [6],
        {**BASE, 'fps': 12, 'motion_bucket_id': 200, 'noise_aug_strength': 0.1, 'min_guidance_scale': 1.5, 'max_guidance_scale': 2.5},
    ),
    'decode-chunk': ('single', [CAT], [6], {**BASE, 'decode_chunk_size': 3}),
    'given-latents': ('single', [CAT], [6], {**BASE, 'latents': LATENTS}),
    'forward-chunking': ('single', [ROCKET], [42], {**BASE, 'forward_chunking': 1}),
    'latent-output': ('single', [ROCKET], [2**40 + 7], {**BASE, 'output_type': 'latent'}),
    # Trained weights have another spread than random ones: ten seeds of the checkpoint of the package, as users run it.
    **{
        f'tiny-{seed}': ('tiny', [TOY], [seed], {'height': 64, 'width': 64, 'num_frames': 8, 'num_inference_steps': 20})
        for seed in range(10)
    },
}

# Largest relative L2 distance per stage; the default is that of latents and frames. Noise is equal but for its last bit.
TOLERANCES = {'image_embeddings': 3e-5, 'image_latents': 3e-5, 'image_noise': 1e-6, 'initial_latents': 1e-6, 'added_time_ids': 1e-6}
DEFAULT_TOLERANCE = 1e-4
EQUAL_SHARE, LARGEST_STEP = 0.995, 1


def checkpoint(kind: str, folder: Path) -> Path:
    """The folder of one checkpoint, written by `save_pretrained` at its first use."""
    if kind == 'tiny':
        return ROOT / 'weights' / 'tiny'
    path = folder / kind
    if not path.exists():
        pipe = pipeline(DEEP)
        if kind == 'fp16':
            pipe.to(torch.float16).save_pretrained(path, variant='fp16')
        else:
            pipe.save_pretrained(path, **({'max_shard_size': '1MB'} if kind == 'sharded' else {}))
    return path


def reference(case: str, model: Path) -> dict[str, np.ndarray]:
    """The stages as diffusers computes them in float32."""
    kind, images, seeds, arguments = CASES[case]
    pipe = StableVideoDiffusionPipeline.from_pretrained(model, dtype=torch.float32, variant='fp16' if kind == 'fp16' else None)
    pipe.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    given = {'output_type': 'np', **{key: value for key, value in arguments.items() if key != 'forward_chunking'}}
    if 'latents' in given:
        given['latents'] = tensor('compare.latents', LATENTS, -1.7, 1.7)
    if 'forward_chunking' in arguments:
        pipe.unet.enable_forward_chunking(arguments['forward_chunking'])
    stages = run_with_stages(pipe, [load(image) for image in images], generator=generators if len(seeds) > 1 else generators[0], **given)
    named = {key: value.numpy() for key, value in stages.items() if key != 'latents'}
    return {**named, **{f'output.{key}': stages[key].numpy() for key in ('latents', 'frames') if key in stages}}


def ours(case: str, backend: str, model: Path, folder: Path, program: str) -> dict[str, np.ndarray]:
    """The same stages from the command line. Raises with its message if it fails."""
    kind, images, seeds, arguments = CASES[case]
    output, dump = (folder / f'{case}-{backend}-{name}.safetensors' for name in ('output', 'stages'))
    command = ['node', program, 'generate', *(str(IMAGES / image) for image in images), '--model', str(model)]
    command += ['--output', str(output), '--dump', str(dump), '--backend', backend, '--quiet']
    command += [word for seed in seeds for word in ('--seed', str(seed))] + (['--variant', 'fp16'] if kind == 'fp16' else [])
    for key, value in arguments.items():
        if key == 'latents':
            value = folder / 'given-latents.safetensors'
            save(value, {'latents': tensor('compare.latents', LATENTS, -1.7, 1.7)}, {})
        command += [f'--{key.replace("_", "-")}', ','.join(map(str, value)) if isinstance(value, list) else str(value)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0 or not dump.exists() or not output.exists():
        raise RuntimeError(
            f'exit code {done.returncode} and {"" if output.exists() else "no "}output: {(done.stderr or done.stdout).strip()}'
        )
    return {**load_file(dump), **{f'output.{key}': value for key, value in load_file(output).items()}}


def row(stage: str, value: np.ndarray | None, truth: np.ndarray) -> tuple[list[str], bool]:
    """One line of the table, and whether the stage is within tolerance."""
    if value is None or value.shape != truth.shape:
        return ['missing' if value is None else f'shape {list(value.shape)}, not {list(truth.shape)}', '', '', ''], False
    distance = relative_distance(value, truth)
    good = distance <= TOLERANCES.get(stage, DEFAULT_TOLERANCE)
    cells = [f'{distance:.1e}', f'{np.abs(value - truth).max():.1e}', '', '']
    if stage.endswith('frames'):
        steps = np.abs(np.round(value * 255) - np.round(truth * 255))
        share, largest = float((steps == 0).mean()), int(steps.max())
        good = good and share >= EQUAL_SHARE and largest <= LARGEST_STEP
        cells[2:] = [f'{share:.3%}', str(largest)]
    return cells, good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--backend', action='append', help='tensorflow, webgpu, wasm or cpu; may be repeated. Default: wasm')
    parser.add_argument('--case', action='append', choices=CASES, help='may be repeated. Default: all')
    parser.add_argument('--keep', type=Path, help='keep checkpoints and outputs in this folder, and use checkpoints that are there')
    parser.add_argument('--program', default='dist/src/cli/main.js', help='the built command, relative to the repository')
    options = parser.parse_args()
    diffusers_logging.disable_progress_bar()
    transformers.logging.disable_progress_bar()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        print(f'{"case":26} {"backend":10} {"stage":16} {"relative L2":>11} {"max abs":>8} {"8-bit equal":>11} {"off by":>6}')
        for case in options.case or CASES:
            model = checkpoint(CASES[case][0], folder)
            truth = reference(case, model)
            for backend in options.backend or ['wasm']:
                try:
                    values = ours(case, backend, model, folder, options.program)
                except RuntimeError as error:
                    failed += 1
                    print(f'{case:26} {backend:10} FAILED with {error}')
                    continue
                for stage, wanted in truth.items():
                    cells, good = row(stage, values.get(stage), wanted)
                    failed += not good
                    print(
                        f'{case:26} {backend:10} {stage:16} {cells[0]:>11} {cells[1]:>8} {cells[2]:>11} {cells[3]:>6}{"" if good else "  OUT OF TOLERANCE"}',
                        flush=True,
                    )
    print('all within tolerance' if failed == 0 else f'{failed} out of tolerance')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
