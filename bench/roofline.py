"""A training step by the study's loop, `eager` and `native` on a CPU: `python -m bench.roofline`.

Beside the times stands the least that the step's arithmetic can take, at the rate of a large
product of matrices in the same precision on the same threads. So it can be seen how many times
faster than the study's loop a step is, and how much faster any could be here.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import torch

from aebench.architectures.autoencoder import build
from aebench.datasets import load
from aebench.engines import PRECISIONS, unsupported
from aebench.engines import device as calibration
from aebench.errors import RequestError
from aebench.executors.warming import warm_process
from bench import machine
from bench.ratios import table
from bench.test_training import BATCH, CASES, STEPS, Case, Trainer

MODELS = CASES | {
    "mlp-32 depth 3": Case("mlp", 32, 3),
    "conv-128": Case("conv", 128),
    "conv-64 depth 2": Case("conv", 64, 2),
    "conv-bottleneck-32": Case("conv-bottleneck", 32),
    "conv-bottleneck-128": Case("conv-bottleneck", 128),
}
READING = """\
reference, eager, native: us a step, medians over rounds, in turn in the same process; - where the
engine does not exist, and why stands below the table. The study's loop is always in fp32. floor: us
of the step's GFLOP at the peak, the rate of a large product in the precision of the table. ratio:
how many times faster than the study's loop. done: the share of the step's arithmetic that native
does, the rest being products with pixels of 0. fraction: floor of what an engine does over its
step, so the part of the peak that it reaches; fast convolution may reach more than 1."""

# So long torch's threads may go on spinning on the cores that `native` wants, where its compiler
# has no OpenMP and it brings threads of its own.
_SPINNING_S = 0.05
_NATIVE_ROUNDS = 5  # in one call, as an epoch is: what the call itself costs is not the step's
_SLOW_GFLOP, _SLOW_STEPS = 10.0, 4  # a step of more arithmetic is timed over fewer of them
_FEWEST_ROUNDS, _ENOUGH_S = 3, 20.0  # no further round after this


def step_gflop(case: Case, shape: tuple[int, int, int]) -> float:
    """Arithmetic of a step of `BATCH` images if nothing is left out, in 1e9 FLOP."""
    return build(case.job("eager"), shape).size.flops * BATCH / 1e9


def profile(
    name: str, images: torch.Tensor, precision: str, peak_gflops: float, rounds: int
) -> tuple[list[str], list[str]]:
    """One line of the table, and why an engine is missing from it."""
    device, case = torch.device("cpu"), MODELS[name]
    gflop = step_gflop(case, (images.shape[1], images.shape[2], images.shape[3]))
    if gflop > _SLOW_GFLOP:
        images = images[: _SLOW_STEPS * BATCH]
    many = images.repeat(_NATIVE_ROUNDS, 1, 1, 1)
    asked = {"reference": ("fp32", images), "eager": (precision, images)}
    trainers, missing = {}, []
    for engine, (how, pixels) in (asked | {"native": (precision, many)}).items():
        try:
            trainers[engine] = Trainer(engine, case, pixels, device, how)
        except RequestError as error:
            missing.append(f"{engine}: {error}")
    taken: dict[str, list[float]] = {engine: [] for engine in trainers}
    if "eager" in trainers:
        trainers["eager"].epoch()  # the first step is torch's own
    began = time.perf_counter()
    for done in range(rounds):
        if done >= _FEWEST_ROUNDS and time.perf_counter() - began > _ENOUGH_S:
            break
        for engine, trainer in trainers.items():
            if engine == "native":
                time.sleep(_SPINNING_S)
            start = time.perf_counter()
            trainer.epoch()
            seconds = time.perf_counter() - start
            taken[engine].append(seconds * 1e6 / trainer.engine.setup.steps_per_epoch)
    us = {engine: median(values) for engine, values in taken.items()}
    floor_us = gflop / peak_gflops * 1e6

    def of(engine: str, done: float) -> list[str]:
        if engine not in us:
            return ["-"] * 3
        ratio = us["reference"] / us[engine]
        return [f"{us[engine]:.0f}", f"{ratio:.2f}", f"{floor_us * done / us[engine]:.2f}"]

    work = trainers["native"].engine.work() if "native" in trainers else None
    done = 1 - work.skipped_flops_per_step / gflop / 1e9 if work else 1.0
    row = [name, f"{gflop:.2f}", f"{floor_us:.0f}", f"{us['reference']:.0f}"]
    return [*row, *of("eager", 1.0), *of("native", done), f"{done:.2f}" if work else "-"], missing


def tables(images: torch.Tensor, precisions: list[str], names: list[str], rounds: int) -> list[str]:
    """The lines of a table for each precision."""
    columns = ["model", "GFLOP", "floor", "reference", "eager", "ratio", "fraction",
               "native", "ratio", "fraction", "done"]  # fmt: skip
    lines: list[str] = []
    for precision in precisions:
        peak = calibration.peak_gflops(torch.device("cpu"), precision)
        found = [profile(name, images, precision, peak, rounds) for name in names]
        lines += [f"{precision}, peak {peak:.0f} GFLOP/s", ""]
        lines += table(columns, [row for row, _ in found], 1)
        lines += ["", *dict.fromkeys(why for _, missing in found for why in missing), ""]
    return lines


def main() -> None:
    offered = [p for p in PRECISIONS if not unsupported("native", "cpu", p)]
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="of 20 steps, of slow ones 4 [15]")
    parser.add_argument(
        "--precision", nargs="+", choices=offered, default=["fp32"], help="a table each [fp32]"
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="[all]")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the table to FILE too")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("rounds start at 1")
    warm_process()
    images = torch.from_numpy(load("mnist").train[: STEPS * BATCH].copy())
    lines = [machine.sentence("cpu"), ""]
    lines += tables(images, options.precision, options.models, options.rounds)
    text = "\n".join([*lines, READING]) + "\n"
    print(text, end="")
    if options.summary:
        options.summary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
