"""The images of a page: each stands in it once, whichever findings and sections show it.

A strip of images is drawn where it is shown, by reference, and so may be cut to its first few or
laid over another.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, replace

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


class Images:
    """The PNG images that a page holds so far."""

    def __init__(self) -> None:
        """Hold none."""
        self._ids: dict[bytes, str] = {}
        self.size = 0  # characters that all of them take

    def film(self, png: bytes, images: int, most: int | None = None) -> Film:
        """A strip of so many images side by side, or of its first few; held from now on."""
        self.size += self.cost(png)
        id = self._ids.setdefault(png, f"png-{len(self._ids)}")
        width, height = _size(png)
        shown = images if most is None else min(images, most)
        return Film(id, shown, width * shown // max(images, 1), height)

    def cost(self, png: bytes) -> int:
        """How many characters the page grows by this image: none where it has it already."""
        return 0 if png in self._ids else len(_URI) + 4 * math.ceil(len(png) / 3)

    def png(self, film: Film) -> bytes:
        """The whole strip that a film is of."""
        return next(png for png, id in self._ids.items() if id == film.id)

    @property
    def definitions(self) -> str:
        """What holds them: put it into the page once."""
        if not self._ids:
            return ""
        held = "\n".join(
            '<image id="{}" width="{}" height="{}" href="{}"/>'.format(id, *_size(png), _uri(png))
            for png, id in self._ids.items()
        )
        # Not display: none, in which some browsers load no image.
        return (
            '<svg class="shared" width="0" height="0" aria-hidden="true"><defs>\n'
            f"{held}\n</defs></svg>"
        )


def difference(film: Film, less: Film) -> Film:
    """What of one strip is not as in another of the same images."""
    return replace(film, less=less.id)


def _size(png: bytes) -> tuple[int, int]:
    # Width and height stand in the header of every PNG, at fixed places.
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    return width, height


def _uri(png: bytes) -> str:
    return _URI + base64.b64encode(png).decode()
