"""Shared by the fixture scripts: numbers that follow from names, and the fixture file format."""

import copy
import json
import struct
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / 'test' / 'fixtures'
IMAGES = FIXTURES / 'images'
VERSIONS = {'diffusers': diffusers.__version__, 'torch': torch.__version__.split('+')[0], 'transformers': transformers.__version__}

sys.path.append(str(ROOT / 'src' / 'verification'))  # dump_reference.py

MULTIPLIER, INCREMENT = 1664525, 1013904223

torch.set_num_threads(1)  # the sums in the fixtures must not depend on the machine's number of cores
torch.manual_seed(0)
torch.set_grad_enabled(False)


def fnv1a(name: str) -> int:
    """32-bit FNV-1a hash of the UTF-8 name."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def uniform(seed: int | str, count: int) -> np.ndarray:
    """The first `count` values in [-1, 1) (float64) of the 32-bit LCG seeded by `seed`, or by the hash of a name."""
    # n steps of s -> a*s + c are one step s -> A[n]*s + C[n]; the tables of A and C double in length each turn.
    a, c = np.array([MULTIPLIER], np.uint32), np.array([INCREMENT], np.uint32)
    while len(a) < count:
        a, c = np.concatenate([a, a * a[-1]]), np.concatenate([c, a * c[-1] + c])
    state = a[:count] * np.uint32(fnv1a(seed) if isinstance(seed, str) else seed) + c[:count]
    return state / 2.0**32 * 2 - 1


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The value of a weight, from its full state-dict key: gains near 1, small biases, unit-gain matrices."""
    values = uniform(key, int(np.prod(shape))).reshape(shape)
    if key.endswith(('mix_factor', 'class_embedding', 'position_embedding.weight')):
        pass
    elif len(shape) == 1:
        values = 0.1 * values + (1 if key.endswith('weight') else 0)
    else:
        values = values * np.sqrt(3 * shape[0] / values.size)
    return torch.from_numpy(values.astype(np.float32))


def with_hashed_weights(module: torch.nn.Module) -> torch.nn.Module:
    """Fills every weight and buffer of `module` by `weight` and switches it to inference."""
    module.load_state_dict({key: weight(key, tuple(value.shape)) for key, value in module.state_dict().items()})
    return module.eval()


def tensor(name: str, shape: tuple[int, ...], low: float = -1, high: float = 1) -> torch.Tensor:
    """An input tensor, evenly spread over [low, high]."""
    values = low + (uniform(name, int(np.prod(shape))) + 1) / 2 * (high - low)
    return torch.from_numpy(values.reshape(shape).astype(np.float32))


def relative_distance(value: np.ndarray, reference: np.ndarray) -> float:
    """L2 norm of the difference, relative to the L2 norm of `reference`."""
    return float(np.linalg.norm(np.float64(value) - reference) / max(np.linalg.norm(np.float64(reference)), 1e-30))


def float64_distance(module: torch.nn.Module, run, inputs: dict) -> float:
    """How far float32 arithmetic by itself moves the outputs: the largest relative L2 distance from a float64 run."""
    double = lambda value: value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
    single = run(module, inputs)
    exact = run(copy.deepcopy(module).double(), {key: double(value) for key, value in inputs.items()})
    return max(relative_distance(single[key].numpy(), exact[key].numpy()) for key in single)


def save(path: Path, tensors: dict[str, torch.Tensor], metadata: dict) -> None:
    """
    Writes one fixture: float32 tensors, and metadata as JSON strings. Written by hand because the safetensors package orders
    metadata at random: a fixture that didn't change must not change in git.
    """
    arrays = {key: np.ascontiguousarray(value.detach().numpy(), '<f4') for key, value in sorted(tensors.items())}
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in {**metadata, 'versions': VERSIONS}.items()}
    header, offset = {'__metadata__': text}, 0
    for key, array in arrays.items():
        header[key] = {'dtype': 'F32', 'shape': array.shape, 'data_offsets': [offset, offset + array.nbytes]}
        offset += array.nbytes
    encoded = json.dumps(header, separators=(',', ':')).encode()
    encoded += b' ' * (-len(encoded) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack('<Q', len(encoded)) + encoded + b''.join(array.tobytes() for array in arrays.values()))


def check_numbers() -> None:
    """Self-check of the number rule against values computed elsewhere."""
    assert np.allclose(uniform(1, 4), [-0.527088949, -0.261458653, 0.008484065, 0.409766527], atol=1e-9)
    assert fnv1a('conv_in.weight') == 2984744775
    assert np.allclose(uniform('conv_in.weight', 4), [-0.364046576, -0.155501, -0.830084654, -0.185849736], atol=1e-9)
