"""Data of one's own, of whatever kind: told from names of datasets, and made one.

Kinds are a folder of images, a file of arrays or images, a dataset of torchvision's by name, and
arrays in memory. What each may hold is decided by its module; `adopted` names and keeps them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aebench.datasets import adopted, catalogue
from aebench.datasets.adopted import Adopted
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    from aebench.datasets.arrays import Given
    from aebench.datasets.given import Images

_VALIDATION_SHARE = 10
FILES = (".npz", ".npy", ".parquet")
_RULES = 1  # of files, arrays and torchvision's datasets; raise it when one changes


def is_path(name: str, base: Path) -> bool:
    """Whether `name` means a folder or file of the user's, seen from `base`, and not a dataset.

    It does if it holds a path separator, begins with a tilde or a dot, ends as a file of arrays
    does, or is the name of a folder in `base` that no dataset has. ``./digits`` is how to say a
    folder named like a dataset.
    """
    if adopted.is_name(name) or name.startswith(adopted.TORCHVISION):
        return False
    separators = {"/", os.sep, os.altsep or "/"}
    if name.startswith(("~", ".")) or any(s in name for s in separators):
        return True
    if name.lower().endswith(FILES) and name not in catalogue.names():
        return True
    try:
        return name not in catalogue.names() and (base / name).is_dir()
    except OSError:  # too long for a name, or a folder that may not be looked into
        return False


def find(name: str, base: Path, directory: Path | None = None) -> Adopted | None:
    """What `name` stands for, made a dataset or found in the cache; None for other names.

    Paths are seen from `base`. Afterwards it is in the catalogue, with its pixels in the data
    cache `directory`.

    Raises:
        RequestError: there is no such thing, or it is not images.
    """
    if adopted.is_name(name):
        return adopted.cached(name, directory)
    if name.startswith(adopted.TORCHVISION):
        return _torchvision(name.removeprefix(adopted.TORCHVISION), directory)
    if not is_path(name, base):
        return None
    path = Path(name) if name.startswith("~") else base / name
    if name.lower().endswith(FILES):
        return _file(path, directory)
    from aebench.datasets import folder

    return folder.adopt(path, directory)


def dataset(
    name: str,
    train: Any,
    test: Any = None,
    *,
    train_labels: Any = None,
    test_labels: Any = None,
    validation_images: int | None = None,
    data: Path | str | None = None,
) -> str:
    """Make arrays in memory a dataset, and return the name that jobs and grids know it by.

    `train` and `test` are NumPy arrays, tensors or nested lists: [N, H, W], [N, C, H, W] or
    [N, H, W, C] with one or three channels, of bool, whole numbers of 0 to 255 or floats of 0 to
    1. Without `test` a tenth of the images is taken out for it. Labels are whole numbers or texts.
    `validation_images`, a tenth of the training images without it, are held out by each job. The
    pixels are kept in the data cache, `data` or the default one, where workers find them.

    Raises:
        RequestError: they are not images, or could be read in two ways.
    """
    from aebench.datasets.arrays import Given

    shown = printable(name)
    if not name.strip():
        raise RequestError(f"a dataset needs a name, and {shown!r} is none")
    given = Given(f"dataset {shown!r}", train, test, train_labels, test_labels)
    directory = None if data is None else Path(data)
    begin = adopted.ARRAY + adopted.slug(name)
    source = f"array {adopted.slug(name)} given in Python"
    return _adopt(begin, given, source, "", directory, validation_images).info.name


def _file(path: Path, directory: Path | None) -> Adopted:
    shown = printable(path)
    try:
        path = path.expanduser().resolve()
        about = path.stat()
    except (OSError, RuntimeError) as error:  # ~somebody who is not known here
        why = getattr(error, "strerror", None) or error
        raise RequestError(f"dataset file {shown}: cannot be read ({why})") from error
    stamp = f"file {about.st_size} {about.st_mtime_ns} {path.name}"
    begin = adopted.FILE + adopted.slug(path.stem)
    if (there := adopted.found(begin, _stamp(stamp), directory)) is not None:
        return there
    from aebench.datasets import files

    return _adopt(begin, files.read(path), f"images of the file {path.name}", stamp, directory)


def _torchvision(name: str, directory: Path | None) -> Adopted:
    begin, stamp = adopted.TORCHVISION + name, f"torchvision {name}"
    if not name.isidentifier():
        raise RequestError(
            f"{printable(begin)!r}: a class of torchvision.datasets is named like torchvision:SVHN"
        )
    if (there := adopted.found(begin, _stamp(stamp), directory)) is not None:
        return there
    from aebench.datasets import torchvision_classes

    given = torchvision_classes.read(name, directory)
    return _adopt(begin, given, f"torchvision {name}", stamp, directory)


def _adopt(
    begin: str,
    given: Given,
    source: str,
    stamp: str,
    directory: Path | None,
    validation_images: int | None = None,
) -> Adopted:
    from aebench.datasets import arrays
    from aebench.datasets.given import Images

    checked = arrays.check(given)
    held_out, chosen = max(1, round(len(checked.train) / _VALIDATION_SHARE)), ""
    if validation_images not in (None, held_out):
        held_out, chosen = validation_images, f"validation {validation_images}"
        if not 0 < held_out < len(checked.train):
            raise RequestError(
                f"{given.what}: validation_images is {held_out}, and there are"
                f" {len(checked.train):,} training images to take them out of"
            )
    images = Images(
        checked.train,
        checked.test,
        printable(source),
        checked.labels,
        checked.classes,
    )
    made = Adopted(adopted.named(begin, images, held_out, chosen), remark=checked.remark)
    stamp = _stamp(stamp or f"{made.info} {_labels_sha256(images)}")
    return adopted.found(begin, stamp, directory) or adopted.keep(made, images, stamp, directory)


def _labels_sha256(images: Images) -> str:
    digest = hashlib.sha256(str(images.classes).encode())
    for labels in images.labels or ():
        digest.update(labels.tobytes())
    return digest.hexdigest()


def _stamp(what: str) -> str:
    """A hash of what says that data is unchanged, by which it is recognized."""
    return hashlib.sha256(f"rules {_RULES} {what}".encode(errors="surrogateescape")).hexdigest()
