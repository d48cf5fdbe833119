"""
Writes test/fixtures/verify/shipped-model.safetensors, a reference for `svd verify`, by the command that users run.

The size is the smallest whose latents have two pixels, so that the outputs of all blocks stay below half a megabyte. Deep in the UNet, a
group of a normalisation has two values then. Where these are nearly equal, rounding becomes large: with many seeds, diffusers in float32 is
more than 3e-5 away from diffusers in float64. With this one it is 3e-6 away in the first step, and less in the VAE.
"""

import os
import subprocess
import sys

from common import ROOT

COMMAND = 'examples/pictures/toy-rocket.png --model weights/tiny --seed 25 --height 8 --width 16 --num-frames 2 --num-inference-steps 3 --blocks'


def write(folder):
    output = folder / 'verify' / 'shipped-model.safetensors'
    output.parent.mkdir(parents=True, exist_ok=True)
    script = 'src/verification/dump_reference.py'
    one_thread = {**os.environ, 'OMP_NUM_THREADS': '1'}  # as in common.py
    subprocess.run([sys.executable, script, *COMMAND.split(), '--output', output.resolve()], check=True, cwd=ROOT, env=one_thread)
    output.chmod(0o644)
