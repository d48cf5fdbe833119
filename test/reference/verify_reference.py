"""
Writes references for `svd verify` of weights/tiny into test/fixtures/verify, by the command that users run.

`shipped-model` has every block. The size is the smallest whose latents have two pixels, so that the outputs of all blocks stay below half a megabyte. Deep in the UNet, a
group of a normalisation has two values then. Where these are nearly equal, rounding becomes large: with many seeds, diffusers in float32 is
more than 3e-5 away from diffusers in float64. With this one it is 3e-6 away in the first step, and less in the VAE.

`two-videos` is decoded in chunks of which one has frames of both videos. `dark-picture` is flat and nearly black, so that the encoder of
diffusers is far from float64. `dpmpp-2m-sde` has another scheduler, which draws noise for each of two videos from a generator of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT
from PIL import Image

ROCKET = 'examples/pictures/toy-rocket.png'
SDE = dict(_class_name='EDMDPMSolverMultistepScheduler', algorithm_type='sde-dpmsolver++', prediction_type='v_prediction', sigma_data=1, sigma_max=700)
COMMANDS = {
    'shipped-model': f'{ROCKET} --seed 25 --height 8 --width 16 --num-frames 2 --num-inference-steps 3 --blocks',
    'two-videos': f'{ROCKET} --seed 1 --height 16 --width 16 --num-frames 3 --num-inference-steps 1 --num-videos-per-prompt 2 --decode-chunk-size 2',
    'dpmpp-2m-sde': f'{ROCKET} --seed 1 --seed 2 --height 16 --width 16 --num-frames 2 --num-inference-steps 3 --num-videos-per-prompt 2 '
    f'--scheduler {json.dumps(SDE, separators=(",", ":"))}',
    'dark-picture': 'DARK --seed 1 --height 64 --width 64 --num-frames 2 --num-inference-steps 1 --noise-aug-strength 0',
}


def write(folder):
    target = folder / 'verify'
    target.mkdir(parents=True, exist_ok=True)
    script = 'src/verification/dump_reference.py'
    one_thread = {**os.environ, 'OMP_NUM_THREADS': '1'}  # as in common.py
    with tempfile.TemporaryDirectory() as temporary:
        dark = Path(temporary) / 'dark.png'
        Image.new('RGB', (64, 64), (2, 2, 3)).save(dark)
        for name, command in COMMANDS.items():
            output = target.resolve() / f'{name}.safetensors'
            words = command.replace('DARK', str(dark)).split()
            subprocess.run([sys.executable, script, *words, '--model', 'weights/tiny', '--output', output], check=True, cwd=ROOT, env=one_thread)
            output.chmod(0o644)
