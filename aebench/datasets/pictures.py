"""From a folder's files to small pictures of one size: what is there, and what it shows.

The rules are those of `folder`, which gives what is made here a name and keeps it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from aebench.datasets.catalogue import BadData

if TYPE_CHECKING:
    from PIL.Image import Image

    from aebench.datasets.catalogue import Pixels

SIDE = 32  # of pictures that are resized, as CIFAR-10's
KEPT_SIDE = 64  # the largest side at which pictures keep their common size


def files(root: Path) -> tuple[list[tuple[str, Path]], list[tuple[str, str]]]:
    """(relative name, path) of every file that counts, ordered by the hash of the name.

    And (relative name, why) of all else that is there and cannot count, but for hidden names.
    """
    files: list[tuple[str, Path]] = []
    unread: list[tuple[str, str]] = []

    def relative(path: Path) -> str:
        return unicodedata.normalize("NFC", path.relative_to(root).as_posix())

    def cannot_enter(error: OSError) -> None:
        unread.append((f"{relative(Path(error.filename))}/", f"cannot be read: {error.strerror}"))

    for folder, subfolders, names in os.walk(root, onerror=cannot_enter, followlinks=False):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in subfolders:
            if Path(folder, name).is_symlink():
                unread.append((f"{relative(Path(folder, name))}/", "a link to a folder"))
        for name in names:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            try:
                kind = path.stat().st_mode
            except OSError as error:  # a link to nowhere, or a folder that one may only list
                unread.append((relative(path), f"cannot be read: {error.strerror}"))
            else:
                if stat.S_ISREG(kind):
                    files.append((relative(path), path))
                else:  # a pipe, a socket, a device: to open one may wait for ever
                    unread.append((relative(path), "not a regular file"))
    files.sort(key=lambda item: (hashlib.sha256(utf8(item[0])).digest(), item[0]))
    return files, sorted(unread)


def utf8(name: str) -> bytes:
    """The bytes of a file's name, those included that are no UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def open_all(paths: Sequence[Path | IO[bytes]]) -> list[Image | str]:
    """Every picture, L or RGB, as it is if small and 32 x 32 if not; or why it cannot be read."""
    return _open_each(paths, _open)


def open_whole(paths: Sequence[Path]) -> list[Image | str]:
    """Every picture, L or RGB, in its own size; or why it cannot be read."""
    return _open_each(paths, partial(_open, largest=None))


def _open_each(
    paths: Sequence[Path | IO[bytes]], opened: Callable[[Path | IO[bytes]], Image | str]
) -> list[Image | str]:
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # of damaged EXIF data and the like
        warnings.simplefilter("error", DecompressionBombWarning)
        return list(pool.map(opened, paths))


def _open(path: Path | IO[bytes], largest: int | None = KEPT_SIDE) -> Image | str:
    """The picture, L or RGB, 32 x 32 if its side is above `largest`; or why it cannot be read."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            small = largest is None or max(file.size) <= largest
            if not small:
                # Lets a JPEG decode at 1/2, 1/4 or 1/8, still four times as large as is needed.
                file.draft(None, (4 * SIDE, 4 * SIDE))
            picture = _eight_bit(ImageOps.exif_transpose(file))
        return picture if small else fit(picture)
    except UnidentifiedImageError:
        return "not an image"
    except Exception as error:  # Pillow's many readers raise whatever they run into
        text = str(error).partition("\n")[0]
        if isinstance(path, Path):
            text = text.replace(str(path), path.name)
        return text or type(error).__name__


def small(picture: Image) -> Image:
    """An image in memory, L or RGB, as it is if small and 32 x 32 if not."""
    plain = _eight_bit(picture)
    return plain if max(plain.size) <= KEPT_SIDE else fit(plain)


def _eight_bit(picture: Image) -> Image:
    """Convert any mode to L or RGB, transparency laid on white."""
    from PIL import Image

    if picture.mode in ("I", "F"):
        raise BadData(f"mode {picture.mode}: 32-bit pixels have no known range")
    if picture.mode.startswith("I;16"):
        import numpy as np

        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        picture = Image.alpha_composite(white, layer)
    return picture.convert("L" if grey else "RGB")


def fit(picture: Image, width: int = SIDE, height: int = SIDE) -> Image:
    """Crop a picture around its centre to the shape of `width` x `height`, and resize it to that.

    Bicubic, with antialiasing.
    """
    from PIL import Image

    # As large a part as there is of the shape that is wanted, in whole pixels.
    across = min(picture.width, max(1, picture.height * width // height))
    down = min(picture.height, max(1, picture.width * height // width))
    left, top = (picture.width - across) // 2, (picture.height - down) // 2
    part = picture.crop((left, top, left + across, top + down))
    return part.resize((width, height), Image.Resampling.BICUBIC)


def stack(pictures: Sequence[Image]) -> Pixels:
    """Bring all pictures to one size and mode: uint8 [N, C, H, W]."""
    import numpy as np

    sizes, modes = {p.size for p in pictures}, {p.mode for p in pictures}
    if len(sizes) > 1:
        pictures = [p if p.size == (SIDE, SIDE) else fit(p) for p in pictures]
    if len(modes) > 1:
        pictures = [p.convert("RGB") for p in pictures]
    pixels = np.stack([np.asarray(p, np.uint8) for p in pictures])
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels)
