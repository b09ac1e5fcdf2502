"""The compiled training steps, and their arguments as C sees them.

The structures mirror those of `common.h`, `mlp.h` and `conv.h`, field by field.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_double, c_int64, c_void_p
from functools import lru_cache
from typing import Any

from aebench import engines
from aebench.engines import compiler

ACTIVATIONS = ("none", "relu", "sigmoid")  # by their numbers in common.h


def _fields(c_type: Any, *names: str) -> list[tuple[str, Any]]:
    return [(name, c_type) for name in names]


class Steps(ctypes.Structure):
    """What is common to all models; see `Steps` in `common.h`."""

    _fields_ = (
        *_fields(c_void_p, "images", "order", "noise", "rates"),
        *_fields(c_int64, "count", "batch", "planes", "plane_size", "threads"),
        *_fields(c_double, "beta1", "beta2", "eps"),
        *_fields(c_int64, "taken"),
        *_fields(c_double, "loss"),
    )


class Layer(ctypes.Structure):
    """A linear layer and Adam's moments; see `Layer` in `panels.h`."""

    _fields_ = (
        *_fields(c_int64, "inputs", "outputs", "activation"),
        *_fields(c_void_p, "weight", "weight_mean", "weight_square"),
        *_fields(c_void_p, "bias", "bias_mean", "bias_square"),
    )


class Net(ctypes.Structure):
    """Layers, and the planes of an image that they are given; see `Net` in `mlp.h`."""

    _fields_ = (
        *_fields(c_int64, "first_plane", "planes", "depth", "sparse"),
        ("layers", POINTER(Layer)),
    )


class Learned(ctypes.Structure):
    """A parameter and Adam's moments; see `Learned` in `conv.h`."""

    _fields_ = _fields(c_void_p, "weight", "mean", "square")


class Mirror(ctypes.Structure):
    """A convolution and the one back; see `Mirror` in `conv.h`."""

    _fields_ = (
        *_fields(c_int64, "colours", "height", "width", "channels", "inner", "outer"),
        *_fields(Learned, "down", "down_bias", "up", "up_bias"),
    )


@lru_cache
def load() -> ctypes.CDLL:
    """The library, compiled now if this processor has none yet: some seconds, once.

    Raises:
        RequestError: it cannot be had here.
    """
    try:
        source = engines.ENGINES["native"].source
        assert source is not None
        library = compiler.library(source)
    except compiler.CompilerError as error:
        raise engines.unavailable("native", str(error)) from error
    library.aebench_train_mlp.argtypes = (POINTER(Steps), POINTER(Net), c_int64)
    library.aebench_train_conv.argtypes = (POINTER(Steps), POINTER(Mirror))
    library.aebench_train_mlp.restype = library.aebench_train_conv.restype = None
    return library
