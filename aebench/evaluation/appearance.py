"""What reconstructions look like, in numbers: the shares of brightness and of colour in the error,
and how much of the fine detail is there. They stand for what the study shows as pictures only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aebench.evaluation.errors import STUDY_BATCH, reconstruct


def measure(model: nn.Module, test: Tensor, device: torch.device) -> dict[str, float | None]:
    """Columns of the `jobs` table over all of `test`, uint8 [N, C, H, W].

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
    sums = dict.fromkeys(("luma", "luma_own", "detail", "detail_own"), _zeros(1, device))
    sums |= dict.fromkeys(("chroma", "chroma_sum", "chroma_squares"), _zeros(2, device))
    for part in test.split(STUDY_BATCH):
        batch = part.to(device, torch.float32).div_(255)
        output, clean = reconstruct(model, batch).double(), batch.double()
        if colour:
            output, clean = ycbcr(output), ycbcr(clean)
            error = (output - clean).square()
            own = clean[:, :1] - clean[:, :1].mean((2, 3), keepdim=True)
            chroma = clean[:, 1:]
            sums["luma"] = sums["luma"] + error[:, 0].sum()
            sums["luma_own"] = sums["luma_own"] + own.square().sum()
            sums["chroma"] = sums["chroma"] + error[:, 1:].sum((0, 2, 3))
            sums["chroma_sum"] = sums["chroma_sum"] + chroma.sum((0, 2, 3))
            sums["chroma_squares"] = sums["chroma_squares"] + chroma.square().sum((0, 2, 3))
            output, clean = output[:, :1], clean[:, :1]
        sums["detail"] = sums["detail"] + laplacian(output).square().sum()
        sums["detail_own"] = sums["detail_own"] + laplacian(clean).square().sum()
    detail, own_detail = float(sums["detail"]), float(sums["detail_own"])
    found: dict[str, float | None] = {"sharpness": detail / own_detail if own_detail else None}
    if not colour:
        return found | dict.fromkeys(_COLOUR)
    numbers = len(test) * test.shape[2] * test.shape[3]
    variance = sums["chroma_squares"] / numbers - (sums["chroma_sum"] / numbers).square()
    values = (
        float(sums["luma"]) / numbers,
        float((sums["chroma"] / numbers).mean()),
        float(sums["luma_own"]) / numbers,
        float(variance.mean()),
    )
    return found | dict(zip(_COLOUR, values, strict=True))


_COLOUR = ("luma_mse", "chroma_mse", "luma_variance", "chroma_variance")


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


def _zeros(numbers: int, device: torch.device) -> Tensor:
    return torch.zeros(numbers, dtype=torch.float64, device=device)
