"""Files of images of one's own: .npz and .npy of arrays, Parquet of encoded images.

- `.npz`: arrays ``train`` and ``test``, or ``x_train`` and ``x_test``, with labels ``train_labels``
  and ``test_labels``, or ``y_train`` and ``y_test``; or one array ``images``, ``x`` or ``data``,
  with ``labels``, ``label`` or ``y``.
- `.npy`: one array.
- `.parquet`: a column ``image`` or ``img`` of encoded images, as bytes or as the Hugging Face hub
  has them (a struct with ``bytes``), a column ``label`` if there are labels, and a column
  ``split`` of ``train`` and ``test`` if the split is declared. Pictures of different sizes, or
  larger than 64 x 64, are cropped and resized as those of a folder are (see `folder`).

Where no split is declared a tenth is taken out for testing (see `arrays.check`). What arrays may
hold is said there as well. Nothing that could execute is read: pickled objects are refused.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aebench.datasets import pictures
from aebench.datasets.arrays import Given
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    import pyarrow as pa

_PAIRS = (("train", "test"), ("x_train", "x_test"))
_LABEL_PAIRS = (("train_labels", "test_labels"), ("y_train", "y_test"))
_SINGLE, _SINGLE_LABELS = ("images", "x", "data"), ("labels", "label", "y")
_IMAGE, _LABEL, _SPLIT = ("image", "img"), ("label", "labels"), "split"
_NAMED = 8


def read(path: Path) -> Given:
    """What a file holds, as the user's arrays.

    Raises:
        RequestError: it is no file of these kinds, or holds something else.
    """
    what = f"dataset file {printable(path)}"
    try:
        if not path.is_file():
            raise RequestError(f"{what}: not found" if not path.exists() else f"{what}: no file")
        if path.suffix.lower() == ".parquet":
            return _parquet(path, what)
        # A pickle can carry a program, so that an array of Python objects is never loaded.
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Given(what, loaded)
        with loaded as file:
            return _npz({name: file[name] for name in _wanted(file.files, what)}, what)
    except OSError as error:
        raise RequestError(f"{what}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, RequestError):
            raise
        objects = "allow_pickle" in str(error)
        why = (
            "holds Python objects (pickled), which could execute a program, and is not loaded;"
            " save arrays of numbers"
            if objects
            else f"is damaged, or no NumPy file ({printable(error)})"
        )
        raise RequestError(f"{what}: {why}") from error


def _wanted(names: list[str], what: str) -> list[str]:
    """The arrays of an .npz that are images and labels."""
    has = set(names)
    pair = next((pair for pair in _PAIRS if has >= set(pair)), None)
    labels = next((pair for pair in _LABEL_PAIRS if has >= set(pair)), ())
    if pair:
        return [*pair, *labels]
    single = [name for name in _SINGLE if name in has]
    if len(single) == 1:
        return [*single, *(name for name in _SINGLE_LABELS if name in has)][:2]
    held = ", ".join(map(printable, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")
    raise RequestError(
        f"{what}: holds {held or 'no array'}; expected train and test (or x_train and x_test), with"
        " train_labels and test_labels (y_train, y_test) if there are labels, or one array images"
    )


def _npz(arrays: dict[str, Any], what: str) -> Given:
    values = list(arrays.values())
    if next(iter(arrays)) in _SINGLE:
        return Given(what, values[0], train_labels=values[1] if len(values) > 1 else None)
    return Given(what, *values)


def _parquet(path: Path, what: str) -> Given:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        image = next((name for name in _IMAGE if name in names), None)
        if image is None:
            held = ", ".join(f"{printable(f.name)} ({f.type})" for f in file.schema_arrow)
            raise RequestError(
                f"{what}: holds {printable(held)}; expected a column image of encoded images, and"
                " label and split if there are any"
            )
        label = next((name for name in _LABEL if name in names), None)
        columns = [image, *([label] if label else []), *([_SPLIT] if _SPLIT in names else [])]
        table = file.read(columns=columns)
        pixels = _decoded(table.column(image), what)
        labels = table.column(label).to_numpy() if label else None
        split = table.column(_SPLIT).to_pylist() if _SPLIT in names else None
    except pa.ArrowException as error:
        raise RequestError(
            f"{what}: is damaged, or no Parquet file ({printable(error)})"
        ) from error
    if split is None:
        return Given(what, pixels, train_labels=labels)
    parts = {str(name): np.array([s == name for s in split]) for name in dict.fromkeys(split)}
    if set(parts) != {"train", "test"}:
        raise RequestError(
            f"{what}: column split holds {', '.join(map(printable, sorted(parts)))}; expected train"
            " and test"
        )
    train, test = parts["train"], parts["test"]
    pair = (None, None) if labels is None else (labels[train], labels[test])
    return Given(what, pixels[train], pixels[test], *pair)


def _decoded(column: pa.ChunkedArray, what: str) -> Any:
    """The encoded images of a column, uint8 [N, C, H, W].

    Raises:
        RequestError: one is none; in a table, none is left out, since labels go with them.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_struct(kind) and any(f.name == "bytes" for f in kind):
        cells = [cell and cell["bytes"] for cell in column.to_pylist()]
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        cells = column.to_pylist()
    else:
        raise RequestError(f"{what}: its images are {printable(kind)}, not encoded as PNG or JPEG")
    opened = pictures.open_all([io.BytesIO(cell or b"") for cell in cells])
    for row, each in enumerate(opened):
        if isinstance(each, str):
            raise RequestError(
                f"{what}: row {row} (from 0) is no readable image: {printable(each)}"
            )
    images = [each for each in opened if not isinstance(each, str)]
    if not images:
        raise RequestError(f"{what}: holds no row")
    return pictures.stack(images)
