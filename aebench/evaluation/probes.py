"""Probes: what a trained model makes of inputs that it was not trained on.

Two kinds: its own test images with Gaussian noise, and images from elsewhere. Each gives rows of
the `probes` table and pictures for `samples`; whether a number is good is the report's business.
Nothing is downloaded for a probe. Inputs are the same for every job of a data set, on every
device and in every engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from aebench import datasets, schema
from aebench.datasets import adopted
from aebench.datasets.catalogue import bundled
from aebench.engines.training import unit
from aebench.evaluation.reconstruction import (
    SHOWN_IMAGES,
    STUDY_BATCH,
    picture,
    psnr_db,
    reconstruct,
)

IMAGES = 1_000  # the first so many of a test set, or all of a smaller one
AMPLITUDES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)  # 0.3 and 0.8 are the study's; 0 is no noise
PICTURED = (0.3, 0.8)
PHOTOS = ("china.jpg", "flower.jpg")  # scikit-learn brings both; the first is a landscape
_STRANGERS_SHOWN = 4  # images of each other data set in the strip, after the photographs

# Sets the probes' noise apart from whatever else is drawn from a seed: "probe" in ASCII.
_STREAM = int.from_bytes(b"probe", "big")

Row = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A trained model with what it was trained for.

    `test` is its data set's test images, uint8 [N, C, H, W]; `mean` its mean training image,
    float64 [C, H, W], pixels in [0, 1].
    """

    model: nn.Module
    dataset: str
    test: Tensor
    mean: Tensor
    device: torch.device

    def outputs(self, inputs: Tensor) -> Tensor:
        """What the model makes of `inputs`, float32 [N, C, H, W], in batches of 128."""
        parts = inputs.to(self.device).split(STUDY_BATCH)
        return torch.cat([reconstruct(self.model, part) for part in parts])


def noise(dataset: str, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Standard normal noise, float32 of `shape`, on the CPU; it depends on the name alone.

    Every amplitude scales the same noise, so that amplitudes differ in nothing else.
    """
    stream = [_STREAM, int.from_bytes(dataset.encode(), "big")]
    seed = int(np.random.SeedSequence(stream).generate_state(1, np.uint64)[0] >> 1)
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def denoising(subject: Subject) -> tuple[list[Row], list[Row]]:
    """Rows of `probes` and `samples`, without key: noisy test images in, clean ones expected.

    Noise of each amplitude is added to the first `IMAGES` test images, and not clipped, as in the
    study. Beside the model's error stand those of the noisy images themselves (`input_mse`), of
    the same clipped to the range of pixels (`clipped_mse`: what anything with a bounded output
    gains for free), and of the baselines that `_against` adds.
    """
    clean = unit(subject.test[:IMAGES].to(subject.device))
    drawn = noise(subject.dataset, clean.shape).to(subject.device)
    rows, pictures = [], []
    for amplitude in AMPLITUDES:
        noisy = clean + amplitude * drawn
        outputs = subject.outputs(noisy)
        rows.append(
            {"kind": schema.DENOISING, "input": "test images", "amplitude": amplitude}
            | _against(subject, outputs, clean)
            | {"input_mse": _mse(noisy, clean), "clipped_mse": _mse(noisy.clamp(0, 1), clean)}
        )
        if amplitude in PICTURED:
            few = slice(0, SHOWN_IMAGES)
            mse = _mse(outputs[few], clean[few])
            pictures.append(picture(schema.noisy_kind(amplitude), noisy[few], outputs[few], mse))
    return rows, pictures


def strangers(subject: Subject, directory: Path | None) -> tuple[list[Row], list[Row]]:
    """Rows of `probes` and `samples`, without key: photographs and other data sets' test images.

    Of every other data set with as many channels the first `IMAGES` test images take part if it
    lies in the cache in `directory`; otherwise its row has 0 images and no errors.
    """
    rows, shown = [], []
    for name, images in _strangers(subject, directory):
        row: Row = {"kind": schema.STRANGERS, "input": name, "images": 0}
        if images is not None:
            clean = images.to(subject.device)
            outputs = subject.outputs(clean)
            row |= _against(subject, outputs, clean)
            few = _STRANGERS_SHOWN
            shown.append((clean[:few], outputs[:few]))
        rows.append(row)
    if not shown:
        return rows, []
    inputs, outputs = (torch.cat(parts) for parts in zip(*shown, strict=True))
    return rows, [picture(schema.STRANGERS, inputs, outputs, _mse(outputs, inputs))]


def _strangers(subject: Subject, directory: Path | None) -> Iterator[tuple[str, Tensor | None]]:
    """Names and images, float32 [N, C, H, W] of the subject's size; None for what is not there."""
    channels, height, width = subject.test.shape[1:]
    if channels in (1, 3):
        for name in PHOTOS:
            yield name, _photo_of_size(name, channels, height, width)
    for name in datasets.names():
        if adopted.is_name(name):  # which of those a process knows depends on what it ran before
            continue
        if name != subject.dataset and datasets.info(name).channels == channels:
            try:
                yield name, _test_images_of_size(name, directory, height, width)
            except LookupError:
                yield name, None


# A worker tests one model after another on the same images, and resizing takes longer than that.
@lru_cache(maxsize=8)
def _photo_of_size(name: str, channels: int, height: int, width: int) -> Tensor:
    return resized(photo(name, channels), height, width)


@lru_cache(maxsize=8)
def _test_images_of_size(name: str, directory: Path | None, height: int, width: int) -> Tensor:
    """The first test images of a data set; LookupError, which is not kept, if it is not cached."""
    data = datasets.cached(name, directory)
    if data is None:
        raise LookupError(name)
    return resized(torch.from_numpy(data.test[:IMAGES].copy()), height, width)


def photo(name: str, channels: int) -> Tensor:
    """One of scikit-learn's photographs, cut to its central square: uint8 [1, channels, S, S].

    Grey (one channel) is the luma of ITU-R Recommendation BT.601, as Pillow computes it.
    """
    with Image.open(bundled("images", name)) as file:
        image = file.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    pixels = np.array(image.convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(pixels.reshape(side, side, channels)).permute(2, 0, 1)[None]


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """`images`, uint8 [N, C, H, W], as float32 [N, C, height, width] in [0, 1].

    Pillow's bilinear filter, which widens with the reduction (antialiasing) and stays within the
    range of the pixels; torchvision's `Resize`, the customary way in such a
    lab, uses the same. Images of that size already are not filtered.
    """
    if images.shape[2:] != (height, width):
        planes = images.flatten(0, 1).numpy()
        small = [
            np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BILINEAR))
            for p in planes
        ]
        images = torch.from_numpy(np.stack(small)).reshape(*images.shape[:2], height, width)
    return unit(images)


def _against(subject: Subject, outputs: Tensor, clean: Tensor) -> Row:
    """Errors against `clean`, of the model and of two answers that need no code.

    `mean_mse` is that of the mean training image, whatever was fed in; `flat_mse` that of the
    best flat image, each channel of each image at its own mean: the variance within the images.
    """
    mse = _mse(outputs, clean)
    return {
        "images": len(clean),
        "mse": mse,
        "psnr_db": psnr_db(mse),
        "mean_mse": _mse(clean, subject.mean.to(clean.device)),
        "flat_mse": _mse(clean, clean.double().mean((2, 3), keepdim=True)),
    }


def _mse(one: Tensor, other: Tensor) -> float:
    """Mean squared error of images [N, ...], or of each against a single one, summed in float64."""
    total = torch.zeros((), dtype=torch.float64, device=one.device)
    other = other.expand_as(one)
    # In parts that a CPU's cache can hold: all at once takes three to five times as long.
    for a, b in zip(one.split(STUDY_BATCH), other.split(STUDY_BATCH), strict=True):
        total += (a.double() - b.double()).square().sum()
    return float(total) / one.numel()
