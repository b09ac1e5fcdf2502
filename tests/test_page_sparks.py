"""Small charts: where dots and curves stand, and what is written beside them."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from aebench.analysis.exhibits import Curve, Curves, Dots, Line
from aebench.analysis.frames import Model
from aebench.page import sparks


def places(svg: str, kind: str, axis: str = "x1") -> list[float]:
    """Where the elements of a class stand, in percent of the width."""
    found = (e for e in ElementTree.fromstring(svg).iter() if e.get("class") == kind)
    return [float((e.get(axis) or "0")[:-1]) for e in found]


def ticks(svg: str) -> list[str]:
    found = ElementTree.fromstring(svg).iter("text")
    return [e.text or "" for e in found if "tick" in (e.get("class") or "")]


def opens(svg: str) -> dict[str, str]:
    """The models that names open, by the name."""
    named = (e for e in ElementTree.fromstring(svg).iter() if e.get("data-model"))
    return {"".join(e.itertext()): e.get("data-model") or "" for e in named}


def test_dots_stand_on_a_logarithmic_axis_beside_what_they_are_held_against() -> None:
    line = Line("mlp-512", (0.5, 1.0, 2.0))
    svg = sparks.dots(Dots((line,), mark=1.0, mark_is="it", margin=(0.8, 1.25)), "ratio")
    low, middle, high = places(svg, "dot", "cx")
    assert (low, high) == (5.0, 95.0)
    assert middle == pytest.approx(50, abs=0.01)
    assert places(svg, "study") == [middle]
    root = ElementTree.fromstring(svg)
    (margin,) = (e for e in root.iter("rect") if e.get("class") == "margin")
    left, width = (float((margin.get(name) or "")[:-1]) for name in ("x", "width"))
    assert left < middle < left + width
    assert (left + width / 2) == pytest.approx(middle, abs=0.02)
    assert ticks(svg) == ["0.5", "0.8", "1", "1.25", "2"]
    assert root.get("role") == "img"
    assert root.get("aria-label") == "ratio: mlp-512 3 from 0.500 to 2.00"


def test_the_studys_figure_is_a_stroke_in_its_own_line() -> None:
    lines = Line("a", (0.6,), study=0.5), Line("b", (2.0, 2.1)), Line("c", (9.0,), trained=False)
    svg = sparks.dots(Dots(lines), "study error")
    assert places(svg, "study") == [5.0]
    assert len(places(svg, "dot", "cx")) == 3
    assert places(svg, "dot bar", "cx") == [95.0]
    heights = [float(y) for y in re.findall(r'<circle [^>]*cy="([\d.]+)"', svg)]
    assert heights[0] < heights[1] == heights[2] < heights[3]
    assert "a: 0.600<" in svg
    assert "a 0.600, the study&#x27;s 0.500; b 2 from 2.00 to 2.10; c 9.00" in svg


def test_a_bound_is_no_figure_of_the_study() -> None:
    svg = sparks.dots(Dots((Line("", (0.25, 1.0)),), mark=0.5, mark_is="half"), "share")
    assert places(svg, "mark") == [50.0]
    assert places(svg, "study") == []


@pytest.mark.parametrize("values", [(0.605,), (0.605, 0.605), (1e-9, 1e9), (0.0387, 0.0581)])
def test_every_axis_has_words_that_do_not_meet(values: tuple[float, ...]) -> None:
    svg = sparks.dots(Dots((Line("", values),)), "error")
    found = ElementTree.fromstring(svg)
    at = [float(e.get("x", "")[:-1]) for e in found.iter("text")]
    assert 1 <= len(at) <= 9
    assert all(5 <= x <= 95 for x in at)
    assert all(after - before >= 11 for before, after in pairwise(at))
    assert all(5 <= x <= 95 for x in places(svg, "dot", "cx"))


def test_curves_run_from_first_to_last_epoch() -> None:
    mlp, conv = Model("mnist", "mlp", 512), Model("mnist", "conv", 128)
    one = Curve(mlp, "training", (0.0, 0.5, 1.0))
    other = Curve(conv, "validation", (0.0, 1.0))
    svg = sparks.curves(Curves((one, other), "share done", 0.9))
    assert re.findall(r'points="([^"]+)"', svg) == [
        "0.0,100.0 50.0,50.0 100.0,0.0", "0.0,100.0 50.0,0.0",
    ]  # fmt: skip
    assert '<polyline class="curve-0 training"' in svg
    assert '<polyline class="curve-1 validation"' in svg
    assert ticks(svg) == ["epoch 1", "epoch 3"]
    assert ElementTree.fromstring(svg).get("aria-label") == "share done: mlp-512 and conv-128"
    assert opens(svg) == {"mlp-512": mlp.identity, "conv-128": conv.identity}


def test_what_names_a_model_opens_it_and_what_names_none_does_not() -> None:
    lines = Line("mlp-4", (0.6,), model="12ab"), Line("mean image", (2.0,), trained=False)
    assert opens(sparks.dots(Dots(lines), "study error")) == {"mlp-4: 0.600": "12ab"}


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><b>', r"$\frac{$", "x" * 300])
def test_a_name_is_text(name: str) -> None:
    dots = sparks.dots(Dots((Line(name, (1.0,)),)), name)
    curve = Curve(Model("mnist", name, 4), "training", (0.0, 1.0))
    curves = sparks.curves(Curves((curve,), name, 0.9))
    for svg in (dots, curves):
        root = ElementTree.fromstring(svg)  # well formed
        assert {e.tag for e in root.iter()} <= {"svg", "g", "text", "line", "circle", "polyline"}
        assert name in (root.get("aria-label") or "")
        assert max(len(e.text or "") for e in root.iter()) < 80
