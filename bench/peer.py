"""The other side of the benchmark: diffusers on the same case, answering each line with seconds and peak memory as JSON."""
import json
import pathlib
import re
import sys
import time

import torch
from diffusers import UNetSpatioTemporalConditionModel

case = json.loads((pathlib.Path(__file__).parent / 'cases.json').read_text())[sys.argv[1]]
torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(0)
frames = case['frames']
unet = UNetSpatioTemporalConditionModel(num_frames=frames).eval()
sample = torch.randn(1, frames, 8, case['height'], case['width'])
inputs = (sample, 1.25, torch.randn(1, 1, 1024), torch.tensor([[6, 127, 0.02]]))
print('ready', flush=True)
with torch.inference_mode():
    for _ in sys.stdin:
        start = time.perf_counter()
        unet(*inputs)
        seconds = time.perf_counter() - start
        peak = 1024 * int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1])
        print(json.dumps({'seconds': seconds, 'peakBytes': peak}), flush=True)
