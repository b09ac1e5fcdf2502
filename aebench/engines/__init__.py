"""What each engine can do, said once: devices, precisions, models. No torch here.

How an engine takes its steps is decided in its own module, behind `engines.training`. Which one
``--engine auto`` means is decided here, when a grid is enumerated, so that a job always names the
engine that runs it; that it was chosen, and why, is told in its record and is no part of its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aebench import architectures, machine
from aebench.engines import compiler
from aebench.errors import RequestError

DEVICES = ("cpu", "cuda")
PRECISIONS = ("fp32", "tf32", "bf16", "bf16x3")
"""bf16x3: each number as the sum of two of bf16, and three of the four products of these."""
_TORCHS = PRECISIONS[:3]
_ON = {"cpu": "on the CPU", "cuda": "on CUDA devices"}
_ANY_DEPTH = 1 << 62
NATIVE_SOURCE = Path(__file__).with_name("cpp") / "steps.cpp"


@dataclass(frozen=True)
class Capabilities:
    """One engine; `about` is what listings say of it.

    `trains` and `fastest` go from what models are made of (`Architecture.layers`) to the greatest
    depth: which models it can train, None for all, and for which `auto` takes it where it exists.
    `models` says the first in words, `merit` why `auto` takes it. `only_adam`: by Adam without
    weight decay and clipping of gradients; `only_mse`: by no loss of a model's own. `source` is
    what a C++ compiler must be able to compile; with it, products in bf16 are the engine's own, and
    need a processor that has them. `compile_s` is what it takes once for each shape of model.
    """

    name: str
    about: str
    devices: tuple[str, ...] = DEVICES
    precisions: tuple[str, ...] = _TORCHS
    trains: Mapping[str, int] | None = None
    models: str = "every model"
    only_adam: bool = False
    only_mse: bool = False
    fastest: Mapping[str, int] = field(default_factory=dict)
    merit: str = ""
    source: Path | None = None
    compile_s: float = 0.0


_SMALL = {"linear": _ANY_DEPTH, "conv": 1, "strided conv": 1}
_CHAINS = dict.fromkeys(("linear", "conv", "strided conv", "chain"), _ANY_DEPTH)

ENGINES = {
    engine.name: engine
    for engine in (
        Capabilities(
            "reference",
            "The study's training loop as it stands in the study: slow, and the measure of the"
            " rest.",
        ),
        # Where nothing is faster. Measured on one AMD EPYC core, MNIST mlp-128: eager 1.94 ms a
        # step (CPU time, median of 5), compiled 1.96 after half a minute of compiling.
        Capabilities(
            "eager",
            "Plain PyTorch, for every model: data resident on the device, no host synchronization"
            " inside an epoch.",
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
            fastest=_SMALL,
            merit="the fastest known for small steps on a CUDA device",
        ),
        # Measured with `bench/roofline.py`, whose table is in `bench/RESULTS.md`.
        Capabilities(
            "native",
            "Whole epochs on a CPU in one call of our own C++, for chains of known layers.",
            devices=("cpu",),
            precisions=("fp32", "bf16", "bf16x3"),
            trains=_CHAINS,
            models="chains of known layers",
            only_adam=True,
            only_mse=True,
            fastest=_CHAINS,
            merit="the fastest known for chains of layers on a CPU",
            source=NATIVE_SOURCE,
        ),
    )
}


class Choice(NamedTuple):
    """An engine, `why` it was chosen, and what to tell where it is not the fastest known."""

    engine: str
    why: str
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

    Raises:
        RequestError: only one engine has the precision, and this machine cannot have that.
    """
    layers = _made_of(architecture, options)
    able = [name for name in ENGINES if not unsupported(name, device, precision)]
    why, note = "nothing faster is known for its layers", ""
    if not layers:
        why = f"what layers {architecture} has is not declared"
    for name in able:
        engine = ENGINES[name]
        if depth > engine.fastest.get(layers, 0):
            continue
        if untaught(name, plain):
            why = f"{name} has not its optimizer"
            continue
        if not (missing := trouble(name, precision)):
            return Choice(name, engine.merit)
        why = f"{name} cannot be had here"  # what is missing may name a folder: not for records
        note = f"engine auto takes eager, not {name}, which would be faster: {missing}"
    if "eager" in able or not able:  # a job that cannot be is refused where it is made
        return Choice("eager", why, note)
    (only,) = able
    if missing := trouble(only, precision):
        raise unavailable(only, missing, precision)
    return Choice(only, f"alone in computing in {precision}")


def offered(engine: str) -> str:
    """Where an engine runs, in words: ``on the CPU in fp32, bf16 or bf16x3``."""
    can = ENGINES[engine]
    where = " or ".join(_ON[name] for name in can.devices)
    *most, last = can.precisions
    return where + (f" in {', '.join(most)} or {last}" if can.precisions != _TORCHS else "")


def unsupported(engine: str, device: str, precision: str) -> str:
    """Why there is no such engine for the device in this precision; empty if there is.

    Of any machine; what this one lacks is said by `trouble`.
    """
    if precision == "tf32" and device != "cuda":
        return "precision 'tf32' exists on CUDA devices only; use fp32 or bf16 here"
    can = ENGINES[engine]
    if device in can.devices and precision in can.precisions:
        return ""
    if precision == "bf16x3":
        return (
            "precision 'bf16x3' exists on the CPU by engine native only; use that engine there,"
            " or fp32, or bf16"
        )
    return (
        f"engine {engine!r} exists {offered(engine)} only; use eager here, or auto, which chooses"
        " by device"
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


def lacking(engine: str, precision: str) -> str:
    """What the processor lacks for the engine's own products in `precision`; empty if nothing."""
    if not ENGINES[engine].source or not precision.startswith("bf16"):
        return ""
    if machine.bf16_instructions():
        return ""
    return (
        f"precision {precision!r} takes a processor with products of bf16 (avx512_bf16, or amx_bf16"
        " with amx_tile), and none is known of this one"
    )


def trouble(engine: str, precision: str = "fp32") -> str:
    """Why this machine cannot have the engine in that precision; empty if it can.

    The first time, this has a compiler read the engine's source: some seconds, once a machine.
    """
    source = ENGINES[engine].source
    return lacking(engine, precision) or (compiler.trouble(source) if source else "")


def unavailable(engine: str, why: str, precision: str = "fp32") -> RequestError:
    """What to tell who has asked for an engine where it cannot be had."""
    way = f"--engine eager, or auto, which takes {engine} wherever it can be had"
    eager_too = precision in ENGINES["eager"].precisions
    if lacking(engine, precision):
        way = "--precision fp32" + ", or --engine eager" * eager_too
    elif not eager_too:
        way = "--engine eager and --precision fp32"
    return RequestError(f"engine {engine!r} cannot be had here: {why}. Use {way}")
