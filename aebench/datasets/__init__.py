"""Datasets: what is asked of them, and the order in which cache, sources and loaders are asked.

`load` hands out verified pixels as read-only uint8 arrays N x C x H x W, wherever they come
from. Scaling them to [0, 1] and moving them to a device is left to the engines. Which training
images are held out for validation, and in which order the others pass, depends on the seed (and
the epoch) alone: neither on the device, nor the platform, nor the version of numpy. Importing this
loads neither numpy nor torch.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from aebench import fingerprint
from aebench.datasets import adopted, cache, catalogue
from aebench.datasets.cache import Dataset, cache_directory
from aebench.datasets.catalogue import (
    BadData,
    DatasetInfo,
    DataUnavailable,
    Member,
    Source,
    UnknownDataset,
    combined_sha256,
    info,
    names,
    pixel_sha256,
    register,
)
from aebench.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aebench.datasets.catalogue import LabelPair, Loader
    from aebench.datasets.clients import Progress
    from aebench.datasets.given import Images
    from aebench.job import Job

    Indices = NDArray[np.int64]

__all__ = [
    "BadData", "DataUnavailable", "Dataset", "DatasetInfo", "Member", "Source", "Status",
    "UnknownDataset", "add", "cache_directory", "cached", "check_pixels", "info", "is_ours",
    "kept_labels", "load", "names", "pixels", "register", "shuffled", "split", "status",
]  # fmt: skip

_DIGITS = 12  # of a checksum, in keys of jobs
# Sets the split's random numbers apart from any others drawn from the same seed: "split" in ASCII.
SPLIT_STREAM = int.from_bytes(b"split", "big")
_ORDER_STREAM = int.from_bytes(b"order", "big")


@dataclass(frozen=True)
class Status:
    """How a dataset stands in a cache folder.

    `state` is ``ready``, ``absent``, ``damaged`` (`reason` says how), or ``computed`` (its
    loader makes it whenever it is asked for; nothing is stored).
    """

    state: str
    reason: str = ""
    source: str = ""
    sha256: str = ""


def load(name: str, directory: Path | None = None, report: Progress | None = None) -> Dataset:
    """Return dataset `name`, from the cache in `directory` or, failing that, from its sources.

    The arrays are in memory, read-only, and are those whose checksums were compared: what the
    cache holds damaged is fetched again.

    Labels, where there are any, are read when they are first asked for.

    Raises:
        UnknownDataset: no such name.
        DataUnavailable: no source could deliver it; what was cached before is still there.
    """
    info, folder = _home(name, directory)
    if not info.sha256:
        return _computed(info)
    if (ready := _ready(info, folder)) is None:
        with cache.locked(info, folder, report):
            # Another process may have fetched it meanwhile.
            ready = _ready(info, folder) or _fetched(info, folder, report)
    return replace(ready, labels_of=partial(_labels, info, folder, report))


def _fetched(info: DatasetInfo, folder: Path, report: Progress | None) -> Dataset:
    """Get a dataset from its loader or sources into the cache, whose lock is held."""
    with cache.scratch_folder(folder) as scratch:
        try:
            images = _obtain(info, folder, scratch, report or (lambda *_: None))
        except OSError as error:  # full, or read-only since a moment ago
            raise cache.cannot_write(folder.parent, error) from error
        cache.store(images, info, folder, scratch)
    return cache.read(info, folder, full=True)


def _labels(info: DatasetInfo, folder: Path, report: Progress | None) -> LabelPair | None:
    """Labels from the cache; fetched with the pixels, if an older aebench has kept none."""
    found = cache.read_labels(info, folder)
    if found is None and info.train_labels_sha256:
        with cache.locked(info, folder, report):
            found = cache.read_labels(info, folder)
            if found is None:
                _fetched(info, folder, report)
                found = cache.read_labels(info, folder)
    return found


def kept_labels(data: Dataset, directory: Path | None = None) -> LabelPair | None:
    """The labels of `data` as its loader or the cache in `directory` has them.

    Unlike those that a dataset gives itself they are never fetched, which a job must not wait for.

    Raises:
        BadData: they are damaged.
    """
    if not data.info.sha256:
        return data.labels_of()
    _, folder = _home(data.info.name, directory)
    try:
        return cache.read_labels(data.info, folder)
    except cache.Damaged as error:
        raise BadData(f"the labels of {data.info.name} cannot be read ({error})") from error


def cached(name: str, directory: Path | None = None) -> Dataset | None:
    """Return dataset `name` if it lies whole in the cache in `directory`, else None.

    Whole is what has its checksums, as with `load`. Nothing is fetched, and no loader is asked.

    Raises:
        UnknownDataset: no such name.
    """
    info, folder = _home(name, directory)
    return _ready(info, folder) if info.sha256 else None


def cached_folder(name: str, directory: Path | None = None) -> Path | None:
    """Where the cache in `directory` holds dataset `name`; None of one that its loader computes.

    Raises:
        UnknownDataset: no such name.
    """
    info, folder = _home(name, directory)
    return folder if info.sha256 else None


def add(name: str, path: Path, directory: Path | None = None) -> Dataset:
    """Put dataset `name` into the cache from files that the user has; see `given.ACCEPTED`.

    Raises:
        UnknownDataset: no such name.
        BadData: the files are not this dataset; the cache is left as it was.
    """
    from aebench.datasets import given, sources

    info, folder = _home(name, directory)
    if not info.sha256:
        raise RequestError(f"{name} is computed by its loader; there is nothing to add")
    images = given.read(Path(path), info)
    sources.check(images, info)
    images = replace(images, source=f"given by the user ({images.source})")
    with cache.locked(info, folder), cache.scratch_folder(folder) as scratch:
        cache.store(images, info, folder, scratch)
        return cache.read(info, folder, full=True)


def is_ours(name: str) -> bool:
    """Whether it is aebench's own code that gives the pixels of a dataset, and not a user's."""
    return catalogue.is_ours(name) or adopted.is_name(name)


def pixels(name: str) -> str:
    """The first digits of the checksum of a dataset's pixels, as keys of jobs hold it.

    Empty where the name alone says which they are: for our own datasets, whose checksums are in
    the catalogue, for folders of images, whose names hold it, and for names that nobody knows. A
    loader without checksums is asked for its pixels, once in a process.
    """
    if is_ours(name) or name not in catalogue.names():
        return ""
    info = catalogue.info(name)
    loader = catalogue.loader(name)
    # What a notebook's loader gives may change with the values that it names.
    typed = loader is not None and fingerprint.module_of(loader) == "__main__"
    code = fingerprint.of(loader) if loader and typed else ""
    return (info.sha256 or _computed_sha256(info, loader, code))[:_DIGITS]


@lru_cache(maxsize=64)
def _computed_sha256(info: DatasetInfo, _loader: Loader | None, _code: str) -> str:
    return _computed(info).sha256


def check_pixels(job: Job, sha256: str) -> None:
    """Make sure that pixels with this checksum are those that the job's key tells of.

    Raises:
        BadData: they are others.
    """
    now = "" if is_ours(job.dataset) else sha256[:_DIGITS]
    if now != job.pixels:
        raise BadData(
            f"the pixels of dataset {job.dataset!r} are not those of this job ({now or 'ours'}"
            f" here, {job.pixels or 'ours'} there): what its loader gives has changed since the"
            " run began. Run the same command again"
        )


def status(name: str, directory: Path | None = None, *, full: bool = False) -> Status:
    """Tell how dataset `name` stands in the cache; with `full`, all is checked.

    Raises:
        UnknownDataset: no such name.
    """
    info, folder = _home(name, directory)
    if not info.sha256:
        return Status("computed")
    try:
        dataset = cache.read(info, folder, full=full)
        if full:
            cache.read_labels(info, folder)
    except cache.Absent:
        return Status("absent")
    except (cache.Damaged, BadData) as error:
        return Status("damaged", reason=str(error))
    return Status("ready", "", dataset.source, dataset.sha256)


def _home(name: str, directory: Path | None) -> tuple[DatasetInfo, Path]:
    """What is known of a dataset, and its folder in the cache."""
    store = cache.cache_directory(directory)
    if adopted.is_name(name):
        return adopted.cached(name, store).info, adopted.cache_folder(name, store)
    return catalogue.info(name), store / name


def _ready(info: DatasetInfo, folder: Path) -> Dataset | None:
    with contextlib.suppress(cache.Absent, cache.Damaged):
        return cache.read(info, folder, full=True)
    return None


def _computed(info: DatasetInfo) -> Dataset:
    """Take a dataset without pinned checksums from its loader; it is never cached."""
    images = _from_loader(info)
    arrays = (images.train, images.test)
    for pixels, (_, shape, _) in zip(arrays, info.parts, strict=True):
        if pixels.shape != shape or pixels.dtype.name != "uint8":
            raise BadData(
                f"the loader of {info.name} gave {pixels.dtype} {pixels.shape}, not uint8 {shape}"
            )
        pixels.setflags(write=False)
    for labels, (part, shape, _) in zip(images.labels or (), info.parts, strict=False):
        if labels.shape != shape[:1] or labels.dtype.kind not in "iu":
            raise BadData(
                f"the loader of {info.name} gave {labels.dtype} {labels.shape} as labels of"
                f" {part}, not whole numbers {shape[:1]}"
            )
    digest = combined_sha256(*map(pixel_sha256, arrays))
    return Dataset(info, *arrays, images.source, digest, lambda: images.labels)


def _from_loader(info: DatasetInfo) -> Images:
    from aebench.datasets.given import Images

    loader = catalogue.loader(info.name)
    assert loader, f"`register` lets nothing in without a loader or sources: {info.name}"
    train, test, *labels = loader()
    pair = (labels[0], labels[1]) if labels else None
    return Images(train, test, f"loader of {info.name}", pair)


def _obtain(info: DatasetInfo, folder: Path, scratch: Path, report: Progress) -> Images:
    """Get verified pixels from the loader or the sources."""
    from aebench.datasets import sources

    before = []
    try:
        cache.read(info, folder, full=True)
    except cache.Absent:
        before = [(f"cache {folder.parent}", "not there")]
    except cache.Damaged as error:
        before = [(f"cache {folder.parent}", f"damaged: {error}")]
        report(f"{info.name} in the cache is damaged ({error}); fetching it again", 0, None)
    if catalogue.loader(info.name) is None:
        return sources.obtain(info, scratch, report, before)
    images = _from_loader(info)
    try:
        sources.check(images, info)
    except BadData as error:
        raise DataUnavailable(info.name, [*before, (images.source, str(error))]) from error
    return images


# Splits


def split(count: int, validation_images: int, seed: int) -> tuple[Indices, Indices]:
    """Split `count` training images at random into (train, validation) indices, int64.

    The order is the order that sorts `count` raw 64-bit outputs of PCG64 seeded by
    SeedSequence([SPLIT_STREAM, seed]); the last `validation_images` are held out. numpy promises
    to keep both of these streams, but not that of `Generator.permutation` (NEP 19).

    Raises:
        RequestError: there would be no training image left, or a number is negative.
    """
    if not 0 <= validation_images < count or seed < 0:
        raise RequestError(
            f"cannot hold {validation_images:,} of {count:,} images out for validation "
            f"with seed {seed}"
        )
    order = _permutation(count, SPLIT_STREAM, seed)
    return order[: count - validation_images], order[count - validation_images :]


def shuffled(count: int, seed: int, epoch: int) -> Indices:
    """The order in which `count` training images pass in `epoch`, int64; drawn as in `split`."""
    return _permutation(count, _ORDER_STREAM, seed, epoch)


def _permutation(count: int, *stream: int) -> Indices:
    import numpy as np

    bits = np.random.PCG64(np.random.SeedSequence(stream))
    return np.argsort(bits.random_raw(count), kind="stable").astype(np.int64)
