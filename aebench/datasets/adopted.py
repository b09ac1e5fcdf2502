"""Data of one's own once it has become a dataset: its name, and its pixels in the data cache.

The name is ``KIND:NAME-DIGEST``: folder, file, array or torchvision, what the user calls it, and
the first eight digits of the pixels' checksum. Other pixels are thus another dataset with other
job keys, and no path of the machine gets into a record. Worker processes read the cache by name
only. How things become pixels is decided by the module of each kind.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aebench.datasets import cache, catalogue
from aebench.datasets.catalogue import DatasetInfo, UnknownDataset
from aebench.errors import printable

if TYPE_CHECKING:
    from aebench.datasets.catalogue import Pixels
    from aebench.datasets.given import Images

FOLDER, FILE, ARRAY, TORCHVISION = "folder:", "file:", "array:", "torchvision:"
_TITLES = {
    FOLDER: "images of the folder {}",
    FILE: "images of the file {}",
    ARRAY: "images of the array {}",
    TORCHVISION: "torchvision's {}",
}
LEAST_IMAGES = 20  # two each for validation and test, of those that are split by us
_LONGEST_NAME = 200  # bytes of the user's name in the dataset's, which names a file: 255 at most
_NAMED = 5  # things left out that are named one by one
_NUMBERS = (
    "channels", "height", "width", "train_images", "test_images", "validation_images",
)  # fmt: skip


@dataclass(frozen=True)
class Adopted:
    """What has become a dataset: what it is called now, and what was left out or changed.

    `files` counts what there was of a folder, `left_out` names what could not be read of it, with
    the reason; `remark` is a sentence on how other data became pixels and a split.
    """

    info: DatasetInfo
    files: int = 0
    left_out: tuple[tuple[str, str], ...] = ()
    remark: str = ""

    @property
    def note(self) -> str:
        """One sentence that whoever trains on it should read; mostly empty."""
        if not self.left_out:
            return self.remark and f"{self.info.name}: {self.remark}"
        named = ", ".join(told(*left) for left in self.left_out[:_NAMED])
        more = len(self.left_out) - _NAMED
        return (
            f"{self.info.name}: {len(self.left_out):,} of {self.files:,} files are no readable"
            f" images and were left out: {named}{f' and {more:,} more' if more > 0 else ''}"
        )


def told(name: str, why: str) -> str:
    """A thing that was left out, in words."""
    return f"{printable(name)} ({printable(why)})"


def is_name(name: str) -> bool:
    """Whether `name` is that of data that has become a dataset: ``KIND:NAME-DIGEST``."""
    # The name of a class of torchvision's has no digits after a hyphen.
    return name.startswith((FOLDER, FILE, ARRAY)) or bool(
        name.startswith(TORCHVISION) and re.search("-[0-9a-f]{8}$", name)
    )


def cache_folder(name: str, store: Path) -> Path:
    """Where the cache folder `store` keeps the pixels of the dataset `name`."""
    return store / name.replace(":", "-")  # Windows has no colon in file names


def cached(name: str, directory: Path | None = None) -> Adopted:
    """Find a dataset by its name ``KIND:NAME-DIGEST`` in the cache, and register it.

    Raises:
        UnknownDataset: it is not in this cache.
    """
    store = cache.cache_directory(directory)
    found = known(cache_folder(name, store), name.rpartition("-")[0])
    if found is None or found.info.name != name:
        what = "the folder" if name.startswith(FOLDER) else "the data"
        where = "PATH/TO/FOLDER" if name.startswith(FOLDER) else "PATH/TO/FILE"
        raise UnknownDataset(
            f"{name!r} is not in the data cache {store}; give {what} itself, as in"
            f" --dataset {where}"
        )
    return registered(found)


def found(begin: str, stamp: str, directory: Path | None) -> Adopted | None:
    """The dataset in the cache whose name is ``begin-DIGEST``, made of what has this `stamp`."""
    store = cache.cache_directory(directory)
    candidates: list[Path] = []
    with contextlib.suppress(OSError):  # a cache that cannot be, which is told when it is written
        candidates = sorted(store.glob(cache_folder(f"{begin}-*", Path()).name))
    for candidate in candidates:
        if (adopted := known(candidate, begin, stamp)) is not None:
            return registered(adopted)
    return None


def registered(adopted: Adopted) -> Adopted:
    """Add it to the catalogue, with a loader that can only say that the cache has lost it."""

    name = adopted.info.name

    def lost() -> tuple[Pixels, Pixels]:
        what = "the folder itself" if name.startswith(FOLDER) else "the data itself"
        raise UnknownDataset(f"{name!r} is no longer in the data cache; give {what} again")

    catalogue.register(adopted.info, lost)
    return adopted


def slug(name: str) -> str:
    """The user's own name without what would disturb a file name, a list or a table."""
    letters = unicodedata.normalize("NFC", name)
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in letters).strip("-.")
    while len(kept.encode()) > _LONGEST_NAME:
        kept = kept[:-1]
    return kept or "images"


def named(begin: str, images: Images, validation_images: int, chosen: str = "") -> DatasetInfo:
    """What is known of `images` as the dataset ``begin-DIGEST``.

    `chosen` says what was asked for besides the pixels that changes a job's numbers; it is part of
    the digest.
    """
    digests = catalogue.pixel_sha256(images.train), catalogue.pixel_sha256(images.test)
    checksum = catalogue.combined_sha256(*digests)
    if chosen:
        checksum = hashlib.sha256(f"{checksum} {chosen}".encode()).hexdigest()
    numbers = (*images.train.shape[1:], len(images.train), len(images.test), validation_images)
    return _info(f"{begin}-{checksum[:8]}", dict(zip(_NUMBERS, numbers, strict=True)), *digests)


def _info(
    name: str, numbers: Mapping[str, int], train_sha256: str, test_sha256: str
) -> DatasetInfo:
    begin = name.rpartition("-")[0]
    kind, _, own = begin.partition(":")
    return DatasetInfo(
        name=name,
        title=_TITLES[f"{kind}:"].format(own),
        channels=numbers["channels"],
        height=numbers["height"],
        width=numbers["width"],
        train_images=numbers["train_images"],
        test_images=numbers["test_images"],
        # Caches of folders that older versions made do not tell: there they are as many.
        validation_images=numbers.get("validation_images", numbers["test_images"]),
        citation="",
        train_sha256=train_sha256,
        test_sha256=test_sha256,
    )


def keep(adopted: Adopted, images: Images, stamp: str, directory: Path | None) -> Adopted:
    """Put the pixels, and labels if there are any, into the cache, and register the dataset.

    Raises:
        RequestError: the cache cannot be written.
    """
    info = adopted.info
    target = cache_folder(info.name, cache.cache_directory(directory))
    about: dict[str, Any] = {
        "stamp": stamp,
        "files": adopted.files,
        "left_out": adopted.left_out,
        "remark": adopted.remark,
        "info": {name: getattr(info, name) for name in _NUMBERS},
        "sha256": [info.train_sha256, info.test_sha256],
    }
    with cache.locked(info, target), cache.scratch_folder(target) as scratch:
        cache.store(images, info, target, scratch, {"folder": about})
    return registered(adopted)


def known(kept: Path, begin: str, stamp: str | None = None) -> Adopted | None:
    """What the cache folder `kept` holds, if it is whole, of a dataset ``begin-DIGEST``.

    With `stamp` only what was made from what has it, and then every pixel is checked: who gives
    the data itself can have it read again.
    """
    try:
        meta = cache.read_meta(kept)
        about = meta["folder"]
        if stamp is not None and about["stamp"] != stamp:
            return None
        info = _info(str(meta["name"]), about["info"], *about["sha256"])
        cache.read(info, kept, full=stamp is not None)
        left_out = tuple((str(name), str(why)) for name, why in about["left_out"])
        adopted = Adopted(info, int(about["files"]), left_out, str(about.get("remark", "")))
    except (cache.Absent, cache.Damaged, KeyError, TypeError, ValueError):
        return None
    return adopted if info.name.rpartition("-")[0] == begin else None
