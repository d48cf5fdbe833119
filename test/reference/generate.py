"""Writes the fixtures: python test/reference/generate.py [group ...] [--check]."""
import argparse
import importlib
import time
from pathlib import Path

from common import FIXTURES

GROUPS = ('images', 'layers', 'models', 'pipelines')

if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('groups', nargs='*', default=GROUPS)
    parser.add_argument('--folder', type=Path, default=FIXTURES)
    a = parser.parse_args()
    for group in a.groups:
        start = time.time()
        importlib.import_module(group).write(a.folder)
        print(group, round(time.time() - start, 1))
