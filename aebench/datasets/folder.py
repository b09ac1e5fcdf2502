"""A folder of images as a dataset: which files count, how they become pixels, and its name.

The rules, all of which depend on the files' content and relative names alone:

- Every file below the folder counts, subfolders included, if Pillow can read it; of an animation
  the first picture. Names that begin with a dot are passed over, links to folders not followed.
  Anything else that cannot be read, a subfolder, a link to nowhere or a pipe as well, is left out,
  counted and named; it is never fatal.
- Pictures are turned as their EXIF orientation says; transparency is laid on white. If every
  one is grey (mode 1, L, LA or 16 bits of grey, which are cut to 8), there is one channel, else
  three, RGB.
- Where all have one size of at most 64 x 64, they keep it. Otherwise each is cropped around its
  centre to a square and resized to 32 x 32, bicubic with antialiasing.
- Files are ordered by the sha256 of their relative name (Unicode NFC, ``/`` between folders),
  whatever order the file system lists them in. The last tenth, rounded, is the test set. As many
  as that are taken out of the rest for validation by the job's seed, as with any dataset.
- The name is ``folder:NAME-DIGEST``: the folder's own name, and the first eight digits of the
  pixels' checksum. Other pixels are thus another dataset with other job keys, and no path of the
  machine gets into a record.

The pixels are kept in the data cache like any dataset's, with sizes and dates of the files. While
those are the same, the folder is not read again; worker processes read the cache by name only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aebench.datasets import cache, catalogue, pictures
from aebench.datasets.catalogue import DatasetInfo, UnknownDataset
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    from aebench.datasets.catalogue import Pixels

PREFIX = "folder:"
LEAST_IMAGES = 20  # two each for validation and test
_TEST_SHARE = 10
_RULES = 1  # number of the rules above; raise it when one changes
_LONGEST_NAME = 200  # bytes of the folder's name in the dataset's, which names a file: 255 at most
_NAMED = 5  # files left out that are named one by one

_INFO_FIELDS = ("channels", "height", "width", "train_images", "test_images")


@dataclass(frozen=True)
class Adopted:
    """A folder that has become a dataset: what it is called now, and which files it lacks."""

    info: DatasetInfo
    files: int
    left_out: tuple[tuple[str, str], ...]

    @property
    def note(self) -> str:
        """One sentence on the files that were left out; empty if none was."""
        if not self.left_out:
            return ""
        named = ", ".join(_told(*left) for left in self.left_out[:_NAMED])
        more = len(self.left_out) - _NAMED
        return (
            f"{self.info.name}: {len(self.left_out):,} of {self.files:,} files are no readable"
            f" images and were left out: {named}{f' and {more:,} more' if more > 0 else ''}"
        )


def _told(name: str, why: str) -> str:
    return f"{printable(name)} ({printable(why)})"


def is_name(name: str) -> bool:
    """Whether `name` is that of a folder that has become a dataset: ``folder:NAME-DIGEST``."""
    return name.startswith(PREFIX)


def cache_folder(name: str, store: Path) -> Path:
    """Where the cache folder `store` keeps the pixels of the dataset `name`."""
    return store / name.replace(":", "-")  # Windows has no colon in file names


def is_path(name: str, base: Path) -> bool:
    """Whether `name` means a folder of the user's, seen from `base`, rather than a dataset.

    It does if it holds a path separator, begins with a tilde or a dot, or is the name of a folder
    in `base` that no dataset has. ``./digits`` is how to say a folder named like a dataset.
    """
    if is_name(name):
        return False
    separators = {"/", os.sep, os.altsep or "/"}
    if name.startswith(("~", ".")) or any(s in name for s in separators):
        return True
    try:
        return name not in catalogue.names() and (base / name).is_dir()
    except OSError:  # too long for a name, or a folder that may not be looked into
        return False


def adopt(path: Path | str, directory: Path | None = None) -> Adopted:
    """Make the folder at `path` a dataset of the catalogue, its pixels in the cache `directory`.

    Raises:
        RequestError: no such folder, too few images in it, or the cache cannot be written.
    """
    shown = printable(path)
    try:
        root = Path(path).expanduser()
        if not root.is_dir():
            a_file = "is a file; name the folder that holds the images"
            raise RequestError(
                f"dataset folder {shown}: {a_file if root.exists() else 'not found'}"
            )
        root = root.resolve()
        os.scandir(root).close()
    except (OSError, RuntimeError) as error:  # no permission; ~somebody who is not known here
        why = getattr(error, "strerror", None) or error
        raise RequestError(f"dataset folder {shown}: cannot be read ({why})") from error
    files, unread = pictures.files(root)
    stamp = _stamp(files, unread)
    slug = _slug(root.name)
    store = cache.cache_directory(directory)
    candidates: list[Path] = []
    with contextlib.suppress(OSError):  # a cache that cannot be, which is told when it is written
        candidates = sorted(store.glob(cache_folder(f"{PREFIX}{slug}-*", Path()).name))
    for candidate in candidates:
        known = _known(candidate, slug, stamp)
        if known is not None:
            return _registered(known)
    adopted, pixels = _read(root, files, unread, slug)
    _keep(adopted, pixels, stamp, store)
    return _registered(adopted)


def cached(name: str, directory: Path | None = None) -> Adopted:
    """Find a folder dataset by its name ``folder:NAME-DIGEST`` in the cache, and register it.

    Raises:
        UnknownDataset: it is not in this cache.
    """
    store = cache.cache_directory(directory)
    slug = name.removeprefix(PREFIX).rpartition("-")[0]
    known = _known(cache_folder(name, store), slug)
    if known is None or known.info.name != name:
        raise UnknownDataset(
            f"{name!r} is not in the data cache {store}; give the folder itself, as in"
            " --dataset PATH/TO/FOLDER"
        )
    return _registered(known)


def _registered(adopted: Adopted) -> Adopted:
    """Add it to the catalogue, with a loader that can only say that the cache has lost it."""

    def lost() -> tuple[Pixels, Pixels]:
        raise UnknownDataset(
            f"{adopted.info.name!r} is no longer in the data cache; give the folder itself again"
        )

    catalogue.register(adopted.info, lost)
    return adopted


def _slug(name: str) -> str:
    """The folder's own name without what would disturb a file name, a list or a table."""
    letters = unicodedata.normalize("NFC", name)
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in letters).strip("-.")
    while len(kept.encode()) > _LONGEST_NAME:
        kept = kept[:-1]
    return kept or "images"


def _stamp(files: Iterable[tuple[str, Path]], unread: Iterable[tuple[str, str]]) -> str:
    """A hash of every file's name, size and date, by which an unchanged folder is recognized."""
    digest = hashlib.sha256(f"rules {_RULES}".encode())
    for relative, path in files:
        try:
            about = path.stat()
        except OSError:  # removed since it was listed
            continue
        digest.update(pictures.utf8(f"\0{relative}\0{about.st_size}\0{about.st_mtime_ns}"))
    for relative, why in unread:
        digest.update(pictures.utf8(f"\0{relative}\0{why}"))
    return digest.hexdigest()


def _read(
    root: Path,
    files: Sequence[tuple[str, Path]],
    unread: Sequence[tuple[str, str]],
    slug: str,
) -> tuple[Adopted, tuple[Pixels, Pixels]]:
    results = pictures.open_all([path for _, path in files])
    images = [result for result in results if not isinstance(result, str)]
    left_out = tuple(unread) + tuple(
        sorted(
            (name, result)
            for (name, _), result in zip(files, results, strict=True)
            if isinstance(result, str)
        )
    )
    count = len(files) + len(unread)
    if len(images) < LEAST_IMAGES:
        raise RequestError(
            f"dataset folder {printable(root)}: {len(images)} readable images among"
            f" {count} files; at least {LEAST_IMAGES} are needed"
            + "".join(f"\n  {_told(*left)}" for left in left_out[:_NAMED])
        )
    pixels = pictures.stack(images)
    test_images = max(1, round(len(pixels) / _TEST_SHARE))
    train, test = pixels[:-test_images], pixels[-test_images:]
    digests = catalogue.pixel_sha256(train), catalogue.pixel_sha256(test)
    checksum = catalogue.combined_sha256(*digests)
    info = _info(
        f"{PREFIX}{slug}-{checksum[:8]}",
        dict(zip(_INFO_FIELDS, (*pixels.shape[1:], len(train), len(test)), strict=True)),
        *digests,
    )
    return Adopted(info, count, left_out), (train, test)


def _info(
    name: str, numbers: Mapping[str, int], train_sha256: str, test_sha256: str
) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        title=f"images of the folder {name.removeprefix(PREFIX).rpartition('-')[0]}",
        channels=numbers["channels"],
        height=numbers["height"],
        width=numbers["width"],
        train_images=numbers["train_images"],
        test_images=numbers["test_images"],
        validation_images=numbers["test_images"],
        citation="",
        train_sha256=train_sha256,
        test_sha256=test_sha256,
    )


def _keep(adopted: Adopted, pixels: tuple[Pixels, Pixels], stamp: str, store: Path) -> None:
    from aebench.datasets.given import Images

    info = adopted.info
    target = cache_folder(info.name, store)
    label = f"{info.title} ({adopted.files - len(adopted.left_out):,} of {adopted.files:,} files)"
    about = {
        "stamp": stamp,
        "files": adopted.files,
        "left_out": adopted.left_out,
        "info": {name: getattr(info, name) for name in _INFO_FIELDS},
        "sha256": [info.train_sha256, info.test_sha256],
    }
    with cache.locked(info, target), cache.scratch_folder(target) as scratch:
        cache.store(Images(*pixels, label), info, target, scratch, {"folder": about})


def _known(kept: Path, slug: str, stamp: str | None = None) -> Adopted | None:
    """What the cache folder `kept` holds, if it is whole, of a folder whose slug is `slug`.

    With `stamp` only what was made from the files that have it, and then every pixel is checked:
    who gives the folder itself can have it read again.
    """
    try:
        meta = cache.read_meta(kept)
        about = meta["folder"]
        if stamp is not None and about["stamp"] != stamp:
            return None
        info = _info(str(meta["name"]), about["info"], *about["sha256"])
        cache.read(info, kept, full=stamp is not None)
        left_out = tuple((str(name), str(why)) for name, why in about["left_out"])
        known = Adopted(info, int(about["files"]), left_out)
    except (cache.Absent, cache.Damaged, KeyError, TypeError, ValueError):
        return None
    return known if info.name.rpartition("-")[0] == PREFIX + slug else None
