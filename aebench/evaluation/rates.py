"""How fast a job trained, and whether it can have been that fast.

Rates are of the arithmetic really done. The peak that a job is held against is measured in its
own process; see `engines.calibration`. What follows from an implausible time is the worker's
business.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from aebench.engines import calibration
from aebench.job import Job

Row = dict[str, Any]


def measure(
    job: Job,
    model: nn.Module,
    device: torch.device,
    train_s: float,
    flops_per_step: int,
    taken: int,
    planned: int,
) -> tuple[Row, str]:
    """Columns of the `jobs` table, and why the job cannot have done all it was asked to, or "".

    `flops_per_step` is what a step really does, 2 per multiply-add; `taken` and `planned` are
    training steps of the whole job. Faster than `calibration.MARGIN` times the measured peak,
    with what fast convolution may save, is implausible; so is any other number of steps.
    """
    flops = taken * flops_per_step
    row: Row = {
        "steps": taken,
        "images_per_s": taken * job.batch_size / train_s,
        "gflops": flops / train_s / 1e9,
    }
    if taken != planned:
        return row, (
            f"{taken} training steps taken, {planned} planned: a defect of engine {job.engine}"
        )
    allowed = calibration.MARGIN * calibration.conv_saving(model)
    peak = floor_s = 0.0
    for again in (False, True):  # a peak measured in a disturbed moment condemns nobody
        peak = calibration.peak_gflops(device, job.precision, again=again)
        floor_s = flops / peak / 1e9
        row |= {
            "peak_gflops": peak,
            "flop_floor_s": floor_s,
            "roofline_fraction": floor_s / train_s,
        }
        if floor_s / train_s <= allowed:
            return row, ""
    return row, (
        f"training took {train_s:.3g} s, but its arithmetic alone takes {floor_s:.3g} s at the"
        f" {peak:,.0f} GFLOP/s measured here: not all of it was done, or the clock is wrong"
    )
