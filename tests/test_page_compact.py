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
   <use href="#{name}-mark" x="1.005001" y="-0.001" style="fill: red"/>
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
        '<g clip-path="url(#d1)"><use href="#d0" x="1.01" y="0" class="s2"/></g>'
        '<text x="1" y="2">0.5000 &lt; 1</text>'
        '<path d="M1 1h1v2" class="s3"/><path d="M1 1l1 1"/></svg>'
    )
    # The second has another clip path and the same of everything else.
    assert charts.svgs[1] == charts.svgs[0].replace("url(#d1)", "url(#d3)")
    assert re.findall(r'id="(\w+)"', charts.definitions) == ["d0", "d1", "d2", "d3"]
    assert '<path id="d0" d="M0 3.14v-6.28" class="s0"/>' in charts.definitions
    assert (
        '<clipPath id="d3"><rect x="0" y="0" width="10" height="6"/></clipPath>'
        in charts.definitions
    )
    assert charts.css.splitlines() == [
        ".s0{stroke:red;stroke-width:0.8}",
        ".s1{stroke:red}",
        ".s2{fill:red}",
        ".s3{fill:url(#d2)}",
    ]


def test_no_chart_shares_nothing() -> None:
    assert compact([]).definitions == compact([]).css == ""


def test_rounding_of_a_path_does_not_add_up() -> None:
    points = [(i * 0.014, i * 1.006) for i in range(200)]
    data = "M " + " L ".join(f"{x:.6f} {y:.6f}" for x, y in points)
    written = path(data)
    assert re.fullmatch(r"M0 0(l[^a-z]+ ?|v[^a-z]+)+", written)
    steps = re.findall(r"-?\d*\.?\d+", written.replace("v", " 0 "))[2:]
    at = [sum(map(float, steps[::2])), sum(map(float, steps[1::2]))]
    assert at == pytest.approx(points[-1], abs=0.0051)


def test_path_goes_back_to_its_start_and_writes_curves() -> None:
    assert path("M 1 1 L 3 1 L 3 2 z M 5 5 C 6 5 7 6 7 7 Q 8 8 9 7.5 L 9 7.5") == (
        "M1 1h2v1zM5 5c1 0 2 1 2 2q1 1 2 .5v0"
    )


@pytest.mark.parametrize("data", ["M 1 1 A 1 1 0 0 0 2 2", "M 1 1 L 2 2 3 3"])
def test_path_that_it_cannot_read_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="path command"):
        path(data)


@pytest.mark.parametrize("name", ["reference-hour", "reference-quick"])
def test_reference_reports_can_be_mailed(name: str) -> None:
    assert (REPORTS / f"{name}.html").stat().st_size < 1_500_000
