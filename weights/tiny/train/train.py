"""
Trains everything and writes the checkpoint: python train.py FOLDER [--processes 2] [--device cuda] [--quick]

Each stage resumes from `runs/` (or $RUNS), whenever the command is run again: VAE, temporal decoder, UNet; then export and evaluation.
With --quick, two steps of each stage on a few clips show that everything works.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STAGES = {
    'train_vae.py': ['--steps', '12000'],
    'train_vae.py --clips': ['--folder', 'decoder', '--steps', '3000', '--decay', '1500', '--rate', '3e-4'],
    'train_unet.py': ['--steps', '40000'],
}
QUICK = ['--steps', '2', '--decay', '1', '--pool', '16']


def run(command: str, *arguments: str) -> None:
    script, *flags = command.split()
    print('==', command, *arguments, flush=True)
    subprocess.run([sys.executable, HERE / script, *flags, *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--processes', default='2')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--quick', action='store_true')
    args = parser.parse_args()
    if args.quick:
        os.environ.setdefault('RUNS', str(HERE / 'runs' / 'quick'))
    for stage, arguments in STAGES.items():
        run(stage, *arguments, *(QUICK if args.quick else []), '--processes', args.processes, '--device', args.device)
    run('export.py', str(args.folder))
    measured = ['--pictures', '8', '--steps', '2'] if args.quick else []
    run('../evaluate.py', '--folder', str(args.folder), '--sheets', str(args.folder / 'sheets'), *measured)


if __name__ == '__main__':
    main()
