"""Codes as compression: bytes per image against what is lost, beside PCA and picture formats.

Rows of the table `rates`. The code of a trained model is quantized (`quantizing`) and decoded by
the model itself; PCA with as many components and the same quantizer stands beside it, and the
formats that pictures are usually kept in (`formats`). Bytes of a code are what an ideal
arithmetic coder would take, with one table for each number of the code, learned on validation
images. Neither these tables nor what decodes are counted in them: see `decoder_bytes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aebench.architectures.autoencoder import reconstruction_of
from aebench.engines.device import ieee_float32
from aebench.engines.training import unit
from aebench.errors import printable
from aebench.evaluation import baselines, formats
from aebench.evaluation.baselines import Split
from aebench.evaluation.probes import IMAGES
from aebench.evaluation.quantizing import quantizer
from aebench.evaluation.reconstruction import STUDY_BATCH, reconstruct
from aebench.evaluation.similarity import ssim

BITS = (8, 6, 4, 2)
_WHOLE = 32  # bits of a number of a code as it is
_LEARNED_ON = 5_000  # validation images: that many suffice for 256 cells a number
_MOST_LEARNED = 2**25  # numbers of their codes, which are in memory several times over
_NEAR = 1e-3  # between what a model gives and what its decoder makes of its code, in pixels

Row = dict[str, Any]


@dataclass(frozen=True)
class Images:
    """What codes are judged on: `validation` and `test`, uint8 [N, C, H, W], on one device."""

    validation: Tensor
    test: Tensor

    @classmethod
    def of(cls, validation: Tensor, test: Tensor) -> Images:
        """The images taken of a data set's two parts: the first 5,000 and the first 1,000."""
        return cls(validation[:_LEARNED_ON], test[:IMAGES])

    @property
    def numbers(self) -> int:
        """Numbers of one image."""
        return self.test[0].numel()


class Unsuitable(Exception):
    """Codes that cannot be judged; the text says why."""


def compresses(bottleneck: int, numbers: int) -> bool:
    """Whether a code is at most two thirds of the image that it stands for."""
    return 3 * bottleneck <= 2 * numbers


def of_model(model: nn.Module, images: Images, bottleneck: int) -> tuple[list[Row], str]:
    """Rows of a trained model, and why there are none, or "".

    A model has an `encoder`; whose `decoder` makes of the code what the model itself makes of the
    image can be judged. Whatever its code raises here costs its job nothing but these rows.
    """
    if not compresses(bottleneck, images.numbers):
        return [], f"a code of {bottleneck} for {images.numbers} numbers compresses too little"
    try:
        return _of_model(model, images, bottleneck), ""
    except Unsuitable as error:
        return [], str(error)
    except (Exception, SystemExit) as error:
        told = f"{type(error).__name__} in encoder or decoder: {_text(error)}"
        return [], printable(told, _MOST_TOLD)


_MOST_TOLD = 300  # characters


def _text(error: BaseException) -> str:
    """What an error says, whatever its own code does when it is asked."""
    try:
        return str(error).partition("\n")[0]
    except BaseException:
        return "it cannot be put into words"


def _of_model(model: nn.Module, images: Images, bottleneck: int) -> list[Row]:
    encoder, decoder = getattr(model, "encoder", None), getattr(model, "decoder", None)
    if not isinstance(encoder, nn.Module) or not isinstance(decoder, nn.Module):
        raise Unsuitable("the model has no `decoder` module")
    shape: list[torch.Size] = []

    def encode(batch: Tensor) -> Tensor:
        code = _applied(encoder, batch)
        if not isinstance(code, Tensor) or not code.is_floating_point():
            raise Unsuitable(f"the code is a {type(code).__name__}, not one tensor of real numbers")
        if code.dim() < 2 or code[0].numel() != bottleneck or len(code) != len(batch):
            raise Unsuitable(f"of {len(batch)} images the code is {list(code.shape)}")
        shape[:] = [code.shape[1:]]
        return code.float().flatten(1)

    def decode(codes: Tensor) -> Tensor:
        return reconstruction_of(_applied(decoder, codes.view(-1, *shape[0]))).float()

    model.eval()
    first = unit(images.test[:STUDY_BATCH])
    again, wanted = decode(encode(first)), reconstruct(model, first)
    if again.shape != wanted.shape or not torch.allclose(again, wanted, rtol=0, atol=_NEAR):
        raise Unsuitable("the decoder makes something else of the code than the model gives")
    weights = sum(parameter.numel() for parameter in decoder.parameters())
    coded = _coded(encode, decode, images, bottleneck)
    return [{"codec": "model", "decoder_bytes": 4 * weights} | row for row in coded]


def of_pca(images: Images, components: int, found: baselines.Components) -> list[Row]:
    """Rows of PCA, for a code of as many numbers as a model's; what PCA `found` is given."""
    mean = torch.from_numpy(found.mean).to(images.test.device)
    directions = torch.from_numpy(found.directions[:, :components]).to(images.test.device)
    shape = images.test.shape[1:]

    def encode(batch: Tensor) -> Tensor:
        return (batch.flatten(1) - mean) @ directions

    def decode(codes: Tensor) -> Tensor:
        return (codes @ directions.T + mean).view(-1, *shape)

    weights = mean.numel() + directions.numel()
    coded = _coded(encode, decode, images, components)
    return [{"codec": "pca", "decoder_bytes": 4 * weights} | row for row in coded]


def baseline(
    train: Tensor, images: Images, split: Split, components: int, directory: Path
) -> list[Row]:
    """Rows of what no model is needed for: PCA of `train` with `components`, and `formats`.

    Empty where so many components hardly compress, as those of a model are.
    """
    if not compresses(components, images.numbers):
        return []
    found = formats.rows(images.test, split.data_sha256, directory, distortion)
    if len(images.validation):
        fitted = baselines.components(train, split, directory, images.test.device)
        found = [*of_pca(images, components, fitted), *found]
    return found


def _coded(
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    images: Images,
    numbers: int,
) -> list[Row]:
    """Rows of codes as they are, float32, and in fewer bits.

    `encode` takes images, float32 [N, C, H, W], to codes, [N, numbers]; `decode` takes them back.
    Of very long codes fewer validation images are learned from.

    Raises:
        Unsuitable: there are no validation images, or numbers that are not finite.
    """
    if not len(images.validation):
        raise Unsuitable("there are no validation images to learn the quantizer from")
    with torch.inference_mode(), ieee_float32():
        some = images.validation[: max(1, _MOST_LEARNED // numbers)]
        learned, codes = (
            torch.cat([encode(unit(part)) for part in each.split(STUDY_BATCH)])
            for each in (some, images.test)
        )
        if not bool(learned.isfinite().all() & codes.isfinite().all()):
            raise Unsuitable("some numbers of the code are not finite")
        rows = []
        for bits in (_WHOLE, *BITS):
            fitted = quantizer(learned, bits) if bits != _WHOLE else None
            stored, made = 0.0, []
            for part in codes.split(STUDY_BATCH):
                if fitted is None:
                    stored += bits * part.numel()
                    made.append(decode(part))
                else:
                    cells = fitted.cells(part)
                    stored += float(fitted.stored_bits(cells).sum())
                    made.append(decode(fitted.values(cells)))
            row = {"bottleneck": numbers, "bits": bits, "bytes_per_image": stored / 8 / len(codes)}
            row["fixed_bytes_per_image"] = bits * numbers / 8
            rows.append(row | distortion(images.test, torch.cat(made)))
    return rows


def distortion(images: Tensor, made: Tensor) -> Row:
    """What was lost of `images`, uint8 [N, C, H, W], in `made`, which is uint8 or float32.

    As columns: `images`, how many; `mse` per pixel, pixels in [0, 1]; `ssim`, or None.

    Raises:
        Unsuitable: a number of `made` is not finite.
    """
    squares, similar = 0.0, 0.0
    none = False
    for clean, other in zip(images.split(STUDY_BATCH), made.split(STUDY_BATCH), strict=True):
        x = unit(clean)
        y = unit(other) if other.dtype == torch.uint8 else other
        y = y.to(x.device)
        squares += float((x.double() - y.double()).square().sum())
        alike = ssim(x, y)
        none = alike is None
        similar += 0.0 if alike is None else float(alike.sum())
    if not math.isfinite(squares):
        raise Unsuitable("some pixels of what is decoded are not finite")
    count = len(images)
    return {
        "images": count,
        "mse": squares / images.numel(),
        "ssim": None if none else similar / count,
    }


def _applied(module: nn.Module, batch: Tensor) -> Any:
    """What `module`, in use, makes of a copy of `batch`, in IEEE float32."""
    with torch.inference_mode(), ieee_float32():
        return module(batch.clone())
