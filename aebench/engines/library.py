"""The compiled training steps, and their arguments as C sees them.

The structures mirror those of `common.h`, `mlp.h` and `conv.h`, field by field.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

from aebench import engines
from aebench.engines import compiler

ACTIVATIONS = ("none", "relu", "sigmoid")  # by their numbers in common.h


class Steps(ctypes.Structure):
    """What is common to all models; see `Steps` in `common.h`."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("images", "order", "noise", "rates")),
        *((name, ctypes.c_int64) for name in ("count", "batch", "planes", "plane_size", "threads")),
        *((name, ctypes.c_double) for name in ("beta1", "beta2", "eps")),
        ("taken", ctypes.c_int64),
        ("loss", ctypes.c_double),
    )


class Layer(ctypes.Structure):
    """A linear layer and Adam's moments; see `Layer` in `mlp.h`."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("inputs", "outputs", "activation")),
        *((name, ctypes.c_void_p) for name in ("weight", "weight_mean", "weight_square")),
        *((name, ctypes.c_void_p) for name in ("bias", "bias_mean", "bias_square")),
    )


class Net(ctypes.Structure):
    """Layers, and the planes of an image that they are given; see `Net` in `mlp.h`."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("first_plane", "planes", "depth", "sparse")),
        ("layers", ctypes.POINTER(Layer)),
    )


class Learned(ctypes.Structure):
    """A parameter and Adam's moments; see `Learned` in `conv.h`."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("weight", "mean", "square"))


class Mirror(ctypes.Structure):
    """A convolution and the one back; see `Mirror` in `conv.h`."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("colours", "height", "width", "channels")),
        *((name, ctypes.c_int64) for name in ("inner", "outer")),
        *((name, Learned) for name in ("down", "down_bias", "up", "up_bias")),
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
    library.aebench_train_mlp.argtypes = (
        ctypes.POINTER(Steps),
        ctypes.POINTER(Net),
        ctypes.c_int64,
    )
    library.aebench_train_conv.argtypes = (ctypes.POINTER(Steps), ctypes.POINTER(Mirror))
    library.aebench_train_mlp.restype = library.aebench_train_conv.restype = None
    return library
