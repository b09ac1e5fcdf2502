"""The datasets of torchvision by name: ``torchvision:SVHN``.

Accepted is a class of `torchvision.datasets` that can be made without arguments besides the folder
and has training and test images with or without labels. Files go where torchvision puts them,
below ``torchvision`` in the data cache; pixels go into the cache like those of any data of one's
own, cropped and resized where a folder's images are (see `folder`).
"""

from __future__ import annotations

import contextlib
import inspect
import operator
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from aebench.datasets import cache, pictures
from aebench.datasets.arrays import Given
from aebench.errors import RequestError, printable, unknown

_STALLED_S = 60.0
_OPTIONAL = ("download", "transform", "target_transform", "transforms", "loader")
_TRAIN_SPLITS = ("train", "trainval")


def read(name: str, directory: Path | None) -> Given:
    """The images and labels of the class `name`, fetched by torchvision if they are not there.

    Raises:
        RequestError: there is no such class, it cannot be had, or it is not images in two parts.
    """
    import torchvision.datasets as known

    made: Any = getattr(known, name, None)
    what = f"torchvision:{name}"
    if not (inspect.isclass(made) and issubclass(made, known.VisionDataset)):
        names = [n for n in known.__all__ if inspect.isclass(getattr(known, n))]
        raise RequestError(unknown("dataset of torchvision", name, names))
    ways = _ways(made, what)
    root = cache.cache_directory(directory) / "torchvision"
    parts = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _impatient():
            for way in ways:
                parts.append(_images(cast(Any, made)(str(root), **way), what))
    except RequestError:
        raise
    except OSError as error:
        raise RequestError(
            f"{what}: could not be had ({printable(error)}); its files may be put into"
            f" {printable(root)} as torchvision has them"
        ) from error
    except Exception as error:  # each class has its own ways to fail
        why = printable(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
        raise RequestError(f"{what}: torchvision cannot make it ({why})") from error
    (train, train_labels), (test, test_labels) = parts
    if train_labels is None or test_labels is None:
        train_labels = test_labels = None
    both = pictures.stack([*train, *test])  # brought to one size and mode together
    cut = len(train)
    return Given(what, both[:cut], both[cut:], train_labels, test_labels)


def _ways(made: Any, what: str) -> list[dict[str, Any]]:
    """The arguments that give the training and the test part.

    Raises:
        RequestError: the class needs others, or has no such parts.
    """
    accepted = inspect.signature(made).parameters
    free = {n: p for n, p in accepted.items() if n not in ("root", "train", *_OPTIONAL)}
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [
        n for n, p in free.items() if p.default is inspect.Parameter.empty and p.kind not in kinds
    ]
    if needed:
        raise RequestError(
            f"{what}: this class needs {', '.join(needed)}, and aebench gives no arguments; make it"
            " in Python and hand its arrays to aebench.dataset"
        )
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
    more = {"download": True} if "download" in accepted or open_ended else {}
    if "train" in accepted:
        return [{"train": True, **more}, {"train": False, **more}]
    if "split" in accepted:
        first = str(accepted["split"].default)
        train = first if first in _TRAIN_SPLITS else _TRAIN_SPLITS[0]
        return [{"split": train, **more}, {"split": "test", **more}]
    raise RequestError(f"{what}: this class has no training and test images")


def _images(dataset: Any, what: str) -> tuple[list[Any], list[int] | None]:
    """Every image of one part, and the labels if each has a whole number."""
    from PIL import Image

    images: list[Any] = []
    labels: list[Any] = []
    for i in range(len(dataset)):
        item = dataset[i]
        image, label = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        if not isinstance(image, Image.Image):
            raise RequestError(f"{what}: holds {type(image).__name__}, not single images")
        images.append(pictures.small(image))
        labels.append(label)
    if not images:
        raise RequestError(f"{what}: holds no images")
    try:  # whole numbers, and tensors or NumPy's of one; not boxes, pictures or texts
        return images, [operator.index(label) for label in labels]
    except TypeError:
        return images, None


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Let a download that stalls fail, which torchvision's own would wait for for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALLED_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
