"""A code in whole numbers: each number of a code in equal steps, and what those take to store.

The quantizer and its tables are learned from the codes of some images and used for others', as a
decoder would have to have them before the first image comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SPANS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)  # tried, in standard deviations to either side
_TRIED_ON = 1_000  # codes: each range is tried on the first so many
_COUNTED_BEFORE = 0.5  # of every cell, seen or not: Krichevsky and Trofimov (1981)


@dataclass(frozen=True)
class Quantizer:
    """A uniform scalar quantizer for each of n numbers of a code, and its tables.

    `low` and `step`, float32 [n], are where the first cell of each number begins and how wide its
    cells are; `information`, float64 [n, 2 ** bits], is -log2 p of each cell.
    """

    bits: int
    low: Tensor
    step: Tensor
    information: Tensor

    def cells(self, codes: Tensor) -> Tensor:
        """The cell of each number of `codes`, float32 [N, n], int64 [N, n]; the outer cells are
        open to either side.
        """
        return _cells(codes, self.low, self.step, self.bits).long()

    def values(self, cells: Tensor) -> Tensor:
        """What stands for each of `cells`: its middle, float32."""
        return self.low + (cells + 0.5) * self.step

    def stored_bits(self, cells: Tensor) -> Tensor:
        """What an ideal arithmetic coder with these tables would take for each row of `cells`.

        Bits, float64 [N]: the sum of -log2 p over the numbers of the code, each of which has a
        table of its own that never changes. What one number tells of another is not used.
        """
        return self.information.expand(len(cells), -1, -1).gather(2, cells[..., None]).sum((1, 2))


def quantizer(codes: Tensor, bits: int) -> Quantizer:
    """The quantizer of `bits` bits a number that `codes`, float32 [N, n], call for.

    For each number several ranges are tried: from 1 to 6 standard deviations to either side of
    the mean, but never beyond the smallest and the largest of `codes`, and from the one to the
    other. The range with the smallest squared error of the code itself is taken. The tables hold
    how often each cell occurs in `codes`, to which half an occurrence is added, since none that
    can occur may have probability 0.

    Raises:
        ValueError: there are no codes, or some number of them is not finite.
    """
    if not codes.numel():
        raise ValueError("there are no codes")
    if not bool(codes.isfinite().all()):
        raise ValueError("some number of the codes is not finite")
    least, most = codes.amin(0), codes.amax(0)
    mean, spread = codes.mean(0), codes.std(0, correction=0)
    low, step = least, (most - least) / 2**bits
    some = codes[:_TRIED_ON]
    smallest = _error(some, low, step, bits)
    for span in _SPANS:
        start = torch.maximum(mean - span * spread, least)
        width = (torch.minimum(mean + span * spread, most) - start).clamp_(min=0) / 2**bits
        error = _error(some, start, width, bits)
        better = error < smallest
        low, step = torch.where(better, start, low), torch.where(better, width, step)
        smallest = torch.where(better, error, smallest)
    counts = _counts(_cells(codes, low, step, bits).long(), 2**bits)
    counts = counts.double() + _COUNTED_BEFORE
    return Quantizer(bits, low, step, -(counts / counts.sum(1, keepdim=True)).log2())


def _cells(codes: Tensor, low: Tensor, step: Tensor, bits: int) -> Tensor:
    """The cells as whole float32; of a number that never varies every code is in the first."""
    places = ((codes - low) / step).where(step > 0, 0.0)
    return places.floor_().clamp_(0, 2**bits - 1)


def _error(codes: Tensor, low: Tensor, step: Tensor, bits: int) -> Tensor:
    """Squared error of each number, summed over `codes`, [n]."""
    values = _cells(codes, low, step, bits).add_(0.5).mul_(step).add_(low)
    return values.sub_(codes).square_().sum(0)


def _counts(cells: Tensor, number: int) -> Tensor:
    """How often each of `number` cells occurs in each column of `cells`, [n, number]."""
    columns = cells.shape[1]
    places = cells + torch.arange(columns, device=cells.device) * number
    return torch.bincount(places.flatten(), minlength=columns * number).view(columns, number)
