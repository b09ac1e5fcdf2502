"""Charts made small: what they share, and that nothing seen is lost."""

import re
from pathlib import Path

import pytest

from aebench.page.compact import compact, path

REPORTS = Path(__file__).resolve().parent.parent / "reports"

CHART = """<svg role="img" width="10pt" height="10pt" version="1.1">
 <defs>
  <path id="{name}-mark" d="M 0 3.14159
L 0 -3.14159
" style="stroke: red; stroke-width: 0.8"/>
 </defs>
 <g id="{name}-figure">
  <path d="M 0 0 L 9 9 z" style="fill: none"/>
  <g clip-path="url(#{name}-clip)">
   <use href="#{name}-mark" x="1.05001" y="-0.001" style="fill: red"/>
  </g>
  <g id="{name}-text"><text x="1" y="2" transform="rotate(-0 1 2)">0.5000 &lt; 1</text></g>
  <path d="M 1 1 L 2 1 L 2 3" style="fill: url(#{name}-hatch)"/>
  <path d="M 1 1 L 2 2"/>
 </g>
 <defs>
  <clipPath id="{name}-clip"><rect x="0" y="0" width="10.000" height="{height}"/></clipPath>
  <pattern id="{name}-hatch"><path d="M 0 0 L 1 0" style="stroke: red"/></pattern>
 </defs>
</svg>"""


def test_charts_share_styles_and_definitions() -> None:
    charts = compact([CHART.format(name="one", height=5), CHART.format(name="two", height=6)])
    assert charts.svgs[0] == (
        '<svg role="img" width="10pt" height="10pt">'
        '<g class="s2"><use href="#d0" x="1.1" y="0" class="s3"/></g>'
        '<text x="1" y="2">0.5000 &lt; 1</text>'
        '<path d="M1 1h1v2" class="s4"/><path d="M1 1l1 1"/></svg>'
    )
    # The second has another clip path and the same of everything else.
    assert charts.svgs[1] == charts.svgs[0].replace('"s2"', '"s5"')
    assert re.findall(r'id="(\w+)"', charts.definitions) == ["d0", "d1", "d2", "d3"]
    assert '<path id="d0" d="M0 3.14v-6.28" class="s0"/>' in charts.definitions
    assert (
        '<clipPath id="d3"><rect x="0" y="0" width="10" height="6"/></clipPath>'
        in charts.definitions
    )
    assert charts.css.splitlines() == [
        ".s0{stroke:red;stroke-width:0.8}",
        ".s1{stroke:red}",
        ".s2{clip-path:url(#d1)}",
        ".s3{fill:red}",
        ".s4{fill:url(#d2)}",
        ".s5{clip-path:url(#d3)}",
    ]


def test_markers_of_a_line_say_once_how_they_look() -> None:
    def drawn(*styles: str) -> str:
        uses = "".join(f'<use x="{i}" y="1" style="{s}"/>' for i, s in enumerate(styles))
        (svg,) = compact([f'<svg><g clip-path="url(#c)">{uses}</g></svg>']).svgs
        return svg

    assert drawn("fill: red", "fill: red") == (
        '<svg><g class="s0 s1"><use x="0" y="1"/><use x="1" y="1"/></g></svg>'
    )
    apart = (
        '<svg><g class="s0"><use x="0" y="1" class="s1"/><use x="1" y="1" class="s{}"/></g></svg>'
    )
    assert drawn("fill: red", "fill: blue") == apart.format(2)
    assert drawn("opacity: 0.5", "opacity: 0.5") == apart.format(1)  # of each, not of all at once


def test_no_chart_shares_nothing() -> None:
    assert compact([]).definitions == compact([]).css == ""


@pytest.mark.parametrize("decimals", [1, 2])
def test_rounding_of_a_path_does_not_add_up(decimals: int) -> None:
    points = [(i * 0.014, i * 1.006) for i in range(200)]
    data = "M " + " L ".join(f"{x:.6f} {y:.6f}" for x, y in points)
    written = path(data, decimals)
    assert re.fullmatch(r"M0 0([lv][^a-z]+)+", written)
    at = [0.0, 0.0]
    for command, text in re.findall("([lv])([^a-z]+)", written):
        steps = [float(step) for step in re.findall(r"-?\d*\.?\d+", text)]
        at[0] += sum(steps[::2]) if command == "l" else 0
        at[1] += sum(steps[1::2]) if command == "l" else sum(steps)
    assert at == pytest.approx(points[-1], abs=0.51 * 10**-decimals)


def test_path_goes_back_to_its_start_and_writes_curves() -> None:
    assert path("M 1 1 L 3 1 L 3 2 z M 5 5 C 6 5 7 6 7 7 Q 8 8 9 7.5 L 9 7.5", 1) == (
        "M1 1h2v1zM5 5c1 0 2 1 2 2q1 1 2 .5v0"
    )


@pytest.mark.parametrize("data", ["M 1 1 A 1 1 0 0 0 2 2", "M 1 1 L 2 2 3 3"])
def test_path_that_it_cannot_read_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="path command"):
        path(data, 1)


@pytest.mark.parametrize(
    ("name", "most_bytes"),
    # The page of the answer grows with every training: its curve, its rates, its record.
    [("study", 1_000_000), ("best", 1_500_000), ("quick", 1_000_000)],
)
def test_reference_reports_can_be_mailed(name: str, most_bytes: int) -> None:
    assert (REPORTS / f"reference-{name}.html").stat().st_size < most_bytes
