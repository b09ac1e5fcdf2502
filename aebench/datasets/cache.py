"""The pixels on disk: one folder a dataset, whole and verified or not there at all.

    DIRECTORY/mnist/train.npy, test.npy, meta.json

A folder is prepared beside its place under a lock and renamed into it, so that a killed download
leaves nothing and two processes download once. Reading needs neither the lock nor a writable
folder. Where pixels come from is decided in `sources`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aebench.datasets.catalogue import BadData, DatasetInfo, pixel_sha256
from aebench.disk import user_caches
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    from aebench.datasets.catalogue import LabelPair, Labels, Pixels
    from aebench.datasets.clients import Progress
    from aebench.datasets.given import Images

_FORMAT = 1
_LABELS = ("train_labels.npy", "test_labels.npy")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset in memory, or mapped from the cache: read-only uint8, N x C x H x W.

    `source` names where it came from; `sha256` is that of all pixels (`combined_sha256`). Labels
    are read when they are first asked for, by `labels_of`.
    """

    info: DatasetInfo
    train: Pixels
    test: Pixels
    source: str
    sha256: str
    labels_of: Callable[[], LabelPair | None] = lambda: None
    classes: tuple[str, ...] = ()

    @cached_property
    def _labels(self) -> LabelPair | None:
        return self.labels_of()

    @property
    def train_labels(self) -> Labels | None:
        """The label of every training image, int64 [N]; None where there are none."""
        return self._labels and self._labels[0]

    @property
    def test_labels(self) -> Labels | None:
        """The label of every test image, int64 [N]; None where there are none."""
        return self._labels and self._labels[1]


class Absent(Exception):
    """Nothing is cached."""


class Damaged(Exception):
    """What is cached cannot be used; the text says why."""


def cache_directory(given: Path | None = None) -> Path:
    """Return `given`, else AEBENCH_DATA where it is set, else a folder among this user's caches.

    Raises:
        RequestError: it is not set, or not to a path, and there is no home folder.
    """
    if given is not None:
        return Path(given)
    chosen = os.environ.get("AEBENCH_DATA")
    if not chosen:
        return user_caches() / "aebench"
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:
        raise RequestError(f"AEBENCH_DATA is {chosen!r}: there is no such user") from error


def read(info: DatasetInfo, folder: Path, *, full: bool = False) -> Dataset:
    """Take the cached arrays: with `full` into memory, where their checksums are compared.

    So what is handed out is what was checked, whatever becomes of the files. Otherwise they are
    mapped, and compared only where a file's date has changed.

    Raises:
        Absent, Damaged: nothing there, or nothing usable.
    """
    import numpy as np

    try:
        if not folder.is_dir():
            raise Absent
    except OSError as error:  # too long for a name, or a folder that may not be looked into
        raise Absent from error
    meta = read_meta(folder)
    arrays: dict[str, Pixels] = {}
    stale = False
    for part, shape, pinned in info.parts:
        path = folder / f"{part}.npy"
        try:
            recorded = meta["files"][path.name]
            if recorded["sha256"] != pinned:
                raise Damaged(f"{path.name} holds other pixels than the catalogue's")
            stat = path.stat()
            if stat.st_size != recorded["bytes"]:
                raise Damaged(
                    f"{path.name} has {stat.st_size:,} bytes, expected {recorded['bytes']:,}"
                )
            pixels = np.load(path, mmap_mode="r", allow_pickle=False)
            moved = stat.st_mtime_ns != recorded["mtime_ns"]
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise Damaged(f"{path.name}: {type(error).__name__}: {error}") from error
        if pixels.shape != shape or pixels.dtype != np.uint8 or not pixels.flags.c_contiguous:
            raise Damaged(f"{path.name} is {pixels.dtype} {pixels.shape}, expected uint8 {shape}")
        if full:
            pixels = np.array(pixels)
            pixels.setflags(write=False)
        if (full or moved) and pixel_sha256(pixels) != pinned:
            raise Damaged(f"the checksum of {path.name} differs")
        stale = stale or moved
        arrays[part] = pixels
    if stale:
        _note_dates(folder, meta)
    return Dataset(
        info,
        arrays["train"],
        arrays["test"],
        str(meta["source"]),
        info.sha256,
        partial(read_labels, info, folder),
        tuple(map(str, meta.get("classes", ()))),
    )


def read_labels(info: DatasetInfo, folder: Path) -> LabelPair | None:
    """The labels of the training and of the test images; None where none were stored.

    Raises:
        BadData: they are damaged.
    """
    import numpy as np

    meta, labels = read_meta(folder), []
    for (part, shape, _), name in zip(info.parts, _LABELS, strict=True):
        if name not in meta["files"]:
            return None
        try:
            content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != meta["files"][name]["sha256"]:
                raise ValueError("its checksum differs")
            array = np.load(io.BytesIO(content), allow_pickle=False)
            if array.shape != shape[:1] or array.dtype != np.int64:
                raise ValueError(f"it is {array.dtype} {array.shape}")
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise BadData(
                f"the labels of the {part} images of {info.name} in the data cache are damaged"
                f" ({error}); remove {folder} and fetch or give the data again"
            ) from error
        array.setflags(write=False)
        labels.append(array)
    return labels[0], labels[1]


def read_meta(folder: Path) -> dict[str, Any]:
    """Return what was recorded when the folder was stored.

    Raises:
        Damaged: missing, torn, or written by another version.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Damaged(f"meta.json: {type(error).__name__}") from error
    if not isinstance(meta, dict) or meta.get("format") != _FORMAT or "source" not in meta:
        raise Damaged("meta.json is of another version")
    return meta


def _note_dates(folder: Path, meta: dict[str, Any]) -> None:
    """Record the dates of files that were copied but are proven whole, to skip the next proof."""
    fresh = folder / f".meta-{os.getpid()}"
    try:
        for name, recorded in meta["files"].items():
            recorded["mtime_ns"] = (folder / name).stat().st_mtime_ns
        fresh.write_text(json.dumps(meta, indent=1), "utf-8")
        fresh.replace(folder / "meta.json")
    except OSError:  # a shared, read-only cache: the proof is repeated each time
        return


def store(
    images: Images,
    info: DatasetInfo,
    folder: Path,
    scratch: Path,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write verified pixels beside their place and rename the whole folder into it.

    `more` is recorded beside the pixels, as JSON.

    Raises:
        RequestError: the disk is full, or the folder cannot be replaced.
    """
    fresh = scratch / "fresh"
    try:
        fresh.mkdir()
        files = {
            f"{part}.npy": _write(fresh / f"{part}.npy", getattr(images, part), digest)
            for part, _, digest in info.parts
        }
        files |= {
            name: _write_labels(fresh / name, labels)
            for name, labels in zip(_LABELS, images.labels or (), strict=False)
        }
        meta = {
            "format": _FORMAT,
            "name": info.name,
            "source": images.source,
            "sha256": info.sha256,
            "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": files,
            "classes": images.classes,
            **(more or {}),
        }
        (fresh / "meta.json").write_text(json.dumps(meta, indent=1), "utf-8")
        if folder.exists():  # a folder cannot be renamed onto a full one
            folder.replace(scratch / "old")
        fresh.replace(folder)
    except OSError as error:
        raise cannot_write(folder.parent, error) from error


def _write(path: Path, pixels: Pixels, digest: str) -> dict[str, int | str]:
    import numpy as np

    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(pixels), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}


def _write_labels(path: Path, labels: Labels) -> dict[str, int | str]:
    import numpy as np

    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(labels, np.int64), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    stat = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}


def cannot_write(directory: Path, error: OSError) -> RequestError:
    """What to say where the system refuses."""
    return RequestError(
        f"cannot write to the data folder {printable(directory)} ({error.strerror or error}); "
        "choose another with --data DIR or AEBENCH_DATA"
    )


@contextmanager
def locked(info: DatasetInfo, folder: Path, report: Progress | None = None) -> Iterator[None]:
    """Hold the dataset's lock; say so when another process has it."""
    with locked_folder(folder, f"fetching {info.name}", report):
        yield


@contextmanager
def locked_folder(folder: Path, doing: str, report: Progress | None = None) -> Iterator[None]:
    """Hold the lock of a folder of the cache; say what another process is doing when it has it."""
    import filelock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.parent / f".{folder.name}.lock")
        while True:
            try:
                lock.acquire(timeout=1)
                break
            except filelock.Timeout:
                if report is not None:
                    report(f"waiting for another process that is {doing}", 0, None)
    except OSError as error:
        raise cannot_write(folder.parent, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Give a folder for unfinished work, and remove those of processes that were killed."""
    prefix = f".{folder.name}.partial-"
    for left_over in folder.parent.glob(f"{prefix}*"):  # whoever made it no longer holds the lock
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        scratch = tempfile.TemporaryDirectory(
            prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise cannot_write(folder.parent, error) from error
    with scratch as name:
        yield Path(name)
