"""Reconstruction errors of a trained model on a whole split.

One pass gives both the study's figure and the plain MSE. Sums are kept in float64 on the
device and read once. Every model is evaluated in float32, whatever precision it was trained in, so
that errors compare; and on copies of the images, for a model may write into what it is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aebench.engines.precision import ieee_float32

STUDY_BATCH = 128  # the study sums over batches of this size, whatever a job trains with


@dataclass(frozen=True)
class Errors:
    """`mse` per pixel over all images; `study_error` as the study defines its error."""

    mse: float
    study_error: float

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio; see `psnr_db`."""
        return psnr_db(self.mse)


def psnr_db(mse: float) -> float:
    """10 log10(1 / mse) in decibels: the peak of pixels in [0, 1] is 1. Infinite for 0."""
    return math.inf if mse == 0 else -10 * math.log10(mse)


def reconstruct(model: nn.Module, images: Tensor) -> Tensor:
    """Run a copy of `images`, float32 [N, C, H, W] on the model's device, through the model."""
    with torch.inference_mode(), ieee_float32():
        output: Tensor = model.eval()(images.clone())
    return output.float()


def measure(model: nn.Module, images: Tensor, device: torch.device) -> Errors:
    """Errors over `images`, uint8 [N, C, H, W]; the model is on `device`.

    `study_error` is the sum, over the full batches of 128, of the batch's mean squared error.
    With fewer than 128 images there is no full batch, and it is NaN: 0 would read as perfect. Of
    no images at all, which is the validation split of some data sets, both errors are NaN.
    """
    if not len(images):
        return Errors(mse=math.nan, study_error=math.nan)
    sums = torch.zeros(math.ceil(len(images) / STUDY_BATCH), dtype=torch.float64, device=device)
    for i, part in enumerate(images.split(STUDY_BATCH)):
        batch = part.to(device, torch.float32).div_(255)
        sums[i] = (reconstruct(model, batch) - batch).double().square().sum()
    numbers = images[0].numel()
    full = len(images) // STUDY_BATCH
    return Errors(
        mse=float(sums.sum()) / (len(images) * numbers),
        study_error=float(sums[:full].sum()) / (STUDY_BATCH * numbers) if full else math.nan,
    )
