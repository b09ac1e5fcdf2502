"""Arrays of one's own as pixels: what range, order and shape they have, or why that is unclear.

What can be told from the array is taken as it is meant; what could mean two things is refused with
what to write instead. Labels and the split into training and test images are checked here as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aebench.datasets.adopted import LEAST_IMAGES
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    from aebench.datasets.catalogue import LabelPair, Labels, Pixels

    Array = np.ndarray[Any, Any]

_COLOURS = (1, 3)
_TEST_SHARE = 10
_AT_ONCE = 1024  # images
_SPLIT_STREAM = int.from_bytes(b"own", "big")  # sets this order apart from those of jobs
_NESTED = "nested lists of different lengths are no array"


@dataclass(frozen=True)
class Given:
    """Arrays as a user has them; without `test`, `train` holds all images.

    `what` names the whole in messages, `train_labels` and `test_labels` may be None.
    """

    what: str
    train: Any
    test: Any = None
    train_labels: Any = None
    test_labels: Any = None


@dataclass(frozen=True)
class Checked:
    """Pixels uint8 [N, C, H, W] and labels int64 [N], and in words what was done to get them."""

    train: Pixels
    test: Pixels
    labels: LabelPair | None
    classes: tuple[str, ...]
    remark: str


def check(given: Given) -> Checked:
    """Make pixels and labels of what a user gives.

    Without test images a tenth is taken out, at random but always the same ones for that number of
    images, since arrays are often sorted by class.

    Raises:
        RequestError: what is given is no images, or could be read in two ways.
    """
    remarks: list[str] = []
    whole = given.what if given.test is None else f"{given.what}, train"
    train = as_pixels(given.train, whole, remarks)
    if given.test is None:
        if given.test_labels is not None:
            raise RequestError(f"{given.what}: labels of test images, and no test images")
        if len(train) < LEAST_IMAGES:
            raise RequestError(
                f"{given.what}: {len(train)} images; at least {LEAST_IMAGES} are needed"
            )
        labels, _, classes = _labels(given.what, given.train_labels, None, len(train), 0)
        bits = np.random.PCG64(np.random.SeedSequence((_SPLIT_STREAM, len(train))))
        order = np.argsort(bits.random_raw(len(train)), kind="stable")
        cut = len(train) - max(1, round(len(train) / _TEST_SHARE))
        first, last = order[:cut], order[cut:]
        remarks.append(f"{len(last):,} of {len(train):,} images were taken out for testing")
        return Checked(
            train[first],
            train[last],
            None if labels is None else (labels[first], labels[last]),
            classes,
            "; ".join(remarks),
        )
    test = as_pixels(given.test, f"{given.what}, test", remarks)
    if train.shape[1:] != test.shape[1:]:
        raise RequestError(
            f"{given.what}: training images are {_by(train.shape[1:])}, test images"
            f" {_by(test.shape[1:])} (channels x height x width); they must be alike"
        )
    if len(train) < 2:
        raise RequestError(f"{given.what}: one training image leaves none for validation")
    both = (given.train_labels, given.test_labels)
    if (both[0] is None) != (both[1] is None):
        raise RequestError(f"{given.what}: labels of one part only; give both or none")
    train_labels, test_labels, classes = _labels(given.what, *both, len(train), len(test))
    said = "; ".join(dict.fromkeys(remarks))
    pair = None if train_labels is None or test_labels is None else (train_labels, test_labels)
    return Checked(train, test, pair, classes, said)


def as_pixels(given: Any, what: str, remarks: list[str]) -> Pixels:
    """`given` as pixels, uint8 [N, C, H, W] in C order; what was changed goes into `remarks`.

    Accepted are [N, H, W], [N, C, H, W] and [N, H, W, C] with one or three channels; bool, whole
    numbers of 0 to 255, or floats of 0 to 1, which are rounded to 256 levels.

    Raises:
        RequestError: it is none of that.
    """
    array = _array(given, what)
    shaped = _channels_first(array, what)
    if not shaped.size:
        raise RequestError(f"{what}: shape {_by(array.shape)} holds no image")
    return np.ascontiguousarray(_eight_bit(shaped, what, remarks))


def _array(given: Any, what: str) -> Array:
    try:
        # A tensor that learns, or lies on a GPU, has to be asked for its numbers.
        if hasattr(given, "detach"):
            given = given.detach().cpu().numpy()
        array = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise RequestError(f"{what}: no array of numbers ({printable(error)})") from error
    if array.dtype == object:
        raise RequestError(f"{what}: an array of Python objects, not of numbers; {_NESTED}")
    if array.dtype.kind not in "buif":
        raise RequestError(f"{what}: an array of {array.dtype}, not of numbers")
    return array


def _channels_first(array: Array, what: str) -> Array:
    shape = array.shape
    wanted = "give N x H x W, N x C x H x W or N x H x W x C, with 1 or 3 channels C"
    if array.ndim == 3:
        if shape[2] in _COLOURS:
            raise RequestError(
                f"{what}: shape {_by(shape)} looks like one image, height x width x channels;"
                f" {wanted}"
            )
        return array[:, None]
    if array.ndim != 4:
        flat = "; reshape each row to an image" if array.ndim == 2 else ""
        raise RequestError(
            f"{what}: shape {_by(shape)} has {array.ndim} dimensions; {wanted}{flat}"
        )
    first, last = shape[1] in _COLOURS, shape[3] in _COLOURS
    if first and last:
        raise RequestError(
            f"{what}: shape {_by(shape)} may have its channels first or last, which cannot be"
            " told; grey images may be given as N x H x W"
        )
    if not (first or last):
        alpha = "; leave transparency out" if 4 in (shape[1], shape[3]) else ""
        raise RequestError(f"{what}: shape {_by(shape)} has no 1 or 3 channels; {wanted}{alpha}")
    return array if first else array.transpose(0, 3, 1, 2)


def _eight_bit(array: Array, what: str, remarks: list[str]) -> Array:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = array.min(), array.max()
    if array.dtype.kind in "ui":
        if low < 0 or high > 255:
            deep = "; 16-bit pixels have to be divided by 257 first" if 255 < high < 65536 else ""
            raise RequestError(
                f"{what}: whole numbers from {low} to {high}; pixels are 0 to 255{deep}"
            )
        if high == 1:
            raise RequestError(
                f"{what}: {array.dtype} of 0 and 1 only, almost black as pixels of 0 to 255; give"
                " bool, uint8 or floats of 0 to 1"
            )
        return array.astype(np.uint8)
    if not np.isfinite(array).all():
        raise RequestError(f"{what}: holds NaN or infinity, which are no pixels")
    if low < 0 or high > 1:
        if low >= 0 and high <= 255:
            hint = f"floats from {low:g} to {high:g}, as of 0 to 255; divide by 255, or give uint8"
        elif low >= -1 and high <= 1:
            hint = f"floats from {low:g} to {high:g}, as of -1 to 1; give (x + 1) / 2"
        else:
            hint = f"floats from {low:g} to {high:g}; pixels are 0 to 1, not normalised"
        raise RequestError(f"{what}: {hint}")
    pixels, off = np.empty(array.shape, np.uint8), 0.0
    for start in range(0, len(array), _AT_ONCE):  # else a copy of eight times as many bytes
        part = slice(start, start + _AT_ONCE)
        levels = array[part].astype(np.float64) * 255
        rounded = np.rint(levels)
        off = max(off, float(np.abs(levels - rounded).max()))
        pixels[part] = rounded
    if off > 1e-3:
        remarks.append("floats were rounded to 256 levels of 0 to 1")
    return pixels


def _labels(
    what: str, train: Any, test: Any, train_images: int, test_images: int
) -> tuple[Labels | None, Labels | None, tuple[str, ...]]:
    """Labels of both parts as whole numbers, and their names where they are texts."""
    if train is None:
        return None, None, ()
    parts = [np.asarray(train)] + ([] if test is None else [np.asarray(test)])
    for part, count, name in zip(
        parts, (train_images, test_images), ("train", "test"), strict=False
    ):
        if part.shape != (count,):
            raise RequestError(
                f"{what}: labels of {name} have shape {_by(part.shape)}; {count:,} images need as"
                " many labels, in one dimension"
            )
    kinds = {part.dtype.kind for part in parts}
    classes: tuple[str, ...] = ()
    if kinds <= set("US"):
        joined = np.concatenate([part.astype(str) for part in parts])
        names, places = np.unique(joined, return_inverse=True)
        classes = tuple(map(str, names))
        parts = np.split(places, [train_images])[: len(parts)]
    elif not kinds <= set("bui"):
        raise RequestError(f"{what}: labels are whole numbers or texts, not {parts[0].dtype}")
    made = [np.ascontiguousarray(part, np.int64) for part in parts]
    return made[0], made[1] if len(made) > 1 else None, classes


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "of one number"
