"""Writes test/fixtures/checkpoints/dtypes*.safetensors, float8.safetensors and half.json: the values of checkpoint types in safetensors and torch."""

import hashlib
import json

import torch
from safetensors.torch import save_file

halves = torch.arange(65536, dtype=torch.int32).to(torch.int16)


def digest(tensor):
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def widened(dtype):
    wide = halves.view(dtype).float()
    return digest(torch.where(wide.isnan(), torch.tensor(float("nan")), wide).view(torch.int32))


def narrowed(dtype, nan):
    # 2^20 bit patterns spread over all of float32, and those next to and halfway between neighbouring halves.
    spread = torch.arange(2**20, dtype=torch.int64) * 4099 % 2**32
    near = halves.view(dtype).float().view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    unit = 1 << (13 if dtype == torch.float16 else 16)
    bits = torch.cat([spread] + [(near + d) % 2**32 for d in (-1, 1, unit // 2 - 1, unit // 2, unit // 2 + 1)])
    wide = torch.where(bits >= 2**31, bits - 2**32, bits).to(torch.int32).view(torch.float32)
    narrow = wide.to(dtype).view(torch.int16)
    return digest(torch.where(wide.isnan(), torch.tensor(nan, dtype=torch.int16), narrow))


def write(folder):
    out = folder / "checkpoints"
    out.mkdir(parents=True, exist_ok=True)

    # Zeros, subnormals, infinities, ties to even both ways, the edges of overflow and underflow of both half types.
    edges = [0, -0.0, 1, -1, 1.0009765625, 1.00048828125, 1.00146484375, 65504, 65519.99, 65520, -65520, 1e30, -1e30, float("inf"), -float("inf")]
    edges += [6.103515625e-05, 6.1005353927612305e-05, 2.0**-24, 2.0**-25, 2.0**-25 * 1.0000001, 2.0**-24 * 1.5, 2.0**-24 * 2.5, 1e-8, 1e-40]
    edges += [3.3895313892515355e38, 3.4028234663852886e38, 1.00390625, 1.01171875, 3.14159265]
    values = torch.tensor(edges, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 7, generator=generator)

    tensors = {
        "edges.f32": values,
        "edges.f16": values.half(),
        "edges.bf16": values.bfloat16(),
        "matrix.f32": matrix,
        "matrix.f16": matrix.half(),
        "matrix.bf16": matrix.bfloat16(),
        "matrix.f64": torch.randn(5, 7, generator=generator, dtype=torch.float64),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "long": torch.tensor([1, -2, 2**40]),
        "byte": torch.tensor([1, 2, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "0": torch.tensor([1.0]),
        "ünïcode \U0001f680 \"quoted\"\n": torch.tensor([2.0]),
        "\uff5e": torch.tensor([3.0]),
    }
    save_file(tensors, out / "dtypes.safetensors", metadata={"format": "pt"})
    floating = {k: v.float() for k, v in tensors.items() if v.is_floating_point()}
    save_file(floating, out / "dtypes-as-float32.safetensors")

    # All codes of the 8-bit types, and what they are in float32.
    codes = torch.arange(256, dtype=torch.uint8)
    float8 = {
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
        "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
        "F8_E8M0": torch.float8_e8m0fnu,
    }
    narrow = {name: codes.view(dtype).clone() for name, dtype in float8.items()}
    wide = {f"{name}.f32": values.float() for name, values in narrow.items()}
    save_file(narrow | wide, out / "float8.safetensors")

    # Digests of conversions far too many to store. Not-a-number becomes one value first, because no library promises its payload.
    result = {
        "widenF16": widened(torch.float16),
        "widenBF16": widened(torch.bfloat16),
        "toF16": narrowed(torch.float16, 0x7E00),
        "toBF16": narrowed(torch.bfloat16, 0x7FC0),
    }
    (out / "half.json").write_text(json.dumps(result, indent=2) + "\n")
