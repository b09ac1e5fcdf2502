"""Where the time of a training step of `eager` goes on a CPU: `python -m bench.roofline`.

Beside the time stands the least that its arithmetic can take, at the rate of a large matrix
product on the same threads, and the time of the study's loop, in turn in the same process. So
it can be seen how many times faster than the study's loop anything in float32 could be here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch

from aebench.architectures.autoencoder import build
from aebench.datasets import load
from aebench.engines import chain, compiler
from aebench.engines import device as calibration
from aebench.engines.cpu_kernels import FORMS
from aebench.executors.warming import warm_process
from bench import machine
from bench.ratios import table
from bench.test_training import BATCH, CASES, STEPS, Trainer

READING = """\
us a step, medians over rounds, the study's loop and eager in turn. forward, backward: of the
layers, activations in front of them included in forward; rest: batch, loss, activations going
back, Python. floor: FLOP of the step at the peak. fraction: floor of eager's step. ratio: of the
two steps. bound: the ratio if a step took its floor and Adam's time and nothing else. native: that
engine's step, in turn with the others, and its ratio; - without a compiler. done: the share of the
step's FLOP that it does, the rest being products with pixels of 0; fraction: floor of what it does
over its step."""


# So long torch's threads may go on spinning on the cores that `native` wants, where its compiler
# has no OpenMP and it brings threads of its own.
_SPINNING_S = 0.05
_NATIVE_ROUNDS = 5  # in one call, as an epoch is: what the call itself costs is not the step's


@contextmanager
def timed(seconds: dict[str, float]) -> Iterator[None]:
    """Add up in `seconds` what layers and Adam take while the context lasts."""

    def clocked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            began = time.perf_counter()
            result = function(*given)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
            return result

        return run

    forms, update = dict(FORMS), chain.update
    for kind, form in forms.items():
        FORMS[kind] = form._replace(
            forward=clocked("forward", form.forward), backward=clocked("backward", form.backward)
        )
    chain.update = clocked("Adam", update)
    try:
        yield
    finally:
        FORMS.update(forms)
        chain.update = update


def profile(case: str, images: torch.Tensor, peak_gflops: float, rounds: int) -> list[str]:
    """One line of the table."""
    device = torch.device("cpu")
    parts: dict[str, float] = {}
    with timed(parts):  # the engine takes its layers' forms as it is made
        ours = Trainer("eager", case, images, device)
    against = Trainer("reference", case, images, device)
    many = images.repeat(_NATIVE_ROUNDS, 1, 1, 1)
    native = Trainer("native", case, many, device) if compiler.find() else None
    ours.epoch()  # the first step is torch's own
    steps = len(images) // BATCH
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        parts.clear()
        began = time.perf_counter()
        against.epoch()
        middle = time.perf_counter()
        with timed(parts):
            ours.epoch()
        ended = time.perf_counter()
        parts |= {"reference": middle - began, "eager": ended - middle}
        if native:
            time.sleep(_SPINNING_S)
            began = time.perf_counter()
            native.epoch()
            parts["native"] = (time.perf_counter() - began) / _NATIVE_ROUNDS
        for name, value in parts.items():
            taken.setdefault(name, []).append(value * 1e6 / steps)
    us = {name: median(values) for name, values in taken.items()}
    job = ours.engine.setup.job
    shape = (images.shape[1], images.shape[2], images.shape[3])
    flops = build(job, shape).size.flops * BATCH
    floor_us = flops / peak_gflops / 1e3
    skipped = native.engine.work().skipped_flops_per_step if native else 0
    done = 1 - skipped / flops
    rest_us = us["eager"] - us["forward"] - us["backward"] - us["Adam"]
    shown = [us["eager"], us["forward"], us["backward"], us["Adam"], rest_us, floor_us]
    return [
        case,
        *(f"{value:.0f}" for value in shown),
        f"{floor_us / us['eager']:.2f}",
        f"{us['reference']:.0f}",
        f"{us['reference'] / us['eager']:.2f}",
        f"{us['reference'] / (floor_us + us['Adam']):.1f}",
        *(
            [
                f"{us['native']:.0f}",
                f"{us['reference'] / us['native']:.2f}",
                f"{done:.2f}",
                f"{floor_us * done / us['native']:.2f}",
            ]
            if native
            else ["-"] * 4
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="of 20 steps each [15]")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the table to FILE too")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("rounds start at 1")
    warm_process()
    images = torch.from_numpy(load("mnist").train[: STEPS * BATCH].copy())
    head = machine.sentence("cpu")
    peak = calibration.peak_gflops(torch.device("cpu"), "fp32")
    rows = [profile(case, images, peak, options.rounds) for case in CASES]
    columns = ["case", "eager", "forward", "backward", "Adam", "rest", "floor", "fraction",
               "reference", "ratio", "bound", "native", "ratio", "done", "fraction"]  # fmt: skip
    lines = [head, "", f"peak: {peak:.0f} GFLOP/s", "", *table(columns, rows, 1), "", READING]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.summary:
        options.summary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
