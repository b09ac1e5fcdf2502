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
- Where every picture lies in one of several subfolders, one level down, those are its classes:
  a label is the place of the subfolder's name among all of them, sorted.
- The name is ``folder:NAME-DIGEST`` (see `adopted`), of the folder's own name.

The pixels are kept in the data cache like any dataset's, with sizes and dates of the files. While
those are the same, the folder is not read again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aebench.datasets import adopted, pictures
from aebench.datasets.adopted import Adopted
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    from aebench.datasets.given import Images

_TEST_SHARE = 10
_RULES = 2  # number of the rules above; raise it when one changes
_NAMED = 5  # files left out that are named one by one


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
    stamp, begin = _stamp(files, unread), adopted.FOLDER + adopted.slug(root.name)
    there = adopted.found(begin, stamp, directory)
    if there is not None:
        return there
    made, images = _read(root, files, unread, begin)
    return adopted.keep(made, images, stamp, directory)


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
    begin: str,
) -> tuple[Adopted, Images]:
    import numpy as np

    from aebench.datasets.given import Images

    results = pictures.open_all([path for _, path in files])
    readable = [i for i, result in enumerate(results) if not isinstance(result, str)]
    left_out = tuple(unread) + tuple(
        sorted(
            (name, result)
            for (name, _), result in zip(files, results, strict=True)
            if isinstance(result, str)
        )
    )
    count = len(files) + len(unread)
    if len(readable) < adopted.LEAST_IMAGES:
        raise RequestError(
            f"dataset folder {printable(root)}: {len(readable)} readable images among"
            f" {count} files; at least {adopted.LEAST_IMAGES} are needed"
            + "".join(f"\n  {adopted.told(*left)}" for left in left_out[:_NAMED])
        )
    pixels = pictures.stack([result for result in results if not isinstance(result, str)])
    test_images = max(1, round(len(pixels) / _TEST_SHARE))
    own = f"{len(readable):,} of {count:,} files"
    images = Images(
        pixels[:-test_images],
        pixels[-test_images:],
        f"images of the folder {begin.removeprefix(adopted.FOLDER)} ({own})",
    )
    if classes := _classes([files[i][0] for i in readable]):
        names = sorted(set(classes))
        numbers = np.array([names.index(name) for name in classes], np.int64)
        images = replace(
            images,
            labels=(numbers[:-test_images], numbers[-test_images:]),
            classes=tuple(names),
        )
    return Adopted(adopted.named(begin, images, test_images), count, left_out), images


def _classes(names: Sequence[str]) -> list[str]:
    """The class of every image where each lies in one of several folders of classes; else none."""
    folders = [name.partition("/")[0] if name.count("/") == 1 else "" for name in names]
    return folders if all(folders) and len(set(folders)) > 1 else []
