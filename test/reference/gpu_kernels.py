"""
Lists which kernels for graphics cards a TensorFlow has, for the operations that this package issues: python test/reference/gpu_kernels.py.

Run it in an environment with the `tensorflow` wheel for Linux, which has them (`tensorflow-cpu` has not); no graphics card is needed. It puts
the list of that version into `test/fixtures/gpu-kernels.json`. An operation that a test misses there goes into OPERATIONS below.
"""

import itertools
import json
import os
from pathlib import Path

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'

import tensorflow  # noqa: E402
from tensorflow.core.framework.types_pb2 import DataType  # noqa: E402
from tensorflow.python.framework import kernels  # noqa: E402

STORED = Path(__file__).resolve().parent.parent / 'fixtures' / 'gpu-kernels.json'
TYPES = {DataType.Value(f'DT_{name.upper()}'): name for name in ('float', 'half', 'bfloat16', 'int32', 'bool')}
OPERATIONS = """
Add All BatchMatMulV2 Bitcast Cast ConcatV2 Conv2D Cos Erf Erfc EuclideanNorm ExpandDims IsFinite MatMul Maximum Mean Minimum Mul Pack PadV2
Range RealDiv Reshape ResizeNearestNeighbor Rsqrt Sigmoid Sin Slice Softmax SoftplusGrad SplitV Square Sub Sum Tile Transpose ZerosLike
""".split()


def signatures(kernel) -> list[str]:
    """The types that a kernel takes, such as `T=float Tidx=int32`: one text for each combination of those in TYPES."""
    allowed = [[f'{part.name}={TYPES[value]}' for value in part.allowed_values.list.type if value in TYPES] for part in kernel.constraint]
    return [' '.join(sorted(combination)) for combination in itertools.product(*allowed)]


def on_cards(operation: str) -> list[str]:
    """The signatures of an operation's kernels for graphics cards, but for those of other names (`label`)."""
    found = [kernel for kernel in kernels.get_registered_kernels_for_op(operation).kernel if kernel.device_type == 'GPU' and not kernel.label]
    return sorted({signature for kernel in found for signature in signatures(kernel)})


def main() -> None:
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    stored[tensorflow.__version__] = {operation: on_cards(operation) for operation in OPERATIONS}
    ordered = dict(sorted(stored.items(), key=lambda item: [int(part) for part in item[0].split('.')]))
    STORED.write_text(json.dumps(ordered, indent=1).replace('\n   ', ' ').replace('\n  ]', ' ]') + '\n')
    missing = [operation for operation, found in stored[tensorflow.__version__].items() if not found]
    print(f'TensorFlow {tensorflow.__version__}: no kernels for graphics cards of {", ".join(missing) or "none"}')


if __name__ == '__main__':
    main()
