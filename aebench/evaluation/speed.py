"""How fast a job trained, and whether it can have been that fast.

Rates are of the arithmetic really done. The peak that a job is held against is measured in its
own process; see `engines.device`. What follows from an implausible time is the worker's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aebench.engines import device as devices
from aebench.engines.training import Setup, Work


@dataclass(frozen=True)
class Speed:
    """Columns of the `jobs` table; `steps` are training steps of the whole job."""

    steps: int
    images_per_s: float
    gflops: float
    peak_gflops: float | None = None
    flop_floor_s: float | None = None
    roofline_fraction: float | None = None


def measure(setup: Setup, work: Work, train_s: float, flops_per_step: int) -> tuple[Speed, str]:
    """The speed of a job, and why it cannot have done all it was asked to, or "".

    `flops_per_step` counts what a step would do if nothing were skipped, 2 per multiply-add. Faster
    than `device.MARGIN` times the measured peak, with what fast convolution may save, is
    implausible; so is any other number of steps than planned.
    """
    job, planned = setup.job, setup.steps_per_epoch * setup.job.epochs
    flops = work.steps * (flops_per_step - work.skipped_flops_per_step)
    speed = Speed(work.steps, work.steps * job.batch_size / train_s, flops / train_s / 1e9)
    if work.steps != planned:
        return speed, (
            f"{work.steps} training steps taken, {planned} planned: a defect of engine {job.engine}"
        )
    allowed = devices.MARGIN * devices.conv_saving(setup.model)
    peak = floor_s = 0.0
    for again in (False, True):  # a peak measured in a disturbed moment condemns nobody
        peak = devices.peak_gflops(setup.device, job.precision, again=again)
        floor_s = flops / peak / 1e9
        speed = replace(
            speed, peak_gflops=peak, flop_floor_s=floor_s, roofline_fraction=floor_s / train_s
        )
        if floor_s / train_s <= allowed:
            return speed, ""
    return speed, (
        f"training took {train_s:.3g} s, but its arithmetic alone takes {floor_s:.3g} s at the"
        f" {peak:,.0f} GFLOP/s measured here: not all of it was done, or the clock is wrong"
    )
