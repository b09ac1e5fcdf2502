"""What a trained model makes of whole images: errors, appearance, and pictures for the report.

Sums are kept in float64 on the device and read once. Every model is evaluated in float32, whatever
precision it was trained in, so that errors compare; and on copies of the images, for a model may
write into what it is given.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from aebench import schema
from aebench.architectures.autoencoder import reconstruction_of
from aebench.engines.device import ieee_float32
from aebench.engines.training import unit

STUDY_BATCH = 128  # the study sums over batches of this size, whatever a job trains with
SHOWN_IMAGES = 10  # a strip that fits across a page; always the first of the test set
_COLOUR = ("luma_mse", "chroma_mse", "luma_variance", "chroma_variance")


@dataclass(frozen=True)
class Errors:
    """`mse` per pixel over all images; `study_error` as the study defines its error."""

    mse: float
    study_error: float


def psnr_db(mse: float) -> float:
    """10 log10(1 / mse) in decibels: the peak of pixels in [0, 1] is 1. Infinite for 0."""
    return math.inf if mse == 0 else -10 * math.log10(mse)


def reconstruct(model: nn.Module, images: Tensor) -> Tensor:
    """Run a copy of `images`, float32 [N, C, H, W] on the model's device, through the model."""
    with torch.inference_mode(), ieee_float32():
        output = model.eval()(images.clone())
    return reconstruction_of(output).float()


def _batches(
    model: nn.Module, images: Tensor, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """`images`, uint8, in batches of 128 of float32, and what the model makes of each."""
    for part in images.split(STUDY_BATCH):
        batch = unit(part.to(device))
        yield batch, reconstruct(model, batch)


def measure(model: nn.Module, images: Tensor, device: torch.device) -> Errors:
    """Errors over `images`, uint8 [N, C, H, W]; the model is on `device`.

    `study_error` is the sum, over the full batches of 128, of the batch's mean squared error.
    With fewer than 128 images there is no full batch, and it is NaN: 0 would read as perfect. Of
    no images at all, which is the validation split of some data sets, both errors are NaN.
    """
    if not len(images):
        return Errors(mse=math.nan, study_error=math.nan)
    sums = torch.zeros(math.ceil(len(images) / STUDY_BATCH), dtype=torch.float64, device=device)
    for i, (batch, output) in enumerate(_batches(model, images, device)):
        sums[i] = (output - batch).double().square().sum()
    numbers = images[0].numel()
    full = len(images) // STUDY_BATCH
    return Errors(
        mse=float(sums.sum()) / (len(images) * numbers),
        study_error=float(sums[:full].sum()) / (STUDY_BATCH * numbers) if full else math.nan,
    )


def appearance(model: nn.Module, test: Tensor, device: torch.device) -> dict[str, float | None]:
    """Columns of the `jobs` table over all of `test`, uint8 [N, C, H, W]: what pictures show.

    Colour images (C = 3) are split into luma Y and chroma Cb, Cr by ITU-R Recommendation BT.601,
    full range: Y in [0, 1], Cb and Cr in [-0.5, 0.5]. `luma_mse` is the mean squared error of Y,
    `chroma_mse` the mean of those of Cb and Cr. Each has the error of the best picture without
    the thing beside it: `luma_variance` is that of flat images of the right brightness, so there
    is no shape (variance within each image); `chroma_variance` that of images all tinted with
    the test set's mean chroma, so there is no colour (variance over the whole set). Error over
    variance is the unexplained share, 1 - r2. For other images these four are None.

    `sharpness` is the energy of the Laplacian of the outputs over that of the originals, on Y or
    on the grey channels: below 1 fine detail is lost (blur), but noise in an output adds to it.
    Energy of the Laplacian as a measure of focus: M. Subbarao, T. Choi, A. Nikzad, Focusing
    techniques, Optical Engineering 32(11), 1993; LAP1 in S. Pertuz, D. Puig, M. A. Garcia,
    Pattern Recognition 46(5), 2013. None where the originals have no detail at all.
    """
    colour = test.shape[1] == 3
    sums: dict[str, Tensor] = {}

    def add(**parts: Tensor) -> None:
        for name, part in parts.items():
            sums[name] = sums[name] + part if name in sums else part

    for batch, made in _batches(model, test, device):
        output, clean = made.double(), batch.double()
        if colour:
            output, clean = ycbcr(output), ycbcr(clean)
            error, chroma = (output - clean).square(), clean[:, 1:]
            output, clean = output[:, :1], clean[:, :1]
            add(
                luma=error[:, 0].sum(),
                luma_own=(clean - clean.mean((2, 3), keepdim=True)).square().sum(),
                chroma=error[:, 1:].sum((0, 2, 3)),
                chroma_sum=chroma.sum((0, 2, 3)),
                chroma_squares=chroma.square().sum((0, 2, 3)),
            )
        add(detail=laplacian(output).square().sum(), own_detail=laplacian(clean).square().sum())
    own_detail = float(sums["own_detail"])
    sharpness = {"sharpness": float(sums["detail"]) / own_detail if own_detail else None}
    if not colour:
        return sharpness | dict.fromkeys(_COLOUR)
    numbers = len(test) * test.shape[2] * test.shape[3]
    variance = sums["chroma_squares"] / numbers - (sums["chroma_sum"] / numbers).square()
    values = (
        float(sums["luma"]) / numbers,
        float((sums["chroma"] / numbers).mean()),
        float(sums["luma_own"]) / numbers,
        float(variance.mean()),
    )
    return sharpness | dict(zip(_COLOUR, values, strict=True))


def ycbcr(images: Tensor) -> Tensor:
    """RGB [N, 3, H, W] in [0, 1] as Y, Cb, Cr: BT.601, full range, chroma centred on 0."""
    red, green, blue = images.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, (blue - luma) / 1.772, (red - luma) / 1.402], dim=1)


def laplacian(images: Tensor) -> Tensor:
    """Second differences to the four neighbours, [N, C, H - 2, W - 2]: no border is made up."""
    if min(images.shape[2:]) < 3:
        return images.new_zeros(())
    around = images[..., :-2, 1:-1] + images[..., 2:, 1:-1]
    around = around + images[..., 1:-1, :-2] + images[..., 1:-1, 2:]
    return around - 4 * images[..., 1:-1, 1:-1]


def strips(model: nn.Module, test: Tensor, device: torch.device) -> list[dict[str, Any]]:
    """Rows of the `samples` table, without their key, for `test`, uint8 [N, C, H, W]."""
    inputs = unit(test[:SHOWN_IMAGES].to(device))
    outputs = reconstruct(model, inputs)
    mse = float((outputs - inputs).double().square().mean())
    return [picture(schema.RECONSTRUCTION, inputs, outputs, mse)]


def picture(kind: str, inputs: Tensor, outputs: Tensor, mse: float) -> dict[str, Any]:
    """A row of the `samples` table, without its key; images are float32 [N, C, H, W]."""
    return {
        "kind": kind,
        "images": len(inputs),
        "input_png": png(inputs),
        "output_png": png(outputs),
        "mse": mse,
    }


def png(images: Tensor) -> bytes:
    """One PNG with `images`, float [N, C, H, W], clipped to [0, 1], side by side.

    One channel is grey, three are red, green and blue; of any other number the mean is shown.
    """
    if images.shape[1] not in (1, 3):
        images = images.mean(1, keepdim=True)
    strip = torch.cat(list(images.cpu().clamp(0, 1)), dim=2).permute(1, 2, 0)
    pixels = (strip * 255).round().to(torch.uint8).numpy()
    image = Image.fromarray(np.squeeze(pixels, axis=2) if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
