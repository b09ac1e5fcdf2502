"""A trained model on images of somebody's own: read, reconstructed, and written with their errors.

An image has to be as those that the model was trained on, in size and colours, unless the user
wants it brought to that: cropped around its centre, resized and turned to grey or to colours as
a folder of images is (see `datasets.folder`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from aebench.architectures import Shape
from aebench.datasets import pictures
from aebench.disk import write_whole
from aebench.engines.training import unit
from aebench.errors import RequestError, printable
from aebench.evaluation.reconstruction import STUDY_BATCH, png, psnr_db, reconstruct
from aebench.models.weights import Loaded

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

TABLE = "errors.csv"
_MODES = {1: "L", 3: "RGB"}
_NAMED = 5


@dataclass(frozen=True)
class Applied:
    """One image: its name below the folder that was given, the file made of it, and its MSE.

    `mse` is per pixel, against the image as the model was given it, pixels in [0, 1].
    """

    name: str
    output: Path
    mse: float

    @property
    def psnr_db(self) -> float:
        """10 log10(1 / mse)."""
        return psnr_db(self.mse)


@dataclass(frozen=True)
class Answer:
    """What came of all images, and what could not be read, each in a sentence."""

    images: Sequence[Applied]
    left_out: Sequence[str]


def apply(loaded: Loaded, given: Sequence[Path], output: Path, *, resize: bool = False) -> Answer:
    """Reconstruct the images `given`, files or folders, into PNGs in the folder `output`.

    Beside them goes ``errors.csv``. Every image is looked at before the first is written.

    Raises:
        RequestError: nothing that can be read, an image of another size or other colours, one
            that would be overwritten, or the system refuses to write.
    """
    files, left_out = _files(given)
    opened = pictures.open_whole([path for _, path in files])
    images: list[tuple[str, Path, Image]] = []
    for (name, path), result in zip(files, opened, strict=True):
        if isinstance(result, str):
            left_out.append(f"{printable(name)}: {printable(result)}")
        else:
            images.append((name, path, result))
    if not images:
        raise RequestError("no image can be read" + "".join(f"\n  {w}" for w in left_out[:_NAMED]))
    pixels = _pixels([(name, image) for name, _, image in images], loaded.shape, resize)
    targets = _targets([name for name, _, _ in images], output)
    inputs = {path.resolve() for _, path in files}
    for target in (*targets, output / TABLE):
        if target.resolve() in inputs:
            raise RequestError(
                f"--output {printable(output)}: {printable(target.name)} would replace an image"
                " that was given; choose another folder"
            )
    done = []
    try:
        for start in range(0, len(pixels), STUDY_BATCH):
            batch = unit(pixels[start : start + STUDY_BATCH])
            made = reconstruct(loaded.model, batch)
            errors = (made - batch).double().square().flatten(1).mean(1).tolist()
            for i, mse in enumerate(errors):
                name, target = images[start + i][0], targets[start + i]
                write_whole(target, png(made[i : i + 1]))
                done.append(Applied(name, target, mse))
        write_whole(output / TABLE, _table(done, output))
    except OSError as error:
        raise RequestError(
            f"cannot write to {printable(output)} ({error.strerror or error});"
            " choose another folder with --output"
        ) from error
    return Answer(done, left_out)


def _files(given: Sequence[Path]) -> tuple[list[tuple[str, Path]], list[str]]:
    """Every file that may be an image, with its name; and what cannot be one, in words."""
    files: list[tuple[str, Path]] = []
    left_out: list[str] = []
    for path in given:
        if path.is_dir():
            found, unread = pictures.files(path)
            files += sorted(found)
            left_out += [f"{printable(name)}: {printable(why)}" for name, why in unread]
        elif path.is_file():
            files.append((path.name, path))
        else:
            raise RequestError(f"no image or folder of images at {printable(path)}")
    return files, left_out


def _pixels(images: Sequence[tuple[str, Image]], shape: Shape, resize: bool) -> Tensor:
    """The images as the model takes them, uint8 [N, *shape].

    Raises:
        RequestError: without `resize`, one has another size, or other colours.
    """
    channels, height, width = shape
    mode = _MODES.get(channels)
    if mode is None:
        raise RequestError(f"this model takes images of {channels} channels, which no file holds")
    arrays = []
    for name, image in images:
        if (image.size, image.mode) != ((width, height), mode):
            if not resize:
                raise RequestError(
                    f"{printable(name)} is {_said(*image.size, image.mode)}, and this model takes"
                    f" {_said(width, height, mode)}; with --resize it is cropped around its centre,"
                    " resized and recoloured"
                )
            image = pictures.fit(image.convert(mode), width, height)
        arrays.append(np.asarray(image, np.uint8).reshape(height, width, channels))
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def _said(width: int, height: int, mode: str) -> str:
    return f"{width} x {height} in {'grey' if mode == 'L' else 'colour'}"


def _targets(names: Sequence[str], output: Path) -> list[Path]:
    """A PNG for each image, in its subfolder, no two alike."""
    taken: dict[Path, None] = {}
    for name in names:
        plain = Path(name)
        choices = [plain.with_suffix(".png"), plain.with_name(f"{plain.name}.png")]
        choices += [plain.with_name(f"{plain.name}-{i}.png") for i in range(2, len(names) + 2)]
        taken[next(c for c in choices if c not in taken)] = None
    return [output / target for target in taken]


def _table(done: Sequence[Applied], output: Path) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["image", "output", "mse", "psnr_db"])
    for each in done:
        made = each.output.relative_to(output).as_posix()
        writer.writerow([each.name, made, repr(each.mse), repr(each.psnr_db)])
    return file.getvalue().encode("utf-8", "surrogateescape")
