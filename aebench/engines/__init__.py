"""What each engine can do, said once: devices, precisions, models, rates for plans. No torch here.

How an engine takes its steps is decided in its own module, behind `engines.training`. Which one
``--engine auto`` means is decided here, when a grid is enumerated, so that a job always names the
engine that runs it; that it was chosen is told in its record and is no part of its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aebench import architectures
from aebench.engines import compiler
from aebench.errors import RequestError

DEVICES = ("cpu", "cuda")
PRECISIONS = ("fp32", "tf32", "bf16")
_ON = {"cpu": "on the CPU", "cuda": "on CUDA devices"}
_ANY_DEPTH = 1 << 62
NATIVE_SOURCE = Path(__file__).with_name("cpp") / "steps.cpp"


@dataclass(frozen=True)
class Capabilities:
    """One engine; `about` is what listings say of it.

    `trains` and `fastest` go from what models are made of (`Architecture.layers`) to the greatest
    depth: which models it can train, None for all, and for which `auto` takes it where it exists.
    `models` says the first in words. `only_adam`: by Adam without weight decay and clipping of
    gradients; `only_mse`: by no loss of a model's own. `source` is what a C++ compiler must be able
    to compile.

    For plans without a measured time: `step_s` is what a step costs besides its arithmetic, in
    seconds; `gflops` the rate that it reaches on one core, 1e9 FLOP/s, None for that of torch; and
    `compile_s` what it takes once for each shape of model.
    """

    name: str
    about: str
    devices: tuple[str, ...] = DEVICES
    precisions: tuple[str, ...] = PRECISIONS
    trains: Mapping[str, int] | None = None
    models: str = "every model"
    only_adam: bool = False
    only_mse: bool = False
    fastest: Mapping[str, int] = field(default_factory=dict)
    source: Path | None = None
    step_s: float = 4e-4
    gflops: float | None = None
    compile_s: float = 0.0


_SMALL = {"linear": _ANY_DEPTH, "conv": 1}

ENGINES = {
    engine.name: engine
    for engine in (
        Capabilities(
            "reference",
            "The study's training loop as it stands in the study: slow, and the measure of the"
            " rest.",
            step_s=1.2e-2,  # 128 samples through PIL, ToTensor and a DataLoader
        ),
        # Where nothing is faster. Measured on one AMD EPYC core, MNIST mlp-128: eager 1.94 ms a
        # step (CPU time, median of 5), compiled 1.96 after half a minute of compiling.
        Capabilities(
            "eager",
            "The default engine: data resident on the device, no host synchronization inside an"
            " epoch.",
        ),
        Capabilities(
            "compiled",
            "Forward pass, loss and backward pass compiled by torch's inductor; optimizers are"
            " eager's.",
            compile_s=30.0,
        ),
        # Estimates: no CUDA device was at hand. An MLP's step is bound by kernel launches, which a
        # graph saves (150 to 400 us against 52 to 74 us a step, by counting launches). A
        # convolution of depth 1 is bound by memory and still has steps of some 200 us, so a graph
        # gains; deeper ones are bound by arithmetic, and a captured graph would hold gigabytes for
        # nothing. A family that is not known may do in a step what no graph can capture.
        Capabilities(
            "graph",
            "Dozens of training steps captured in one CUDA graph, replayed without a word from the"
            " host.",
            devices=("cuda",),
            only_adam=True,
            fastest=_SMALL | {"strided conv": 1},
            step_s=6e-5,  # estimated from the number of kernels, not measured
        ),
        # Measured on two Intel Xeon cores, MNIST, eager and native took 2.75 and 1.39 ms a step of
        # mlp-512, 1.16 and 0.41 ms of mlp-128, 2.86 and 0.54 ms of conv-16 (`bench/roofline.py`).
        Capabilities(
            "native",
            "Whole epochs on a CPU in one call of our own C++, for the study's models in float32.",
            devices=("cpu",),
            precisions=("fp32",),
            trains=_SMALL,
            models="MLPs and conv of depth 1",
            only_adam=True,
            only_mse=True,
            fastest=_SMALL,
            source=NATIVE_SOURCE,
            step_s=1e-4,
            gflops=100.0,  # 70 (conv-16) to 160 (mlp-512) measured
        ),
    )
}


class Choice(NamedTuple):
    """An engine, and why it is not the fastest known where it is not; mostly empty."""

    engine: str
    note: str = ""


def choose(
    architecture: str,
    device: str,
    depth: int = 1,
    precision: str = "fp32",
    *,
    options: str = "",
    plain: bool = True,
) -> Choice:
    """The engine that `auto` means for a job: the fastest known that this machine can have.

    `plain`: whether it is trained by Adam as it is (see `protocols.plain`).
    """
    layers, note = _made_of(architecture, options), ""
    for engine in ENGINES.values():
        if depth > engine.fastest.get(layers, 0) or unsupported(engine.name, device, precision):
            continue
        if untaught(engine.name, plain):
            continue
        if not (why := trouble(engine.name)):
            return Choice(engine.name)
        note = (
            f"engine auto takes eager, not {engine.name}, which would be about twice as fast: {why}"
        )
    return Choice("eager", note)


def unsupported(engine: str, device: str, precision: str) -> str:
    """Why there is no such engine for the device in this precision; empty if there is."""
    if precision == "tf32" and device != "cuda":
        return "precision 'tf32' exists on CUDA devices only; use fp32 or bf16 here"
    can = ENGINES[engine]
    if device in can.devices and precision in can.precisions:
        return ""
    where = " or ".join(_ON[name] for name in can.devices)
    where += f" in {' or '.join(can.precisions)}" if can.precisions != PRECISIONS else ""
    return (
        f"engine {engine!r} exists {where} only; use eager here, or auto, which chooses by device"
    )


def untaught(engine: str, plain: bool) -> str:
    """Why the engine has not the optimizer asked for; empty if it has."""
    if plain or not ENGINES[engine].only_adam:
        return ""
    return (
        f"engine {engine!r} trains by plain Adam, without weight decay and clipping of gradients;"
        " use --engine eager, or auto"
    )


def _made_of(architecture: str, options: str) -> str:
    """What models with these options are made of: whatever they are, no longer what is usual."""
    layers = architectures.layers(architecture)
    return "chain" if layers and options else layers


def untrainable(engine: str, architecture: str, depth: int = 1, options: str = "") -> str:
    """Why the engine cannot train that family at that depth; empty if it can, or may.

    Of a family that does not say what its models are made of, the engine asks the built model.
    """
    can, layers = ENGINES[engine], _made_of(architecture, options)
    if not layers or can.trains is None or depth <= can.trains.get(layers, 0):
        return ""
    told = f" with {options}" if options else ""
    return (
        f"engine {engine!r} trains {can.models}, not {architecture} of depth {depth}{told};"
        " use another engine for it"
    )


def trouble(engine: str) -> str:
    """Why this machine cannot have the engine; empty if it can.

    The first time, this has a compiler read the engine's source: a second, once a machine.
    """
    source = ENGINES[engine].source
    return compiler.trouble(source) if source else ""


def unavailable(engine: str, why: str) -> RequestError:
    """What to tell who has asked for an engine where it cannot be had."""
    return RequestError(
        f"engine {engine!r} cannot be had here: {why}. Use --engine eager, or auto, which takes"
        f" {engine} wherever it can be had"
    )
