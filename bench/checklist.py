"""What to measure the first time a CUDA device is at hand: `python -m bench.checklist`.

Does capture work, and what does it give; how fast are the engines, precisions and layouts; how far
do repeats spread, with and without the warm second. Losses are looked at beside every time: a fast
step that computes something else is named. `python -m bench.results` puts the tables into
RESULTS.md. Needs MNIST in the data cache, and nothing from a network.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from aebench import datasets
from aebench.architectures.autoencoder import build
from aebench.engines import device as calibration
from aebench.engines import graph, training
from aebench.engines.device import read_precision, set_precision
from aebench.engines.training import Engine, Setup
from aebench.errors import RequestError
from aebench.executors.warming import warm_process
from aebench.job import Job
from bench import machine
from bench.ratios import table

SMALL = (("mlp", 32, 1), ("mlp", 128, 1), ("mlp", 512, 1), ("conv", 128, 1))
DEEP = ("conv", 128, 2)
STEPS_PER_GRAPH = (1, 3, 11, 39, 143)  # all divide the 429 steps of an epoch of MNIST
REPEATS = 6
SAME_LOSS = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 5e-2}  # after an epoch, beside fp32 eager

Model = tuple[str, int, int]


def setup(
    model: Model, images: Tensor, device: torch.device, engine: str, precision: str = "fp32"
) -> Setup:
    """A fresh model of `model` (architecture, latent, depth) from seed 0, on `device`."""
    architecture, latent, depth = model
    job = Job(
        architecture, "mnist", latent, depth,
        engine=engine, device=device.type, precision=precision, epochs=1000,
    )  # fmt: skip
    made = build(job, (images.shape[1], images.shape[2], images.shape[3])).model.to(device)
    return Setup(job, made, images, device)


def name(model: Model) -> str:
    """`conv-128`, or with its depth `conv-128 depth 2`."""
    return f"{model[0]}-{model[1]}" + (f" depth {model[2]}" if model[2] > 1 else "")


def epoch_s(engine: Engine, device: torch.device) -> tuple[float, float]:
    """Seconds of the next epoch, device synchronized, and its mean loss."""
    _synchronize(device)
    start = time.perf_counter()
    mean = engine.train_epoch()
    _synchronize(device)
    return time.perf_counter() - start, float(mean)


def ready(made: Engine) -> float:
    """Take an engine to the start of training; seconds of its compilation or capture."""
    made.load()
    start = time.perf_counter()
    made.compile()
    compile_s = time.perf_counter() - start
    made.warm_up()
    return compile_s


def captured(images: Tensor, device: torch.device, capture: bool = True) -> Iterator[list[str]]:
    """Microseconds a step against steps per graph, for every small model."""
    for model in SMALL:
        for count in STEPS_PER_GRAPH:
            ours = setup(model, images, device, "graph" if capture else "eager")
            made = graph.Graph(ours, capture=capture, steps_per_graph=count)
            compile_s = ready(made)
            seconds, _ = zip(*(epoch_s(made, device) for _ in range(3)), strict=True)
            step_us = median(seconds) / ours.steps_per_epoch * 1e6
            yield [
                name(model),
                str(count),
                f"{step_us:.1f}",
                f"{compile_s:.2f}",
                made.note or "yes",
            ]


def speeds(
    models: tuple[Model, ...],
    names: tuple[str, ...],
    precisions: tuple[str, ...],
    layouts: tuple[bool, ...],
    images: Tensor,
    device: torch.device,
) -> Iterator[list[str]]:
    """Step time, arithmetic rate and loss of every engine, precision and layout."""
    for model in models:
        expected: float | None = None
        for precision in precisions:
            set_precision(precision)
            for engine in names:
                for last in layouts:
                    row = [name(model), engine, precision, "last" if last else "first"]
                    try:
                        ours = setup(model, images, device, engine, precision)
                        ours = dataclasses.replace(ours, channels_last=last)
                        made = training.create(ours)
                        compile_s = ready(made)
                        _, first = epoch_s(made, device)  # of all from the same weights
                        seconds, _ = epoch_s(made, device)
                    except (RequestError, RuntimeError) as error:
                        yield [*row, "-", "-", "-", str(error).strip().partition("\n")[0][:60]]
                        continue
                    expected = first if expected is None else expected
                    apart = abs(first - expected) / expected
                    rate = _flops(ours) * ours.steps_per_epoch / seconds / 1e12
                    note = getattr(made, "note", "")
                    if apart > SAME_LOSS[precision]:
                        note = f"NOT THE SAME RESULT: loss {apart:.1%} apart. {note}"
                    step_us = seconds / ours.steps_per_epoch * 1e6
                    yield [*row, f"{step_us:.1f}", f"{rate:.2f}", f"{compile_s:.1f}", note]
    set_precision("fp32")


def spread(images: Tensor, device: torch.device, engine: str = "graph") -> Iterator[list[str]]:
    """Six first epochs after two idle seconds, with and without the warm second."""
    for warm in (False, True):
        seconds = []
        for _ in range(REPEATS):
            made = training.create(setup(("mlp", 512, 1), images, device, engine))
            ready(made)
            time.sleep(calibration.PAUSE_S)
            if warm:
                calibration.Warmer().warm(device)
            seconds.append(epoch_s(made, device)[0])
        middle, width = median(seconds), max(seconds) - min(seconds)
        low, high = f"{min(seconds):.4f}", f"{max(seconds):.4f}"
        yield ["yes" if warm else "no", f"{middle:.4f}", low, high, f"{width / middle:.1%}"]


def report(images: Tensor, device: torch.device) -> Iterator[str]:
    """All of it, a paragraph or a table at a time."""
    yield machine.sentence(device.type)
    for precision in ("fp32", "tf32", "bf16"):
        set_precision(precision)
        peak = calibration.peak_gflops(device, precision) / 1e3
        yield f"{precision}: {read_precision(precision)}; a large product: {peak:.1f} TFLOP/s"
    set_precision("fp32")
    yield "\nOne graph of so many steps"
    head = ["model", "steps", "us a step", "capture s", "captured"]
    yield from table(head, list(captured(images, device)), 1)
    yield "\nEngines on small models"
    head = ["model", "engine", "precision", "channels", "us a step", "TFLOP/s", "compile s", "note"]
    names = ("eager", "graph", "compiled")
    yield from table(
        head, list(speeds(SMALL, names, ("fp32", "tf32"), (False,), images, device)), 4
    )
    yield "\nThe deep convolution"
    few = images[: 40 * 128]
    names = ("eager", "graph")
    precisions = ("fp32", "tf32", "bf16")
    rows = list(speeds((DEEP,), names, precisions, (False, True), few, device))
    yield from table(head, rows, 4)
    yield "\nThe study's loop"
    rows = list(speeds((SMALL[2], SMALL[3]), ("reference",), ("fp32",), (False,), images, device))
    yield from table(head, rows, 4)
    yield "\nSpread of an epoch of mlp-512 after a pause: the warm second"
    head = ["warmed", "median s", "least", "most", "spread"]
    yield from table(head, list(spread(images, device)), 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.checklist", description=__doc__)
    parser.add_argument("--summary", metavar="FILE", help="write the tables to FILE as well")
    summary = parser.parse_args().summary
    if not torch.cuda.is_available():
        raise SystemExit("bench.checklist: torch finds no CUDA device on this machine")
    warm_process()
    data = datasets.load("mnist")
    train, _ = datasets.split(len(data.train), data.info.validation_images, 0)
    lines = []
    for line in report(torch.from_numpy(data.train[train]), torch.device("cuda")):
        print(line, flush=True)
        lines.append(line)
    if summary:
        Path(summary).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _flops(ours: Setup) -> int:
    shape = ours.images.shape[1:]
    return build(ours.job, (shape[0], shape[1], shape[2])).size.flops * ours.job.batch_size


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
