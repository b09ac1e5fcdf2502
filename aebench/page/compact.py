"""Makes the charts of a page small: what matplotlib repeats stands in the page once.

What is seen stays the same. Each distinct style and each clip path becomes a class; markers,
hatches and clip paths that several charts have are kept in one hidden drawing; groups and ids that
nothing refers to go; coordinates are cut to a tenth of a point, those of the small markers to a
hundredth, and paths are written relative.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_REFERENCE = re.compile(r"(?<=url\(#)[^)]+|(?<=^#).+")
_NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")
_NUMERIC = ("x", "y", "width", "height", "viewBox", "transform")
_PAIRS = {"M": 1, "L": 1, "Q": 2, "C": 3}  # points that one command takes


@dataclass(frozen=True)
class Charts:
    """Charts made small, and what they share: put `definitions` and `css` into the same page."""

    svgs: tuple[str, ...]
    definitions: str
    css: str


def compact(svgs: Sequence[str]) -> Charts:
    """Take what is repeated out of `svgs`, elements ``<svg>`` of `svg.inline` for one page."""
    page = _Page()
    small = tuple(page.chart(svg) for svg in svgs)
    css = "".join(f".{name}{{{style}}}\n" for style, name in page.classes.items())
    if not page.definitions:
        return Charts(small, "", css)
    # Not display: none, which would switch off the clip paths and hatches inside.
    shared = '<svg class="shared" width="0" height="0" aria-hidden="true"><defs>\n'
    for content, id in page.definitions.items():
        shared += re.sub(r"^<\w+", rf'\g<0> id="{id}"', content) + "\n"
    shared += "</defs></svg>"
    return Charts(small, shared, css)


@dataclass
class _Page:
    """What its charts share: classes by style, and ids by what they stand for."""

    classes: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)

    def chart(self, svg: str) -> str:
        root = ElementTree.fromstring(svg)
        root.attrib.pop("version", None)
        small = {element for group in root.iter("defs") for element in group.iter()}
        for element in root.iter():
            _shorten(element, 2 if element in small else 1)
        renamed: dict[str, str] = {}
        for group in list(root.iter("defs")):
            for element in group:
                old = element.attrib.pop("id")
                renamed[old] = self._define(element)
            group[:] = []
        for element in root.iter():
            element.attrib.pop("id", None)
            for name, value in element.attrib.items():
                if name == "aria-label":  # which may hold anything
                    continue
                element.set(name, _REFERENCE.sub(lambda old: renamed.get(old[0], old[0]), value))
        _prune(root)
        _gather(root)
        self._classify(root)
        return _text(root)

    def _define(self, element: Element) -> str:
        """Share a marker, hatch or clip path, and return its id in the page."""
        self._classify(element)
        return self.definitions.setdefault(_text(element), f"d{len(self.definitions)}")

    def _classify(self, root: Element) -> None:
        for element in root.iter():
            styles = [element.attrib.pop("style", "")]
            if clip := element.attrib.pop("clip-path", ""):
                styles.append(f"clip-path:{clip}")
            names = [
                self.classes.setdefault(style, f"s{len(self.classes)}")
                for style in filter(None, styles)
            ]
            if names:
                element.set("class", " ".join(names))


def _shorten(element: Element, decimals: int) -> None:
    """Write the numbers and the style of an element short."""
    if not (element.text or "").strip():
        element.text = None
    if not (element.tail or "").strip():
        element.tail = None
    if "d" in element.attrib:
        element.set("d", path(element.attrib["d"], decimals))
    for name in _NUMERIC:
        if name in element.attrib:
            short = _NUMBER.sub(lambda n: _number(n[0], decimals), element.attrib[name])
            element.set(name, short)
    if element.get("transform", "").startswith("rotate(0 "):
        del element.attrib["transform"]
    if "style" in element.attrib:
        element.set("style", element.attrib["style"].replace(": ", ":").replace("; ", ";"))


def _prune(parent: Element) -> None:
    """Remove emptied definitions, paths that show nothing, and groups that say nothing."""
    kept: list[Element] = []
    for element in list(parent):
        _prune(element)
        if element.tag == "g" and not element.attrib:
            kept += element
        elif element.tag != "defs" and not (
            element.tag == "path" and element.get("style") == "fill:none"
        ):
            kept.append(element)
    parent[:] = kept


def _gather(root: Element) -> None:
    """Say once of a group how all that is in it looks, as of the markers of a line."""
    for group in root.iter("g"):
        styles = {element.get("style", "") for element in group}
        if len(group) > 1 and len(styles) == 1 and "style" not in group.attrib:
            (style,) = styles
            # Opacity is not handed down: a group as a whole would be pale.
            if style and "opacity" not in style:
                group.set("style", style)
                for element in group:
                    del element.attrib["style"]


def path(data: str, decimals: int) -> str:
    """Path `data` of absolute M, L, Q, C and Z, rounded, relative from point to point.

    Rounded are the points, not the steps between them, so that no error adds up.

    Raises:
        ValueError: another command, or several in one.
    """
    written: list[str] = []
    fine = 10**decimals
    here = start = (0, 0)  # of that unit
    before = ""
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", data):
        if command in "Zz":
            written.append("z")
            here, before = start, "z"
            continue
        values = [round(fine * float(n)) for n in _NUMBER.findall(numbers)]
        if len(values) != 2 * _PAIRS.get(command, 0):
            raise ValueError(f"path command {command}{numbers}")
        points = list(zip(values[::2], values[1::2], strict=True))
        if command == "M":
            here = start = points[0]
            name, steps = "M", list(here)
        else:
            name = command.lower()
            steps = [to - at for point in points for to, at in zip(point, here, strict=True)]
            here = points[-1]
            if name == "l" and 0 in steps:
                name, steps = ("v", steps[1:]) if steps[0] == 0 else ("h", steps[:1])
        text = "".join(
            (" " if n[0] != "-" else "") + n
            for n in (_number(step / fine, decimals) for step in steps)
        )
        written.append(text if name == before else name + text.lstrip())
        before = name
    return "".join(written)


def _number(value: str | float, decimals: int) -> str:
    """A number to so many decimals, without the digits that say nothing."""
    text = f"{float(value):.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else re.sub(r"^(-?)0\.", r"\1.", text)


def _text(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode").replace(" />", "/>")
