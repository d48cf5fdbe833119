"""Numbers of torch's CPU generator: shapes below and above 16 values, tails, mixed sequences of calls, seeds up to 64 bits."""
import base64
import hashlib
import json
from pathlib import Path

import torch
from diffusers.utils.torch_utils import randn_tensor

SEEDS = [0, 1, 42, 1234567, 2**32 - 1, 2**32, 2**53 + 1, 2**63, 2**64 - 1, -1, -5, -(2**63)]
SEQUENCES = {
    'odd normals are kept over small calls': [[3], [1], [2], [5], [4]],
    'odd normals are kept over a large call': [[3], [16], [1], [17], [2]],
    'large after large': [[16], [20], [2, 3, 4], [64]],
    'nothing': [[0], [3], [2, 0], [1]],
    'a scalar': [[], [16], []],
}
BIG = [1, 25, 4, 72, 128]


def bits(values: torch.Tensor) -> str:
    """Little-endian float32 in base64."""
    return base64.b64encode(values.contiguous().numpy().astype('<f4').tobytes()).decode()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator('cpu').manual_seed(seed)


def state(generator: torch.Generator) -> str:
    """SHA-256 of the bytes of its state."""
    return hashlib.sha256(generator.get_state().numpy().tobytes()).hexdigest()


def write(folder: Path) -> None:
    large = torch.randn(BIG, generator=seeded(42)).flatten()
    picked = list(range(0, large.numel(), 9973)) + [large.numel() - 1]
    lists = [seeded(7), seeded(8), seeded(9)]
    goldens = {
        'torch': torch.__version__.split('+')[0],
        'seeds': [
            {'seed': str(seed), 'initialSeed': str(seeded(seed).initial_seed()), 'small': bits(torch.randn(5, generator=seeded(seed))), 'large': bits(torch.randn(24, generator=seeded(seed)))}
            for seed in SEEDS
        ],
        'lengths': [bits(torch.randn(length, generator=seeded(1000 + length))) for length in range(1, 41)],
        'sequences': {name: [{'shape': shape, 'values': bits(torch.randn(shape, generator=g)), 'state': state(g)} for shape in shapes] for name, shapes in SEQUENCES.items() for g in [seeded(3)]},
        'run': {'seed': 2024, 'values': bits(torch.randn(4096 + 7, generator=seeded(2024)))},
        'big': {
            'seed': 42,
            'shape': BIG,
            'picked': picked,
            'values': bits(large[picked]),
            # The sum of the bit patterns shows a difference in any bit.
            'checksum': str(int(large.view(torch.int32).to(torch.int64).sum())),
        },
        'tensors': [
            {'seeds': [5], 'list': False, 'shape': [2, 3, 4, 2, 3], 'values': bits(randn_tensor((2, 3, 4, 2, 3), seeded(5)).permute(0, 1, 3, 4, 2))},
            {'seeds': [5], 'list': True, 'shape': [2, 3, 4, 2, 3], 'values': bits(randn_tensor((2, 3, 4, 2, 3), [seeded(5)]).permute(0, 1, 3, 4, 2))},
            {'seeds': [7, 8, 9], 'list': True, 'shape': [2, 3, 5, 4], 'values': bits(randn_tensor((2, 3, 5, 4), lists).permute(0, 2, 3, 1))},
            {'seeds': [7, 8], 'list': True, 'shape': [2, 9], 'values': bits(randn_tensor((2, 9), [seeded(7), seeded(8)]))},
        ],
    }
    folder = folder / 'random'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'torch-randn.json').write_text(json.dumps(goldens, indent=1) + '\n')
