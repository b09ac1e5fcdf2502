"""Precision as torch itself tells it, on any machine: the flags of cuDNN need no GPU to be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from aebench.engines.precision import autocast, read_precision, set_precision
from aebench.job import PRECISIONS

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def torchs_own() -> Iterator[None]:
    """Torch's switches as they were, once the test is over."""
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = cudnn


@pytest.mark.parametrize(
    ("precision", "matmul", "cudnn", "told"),
    [
        ("fp32", "highest", False, "matmul=highest cudnn=ieee"),
        ("tf32", "high", True, "matmul=high cudnn=tf32"),
        ("bf16", "highest", False, "matmul=highest cudnn=ieee autocast=bfloat16"),
    ],
)
@pytest.mark.parametrize("before", ["fp32", "tf32"])
def test_both_switches_are_set_whatever_a_job_before_left(
    before: str, precision: str, matmul: str, cudnn: bool, told: str
) -> None:
    set_precision(before)
    set_precision(precision)
    assert torch.get_float32_matmul_precision() == matmul
    assert torch.backends.cudnn.allow_tf32 is cudnn
    assert read_precision(precision) == told


def test_torchs_defaults_are_not_taken_for_either() -> None:
    """TF32 for convolutions and not for products, as torch starts: told as it is, and mended."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    assert read_precision("fp32") == "matmul=highest cudnn=tf32"
    set_precision("fp32")
    assert read_precision("fp32") == "matmul=highest cudnn=ieee"


def test_what_is_told_is_read_and_not_assumed() -> None:
    set_precision("fp32")
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    assert read_precision("fp32") == "matmul=medium cudnn=tf32"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_bf16_casts(precision: str) -> None:
    layer, image = torch.nn.Linear(4, 2), torch.rand(1, 4)
    with autocast(precision, CPU):
        output = layer(image)
    assert output.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    assert layer.weight.dtype == torch.float32
