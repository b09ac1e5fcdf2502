"""Which engine ``--engine auto`` means for a job, and which engines a job cannot have.

Decided when a grid is enumerated, so that a job always names the engine that runs it; how it
was chosen is told in its record and is no part of its key. No torch here.
"""

from __future__ import annotations

from pathlib import Path

from aebench import compiler

NATIVE_SOURCE = Path(__file__).parent / "engines" / "native" / "steps.cpp"
NATIVE = {"mlp": None, "mlp-shared": None, "mlp-separate": None, "conv": 1, "conv-relu": 1}
"""Families that engine `native` knows, and to which depth."""

# (device, family, depth from) -> engine; the first line that fits holds.
_BEST = (
    # What `native` does not train. Measured on one AMD EPYC core, MNIST mlp-128: eager 1.94 ms a
    # step (CPU time, median of 5), compiled 1.96 after half a minute of compiling.
    ("cpu", "", 1, "eager"),
    # Estimates: no CUDA device was at hand. An MLP's step is bound by kernel launches,
    # which a graph saves (150 to 400 us against 52 to 74 us a step, by counting launches).
    ("cuda", "mlp", 1, "graph"),
    # Estimates: a convolution of depth 1 is bound by memory and still has steps of some
    # 200 us, so a graph gains; deeper ones are bound by arithmetic, and a captured graph would
    # hold gigabytes for nothing.
    ("cuda", "conv", 2, "eager"),
    ("cuda", "conv", 1, "graph"),
    # A family we do not know may do in a step what no graph can capture.
    ("cuda", "", 1, "eager"),
)


def engine(architecture: str, device: str, depth: int, precision: str = "fp32") -> str:
    """The engine to take for a job, the fastest known.

    On a CPU with a C++ compiler that works, `native` for the families that it trains in float32:
    measured on two Intel Xeon cores, MNIST, eager and native took 2.75 and 1.39 ms a step of
    mlp-512, 1.16 and 0.41 ms of mlp-128, 2.86 and 0.54 ms of conv-16 (`bench/roofline.py`).
    """
    if _suits_native(architecture, device, depth, precision) and not native_trouble():
        return "native"
    for where, family, least, name in _BEST:
        if device == where and architecture.startswith(family) and depth >= least:
            return name
    return "eager"


def note(architecture: str, device: str, depth: int, precision: str = "fp32") -> str:
    """What to tell of the engine that `engine` takes: why it is not the fastest; mostly empty."""
    if _suits_native(architecture, device, depth, precision) and (why := native_trouble()):
        return f"engine auto takes eager, not native, which would be about twice as fast: {why}"
    return ""


def native_trouble() -> str:
    """Why engine `native` cannot be had on this machine; empty if it can.

    The first time, this has the compiler read the engine's source: a second, once a machine.
    """
    return compiler.trouble(NATIVE_SOURCE, native_headers())


def native_headers() -> list[Path]:
    """What the source of engine `native` includes of ours."""
    return sorted(NATIVE_SOURCE.parent.glob("*.h"))


def cannot(why: str) -> str:
    """What to tell who has asked for engine `native` where it cannot be had."""
    return (
        f"engine 'native' cannot be had here: {why}. Use --engine eager, or auto, which takes"
        " native wherever it can be had"
    )


def _suits_native(architecture: str, device: str, depth: int, precision: str) -> bool:
    return device == "cpu" and precision == "fp32" and _is_native(architecture, depth)


def _is_native(architecture: str, depth: int) -> bool:
    return architecture in NATIVE and depth <= (NATIVE[architecture] or depth)


def why_not(architecture: str, engine: str, depth: int = 1) -> str:
    """Why `engine` cannot train that family at that depth; empty if it can, or may."""
    ours = architecture in NATIVE or architecture == "conv-bottleneck"
    if engine == "native" and ours and not _is_native(architecture, depth):
        return (
            f"engine 'native' trains MLPs and conv of depth 1, not {architecture} of depth {depth};"
            " use another engine for it"
        )
    return ""
