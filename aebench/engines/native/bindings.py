"""The C++ library as Python sees it: its arguments, field by field, and what it can do here."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_int64, c_void_p
from functools import lru_cache
from typing import Any

from aebench import engines
from aebench.engines import compiler


def _fields(c_type: Any, names: str) -> tuple[tuple[str, Any], ...]:
    return tuple((name, c_type) for name in names.split())


# As in `common.h`, `panels.h`, `mlp.h`, `conv.h` and `chain.h`.
class Steps(ctypes.Structure):
    _fields_ = (
        *_fields(c_void_p, "images order noise rates"),
        *_fields(c_int64, "count batch planes plane_size threads"),
        *_fields(c_double, "beta1 beta2 eps"),
        *_fields(c_int64, "taken"),
        *_fields(c_double, "loss"),
    )


class Layer(ctypes.Structure):
    _fields_ = (
        *_fields(c_int64, "inputs outputs activation"),
        *_fields(c_void_p, "weight weight_mean weight_square bias bias_mean bias_square"),
    )


class Net(ctypes.Structure):
    _fields_ = (*_fields(c_int64, "first_plane planes depth sparse"), ("layers", POINTER(Layer)))


class Learned(ctypes.Structure):
    _fields_ = _fields(c_void_p, "weight mean square")


class Mirror(ctypes.Structure):
    _fields_ = (
        *_fields(c_int64, "colours height width channels inner outer"),
        *_fields(Learned, "down down_bias up up_bias"),
        ("weight_strides", c_int64 * 4),
    )


class Shape(ctypes.Structure):
    _fields_ = _fields(c_int64, "channels height width")

    @property
    def count(self) -> int:
        """Numbers of an image."""
        return int(self.channels * self.height * self.width)


class Pair(ctypes.Structure):
    _fields_ = _fields(c_int64, "y x")


class Stage(ctypes.Structure):
    _fields_ = (
        *_fields(c_int64, "kind activation"),
        *_fields(c_double, "leak eps momentum"),
        *_fields(Shape, "input output"),
        *_fields(Pair, "kernel stride padding"),
        *_fields(Learned, "weight bias"),
        *_fields(c_void_p, "running_mean running_variance"),
        ("weight_strides", c_int64 * 4),
        ("past", c_int64),
    )


class Chain(ctypes.Structure):
    _fields_ = (
        *_fields(c_int64, "first_plane planes"),
        ("image", Shape),
        *_fields(c_int64, "precision count"),
        ("stages", POINTER(Stage)),
    )


ACTIVATIONS = ("none", "relu", "sigmoid", "tanh", "leaky relu", "gelu", "silu")
"""By their numbers in `common.h` and `tensors.h`."""
KINDS = ("linear", "conv", "conv_transpose", "layer_norm", "batch_norm", "activation", "add")
PRECISIONS = ("fp32", "bf16", "bf16x3")


@lru_cache
def load() -> ctypes.CDLL:
    """The library, compiled now if this processor has none yet: some ten seconds, once.

    Raises:
        RequestError: it cannot be had here.
    """
    try:
        library = compiler.shared_library(engines.NATIVE_SOURCE)
    except compiler.CompilerError as error:
        raise engines.unavailable("native", str(error)) from error
    for name, arguments in {
        "mlp": (POINTER(Steps), POINTER(Net), c_int64),
        "conv": (POINTER(Steps), POINTER(Mirror)),
        "chain": (POINTER(Steps), POINTER(Chain), c_int64),
    }.items():
        train = getattr(library, f"aebench_train_{name}")
        train.argtypes, train.restype = arguments, None
    library.aebench_is_fast.argtypes = (POINTER(Stage), c_int64)
    library.aebench_instructions.argtypes = (c_int64,)
    library.aebench_instructions.restype = c_char_p
    return library


def instructions(precision: str) -> str:
    """What computes the products of a precision here; empty where nothing can.

    Raises:
        RequestError: see `load`.
    """
    word: bytes | None = load().aebench_instructions(PRECISIONS.index(precision))
    return (word or b"").decode()


def is_fast(stage: Stage, precision: int) -> bool:
    """Whether a convolution is computed with fewer multiplications, as `winograd.h` does.

    Raises:
        RequestError: see `load`.
    """
    return bool(load().aebench_is_fast(ctypes.byref(stage), precision))
