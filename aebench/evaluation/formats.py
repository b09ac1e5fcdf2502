"""Formats for pictures, the usual way to make images small: what they take and what they lose.

Every image is a file of its own, as Pillow writes it, headers and all: of a JPEG of 28 x 28 pixels
these are the greater part. What comes out is decoded by Pillow again. It depends on the images
and on Pillow's codecs alone, takes seconds, and so is kept beside the data. torch is imported to
compute only.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, __version__, features

from aebench.evaluation import kept
from aebench.evaluation.kept import Damaged

if TYPE_CHECKING:
    from torch import Tensor

QUALITIES = {"jpeg": (1, 10, 25, 50, 75, 90), "webp": (0, 10, 25, 50, 75, 90)}
# The smallest files that Pillow can be asked for, at each of these qualities and without loss.
_SMALL: dict[str, dict[str, Any]] = {
    "jpeg": {"optimize": True},
    "webp": {"method": 6},
    "png": {"optimize": True},
}
_FEATURES = {"jpeg": "jpg", "webp": "webp", "png": "zlib"}  # as Pillow calls what writes them
_MODES = {1: "L", 3: "RGB"}

Row = dict[str, Any]
Judge = Callable[["Tensor", "Tensor"], Row]
"""What is lost: from images and others, float32 [N, C, H, W], to columns of a row."""


def settings() -> Iterator[tuple[str, int | None]]:
    """Every format that this Pillow can write, and the quality asked; None is without loss."""
    asked = [(name, quality) for name, qualities in QUALITIES.items() for quality in qualities]
    for name, quality in [*asked, ("webp", None), ("png", None)]:
        if features.check(_FEATURES[name]):
            yield name, quality


def encode(pixels: NDArray[np.uint8], name: str, quality: int | None) -> bytes:
    """The file of one image, uint8 [C, H, W] of one channel or three."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    lossless = {"lossless": True} if name == "webp" and quality is None else {}
    asked = {} if quality is None else {"quality": quality}
    image.save(file, format=name, **_SMALL[name], **lossless, **asked)
    return file.getvalue()


def decode(content: bytes, channels: int) -> NDArray[np.uint8]:
    """The image in a file, uint8 [C, H, W]. WebP knows no grey: its luma is taken."""
    with Image.open(io.BytesIO(content)) as file:
        pixels = np.asarray(file.convert(_MODES[channels]))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def rows(images: Tensor, data_sha256: str, directory: Path, judge: Judge) -> list[Row]:
    """Rows of the table `rates`, without what they belong to, for `images`, uint8 [N, C, H, W].

    None for images of other than one or three channels, which no such file can hold. What was
    computed of the data with this checksum, with the same codecs, is taken from the data cache
    `directory`, or put there.
    """
    if images.shape[1] not in _MODES:
        return []
    of = {"data_sha256": data_sha256, "images": len(images), "codecs": _codecs()}
    path = path_of(directory, of)
    with contextlib.suppress(OSError, Damaged):
        stored = kept.read(path)
        found: list[Row] = stored.pop("rows")
        if stored == of:
            return found
    found = [_row(images, name, quality, judge) for name, quality in settings()]
    with contextlib.suppress(OSError):
        kept.write(path, of | {"rows": found})
    return found


def path_of(directory: Path, of: dict[str, Any]) -> Path:
    """Where the data cache `directory` keeps what was computed of these images and codecs."""
    name = f"formats-{of['data_sha256'][:16]}-{kept.checksum(of)[:8]}.json"
    return directory / kept.FOLDER / name


def verify(directory: Path) -> dict[str, str]:
    """Look at every file of `rows` in the data cache `directory`: see `kept.verify`."""

    def right(path: Path) -> Path:
        of = kept.read(path)
        of.pop("rows", None)
        return path_of(directory, of)

    return kept.verify(directory, "formats-*.json", right)


def _codecs() -> dict[str, Any]:
    """What decides the bytes: versions of the codecs, and what they are asked for."""
    versions = {name: str(features.version(name)) for name in ("jpg", "libjpeg_turbo", "webp")}
    asked = [[name, quality, _SMALL[name]] for name, quality in settings()]
    return (
        {"pillow": __version__, "zlib": str(features.version("zlib"))} | versions | {"asked": asked}
    )


def _row(images: Tensor, name: str, quality: int | None, judge: Judge) -> Row:
    import torch

    pixels = images.cpu().numpy()
    files = [encode(each, name, quality) for each in pixels]
    decoded = np.stack([decode(file, pixels.shape[1]) for file in files])
    size = sum(map(len, files)) / len(files)
    made = torch.from_numpy(decoded)
    return {"codec": name, "quality": quality, "bytes_per_image": size} | judge(images, made)
