"""
Writes the fixtures that diffusers, torch and Pillow make: python test/reference/generate.py [group ...] [--check].

With --check it writes into a temporary folder instead and compares with the stored fixtures.
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open

from common import FIXTURES, relative_distance

HERE = Path(__file__).parent
# Fixtures made on another processor differ by the order of its sums: up to 4e-6 was seen in sampled latents.
TOLERANCE = 2e-5


def modules() -> dict[str, list[str]]:
    """The scripts of each group, in the order of generation: every script with a function `write(folder)`, by the first word of its name."""
    groups: dict[str, list[str]] = {'images': []}  # pictures first: the pipelines read them
    for path in sorted(HERE.glob('*.py')):
        if '\ndef write(' in path.read_text():
            groups.setdefault(path.stem.split('_')[0], []).append(path.stem)
    return groups


def differences(stored: Path, fresh: Path) -> list[str]:
    """The differences between two versions of one fixture, in words."""
    if stored.read_bytes() == fresh.read_bytes():
        return []
    if stored.suffix != '.safetensors':
        return ['other bytes']
    with safe_open(stored, 'pt') as a, safe_open(fresh, 'pt') as b:
        if set(a.keys()) != set(b.keys()):
            return [f'other tensors: {sorted(set(a.keys()) ^ set(b.keys()))}']
        without_distance = lambda metadata: {key: value for key, value in (metadata or {}).items() if key != 'float64_distance'}
        found = [] if without_distance(a.metadata()) == without_distance(b.metadata()) else ['other metadata']
        for key in a.keys():
            old, new = a.get_tensor(key), b.get_tensor(key)
            if old.shape != new.shape or old.dtype != new.dtype:
                found.append(f'{key}: {new.dtype} {list(new.shape)}, stored {old.dtype} {list(old.shape)}')
            elif not torch.equal(old, new) and not (distance := relative_distance(new.double().numpy(), old.double().numpy())) <= TOLERANCE:
                found.append(f'{key}: relative distance {distance:.1e}')
        return found


def check(folder: Path) -> int:
    """Compares every fresh file with the stored one; prints what differs and returns how many files do."""
    paths, failed = [path for path in sorted(folder.rglob('*')) if path.is_file()], 0
    for fresh in paths:
        stored = FIXTURES / fresh.relative_to(folder)
        found = differences(stored, fresh) if stored.exists() else ['not stored']
        failed += bool(found)
        for line in found:
            print(f'{fresh.relative_to(folder)}: {line}')
    print(f'{len(paths) - failed} of {len(paths)} files are as stored')
    return failed


def main() -> int:
    groups = modules()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('groups', nargs='*', metavar='group', help=f'one or more of {", ".join(groups)}; default: all')
    parser.add_argument('--check', action='store_true', help='compare with the stored fixtures, change nothing')
    options = parser.parse_args()
    if unknown := set(options.groups) - set(groups):
        parser.error(f'there is no group {", ".join(sorted(unknown))}: choose from {", ".join(groups)}')
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if options.check else FIXTURES
        for group in options.groups or groups:
            for module in groups[group]:
                print(f'{group}: {module}', flush=True)
                importlib.import_module(module).write(folder)
        return min(check(folder), 1) if options.check else 0


if __name__ == '__main__':
    sys.exit(main())
