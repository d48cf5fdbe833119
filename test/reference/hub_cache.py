"""
Checks that this package and huggingface_hub share one cache: each downloads a model from a local server, and the other one finds it there
without asking anybody.

    python test/reference/hub_cache.py

Build the package first.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL, FOLDER = 'some-org/some-model', ROOT / 'weights' / 'tiny'


def svd(cache: Path, *arguments: str, **env: str) -> str:
    """Runs `svd download` and returns the folder that it prints."""
    command = ['node', str(ROOT / 'dist/src/cli/main.js'), 'download', MODEL, '--cache-dir', str(cache), *arguments]
    return subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True).stdout.strip()


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary, 'requests')
        with log.open('w') as output:
            script = str(ROOT / 'test/checkpoints/hub/serve.ts')
            server = subprocess.Popen(['node', '--import', 'tsx', script, str(FOLDER)], cwd=ROOT, stdout=output)
        try:
            while not (lines := log.read_text().splitlines()):
                assert server.poll() is None, 'the server has ended'
            os.environ['HF_ENDPOINT'] = lines[0]
            os.environ['HF_HOME'] = temporary
            check(Path(temporary, 'ours'), Path(temporary, 'theirs'), lambda: len(log.read_text().splitlines()))
        finally:
            server.terminate()
    print('both caches are read by both')
    return 0


def check(ours: Path, theirs: Path, requests) -> None:
    from diffusers import StableVideoDiffusionPipeline  # after the environment is set, because they read it when imported
    from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

    # huggingface_hub reads our downloads.
    folder = svd(ours)
    before = requests()
    files = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob('*') if path.is_file())
    assert snapshot_download(MODEL, cache_dir=ours, local_files_only=True, allow_patterns=files) == folder
    for file in files:
        path = hf_hub_download(MODEL, file, cache_dir=ours, local_files_only=True)
        assert path == f'{folder}/{file}' and Path(path).read_bytes() == (FOLDER / file).read_bytes(), path
    scanned = scan_cache_dir(ours)
    assert not scanned.warnings, scanned.warnings
    (repository,) = scanned.repos
    assert repository.repo_id == MODEL and list(repository.refs) == ['main'], repository
    pipe = StableVideoDiffusionPipeline.from_pretrained(MODEL, cache_dir=ours, local_files_only=True)
    assert pipe.unet.config.num_frames == json.loads((FOLDER / 'unet/config.json').read_text())['num_frames']
    # With the network, it finds nothing left to fetch.
    assert snapshot_download(MODEL, cache_dir=ours, allow_patterns=files) == folder
    assert requests() == before, 'huggingface_hub has fetched again'

    # We find the downloads of huggingface_hub.
    snapshot = snapshot_download(MODEL, cache_dir=theirs, allow_patterns=files)
    before = requests()
    assert svd(theirs, HF_HUB_OFFLINE='1') == snapshot
    assert svd(theirs) == snapshot
    assert requests() == before, 'svd has fetched again'
    own = {'trees', '.locks'}  # what they keep besides
    layout = lambda cache: sorted(str(path.relative_to(cache)) for path in cache.rglob('models--*/**/*') if not own & set(path.parts))
    assert layout(ours) == layout(theirs), set(layout(ours)) ^ set(layout(theirs))


if __name__ == '__main__':
    sys.exit(main())
