"""
Whether diffusers loads what this package writes, and to the bit: npm run build && python test/reference/written.py

`weights/tiny` goes to TensorFlow.js artifacts and to an original file and back, and through `savePretrained`, in single precision and in half.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import StableVideoDiffusionPipeline

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / 'weights' / 'tiny'
SAVE = """
import { StableVideoDiffusionPipeline } from 'stable-video-diffusion-tfjs';
const [from, to, dtype, maxShardSize] = process.argv.slice(1);
const pipe = await StableVideoDiffusionPipeline.fromPretrained(from, { backend: 'wasm' });
await pipe.savePretrained(to, { dtype, maxShardSize: Number(maxShardSize) });
process.exit();
"""


def convert(source: Path, target: Path, to: str, *options: str) -> Path:
    subprocess.run(['node', ROOT / 'dist/src/cli/main.js', 'convert', source, target, '--to', to, '--quiet', *options], check=True, stdout=subprocess.DEVNULL)
    return target


def save(target: Path, dtype: str, shard_bytes: int) -> Path:
    subprocess.run(['node', '--input-type=module', '-e', SAVE, TINY, target, dtype, str(shard_bytes)], check=True, cwd=ROOT)
    return target


def weights(folder: Path) -> dict[str, torch.Tensor]:
    pipe = StableVideoDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    models = dict(unet=pipe.unet, vae=pipe.vae, image_encoder=pipe.image_encoder)
    return {f'{name}.{key}': value for name, model in models.items() for key, value in model.state_dict().items()}


def main() -> int:
    expected, failed = weights(TINY), 0
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        written = {
            'TensorFlow.js artifacts and back': convert(convert(TINY, work / 'tfjs', 'tfjs'), work / 'from-tfjs', 'diffusers'),
            'an original file and back': convert(
                convert(TINY, work / 'original.safetensors', 'original'), work / 'from-original', 'diffusers', '--config', TINY
            ),
            'savePretrained': save(work / 'saved', 'float32', 10**10),
            'savePretrained in half precision, sharded': save(work / 'saved-half', 'float16', 10**6),
        }
        for way, folder in written.items():
            found = weights(folder)
            same = found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)
            failed += not same
            print(f'{way}: {"the same" if same else "DIFFERENT"}')
    return failed


if __name__ == '__main__':
    sys.exit(main())
