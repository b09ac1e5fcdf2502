"""The images of a page: each stands in it once, whoever shows it, and is no longer than is shown.

Findings, the head of the page, the panel of a model and the section of pictures all claim their
strips here, in this order, and a strip that is held already costs the later ones nothing. It is
drawn where it is shown, by reference, and so may be cut to fewer images or laid over another.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, replace

# Characters of base64 that a page may hold once each of those who claim has had its turn. The
# last is the most of all: with it, charts and tables a page of a large grid is below a megabyte.
FINDINGS, HEAD, PANEL, BUDGET = 128_000, 138_000, 165_000, 180_000

IMAGES = 8  # of a strip
_NUMBERS = 13_000  # of a strip: four images of 32 x 32 in colour, but never less than three
_URI = "data:image/png;base64,"


@dataclass(frozen=True)
class Film:
    """A strip as a page refers to it: its id, how many images it shows, and its size in pixels.

    `less` is the id of a strip whose colours are taken away from it: what is left is what differs.
    """

    id: str
    images: int
    width: int
    height: int
    less: str = ""


@dataclass(frozen=True)
class _Held:
    """A strip as the page holds it: the PNG, its id, its size in pixels and its images."""

    png: bytes
    id: str
    width: int
    height: int
    images: int

    @property
    def uri(self) -> str:
        return _URI + base64.b64encode(self.png).decode()


class Images:
    """The strips of PNG images that a page holds so far."""

    def __init__(self) -> None:
        """Hold none."""
        self._held: dict[bytes, _Held] = {}
        self._cuts: dict[bytes, tuple[bytes, int]] = {}
        self.size = 0  # characters that all of them take

    def film(self, png: bytes, images: int, most: int = IMAGES) -> Film:
        """A strip of so many images side by side, or of its first few; held from now on."""
        cut, kept = self._cut(png, images)
        if cut not in self._held:
            self.size += _cost(cut)
            self._held[cut] = _Held(cut, f"png-{len(self._held)}", *_size(cut), kept)
        held = self._held[cut]
        shown = min(kept, most)
        return Film(held.id, shown, held.width * shown // max(kept, 1), held.height)

    def cost(self, *strips: tuple[bytes, int]) -> int:
        """How many characters the page grows by these PNGs, each of so many images.

        None where it has them already.
        """
        new = {self._cut(png, images)[0] for png, images in strips} - self._held.keys()
        return sum(map(_cost, new))

    def png(self, film: Film) -> bytes:
        """The strip that a film is of, as it is held."""
        return next(held.png for held in self._held.values() if held.id == film.id)

    @property
    def definitions(self) -> str:
        """What holds them: put it into the page once."""
        if not self._held:
            return ""
        held = "\n".join(
            f'<image id="{strip.id}" width="{strip.width}" height="{strip.height}" '
            f'href="{strip.uri}"/>'
            for strip in self._held.values()
        )
        # Not display: none, in which some browsers load no image.
        return (
            '<svg class="shared" width="0" height="0" aria-hidden="true"><defs>\n'
            f"{held}\n</defs></svg>"
        )

    def _cut(self, png: bytes, images: int) -> tuple[bytes, int]:
        """What is held of a strip, and how many images that are; inputs are those of many."""
        if png not in self._cuts:
            self._cuts[png] = _first(png, images)
        return self._cuts[png]


def difference(film: Film, less: Film) -> Film:
    """What of one strip is not as in another of the same images."""
    return replace(film, less=less.id)


def _first(png: bytes, images: int) -> tuple[bytes, int]:
    """The first images of a strip of so many, and their number; all of what cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png)) as strip:
            numbers = max(1, strip.width * strip.height * len(strip.getbands()) // max(images, 1))
            kept = min(images, IMAGES, max(3, _NUMBERS // numbers))
            if kept >= images:
                return png, images
            made = io.BytesIO()
            cut = strip.crop((0, 0, strip.width // images * kept, strip.height))
            cut.save(made, "PNG", optimize=True)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return png, images
    return made.getvalue(), kept


def _cost(png: bytes) -> int:
    return len(_URI) + 4 * math.ceil(len(png) / 3)


def _size(png: bytes) -> tuple[int, int]:
    # Width and height stand in the header of every PNG, at fixed places.
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    return width, height
