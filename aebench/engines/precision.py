"""Precision: set in one place, once per job, and read back from torch for the record.

torch's defaults are unfair across architectures (IEEE float32 for matrix products, TF32 for
cuDNN's convolutions), so both switches are always set together. Only these two switches are
used: mixing them with the newer `fp32_precision` settings makes torch's compiler raise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def set_precision(precision: str) -> None:
    """Make `fp32`, `tf32` or `bf16` what this process computes in."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context to run a forward pass in: bfloat16 autocast for `bf16`, nothing otherwise."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Compute in IEEE float32 inside the block, and as before after it."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_precision("fp32")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def read_precision(precision: str) -> str:
    """What torch says of itself now, for the record."""
    matmul = torch.get_float32_matmul_precision()
    cudnn = "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"
    cast = " autocast=bfloat16" if precision == "bf16" else ""
    return f"matmul={matmul} cudnn={cudnn}{cast}"
