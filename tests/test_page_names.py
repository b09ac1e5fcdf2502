"""Names that are anything, and environments that are anyone's: the report shows text, always."""

from __future__ import annotations

import dataclasses
import html
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_page import Checked
from test_report_records import failure, record, stored

from aebench.analysis import names, words
from aebench.errors import printable
from aebench.page.html import page, write
from aebench.store import Problem, Results

# TeX, markup, what a chart is made of itself, what no XML may hold, what turns the line round.
NASTY = [
    "x$_{$", "$$", r"$\frac{$", "<b>&amp;", "#010101", 'url(#x) id="y" href="#z"', "_hidden", "",
    "\x1b[31mred\x1b]0;title\x07", "\x00\x01", "a\nb\tc", "\ud800", "\ufffe\uffff", "\u202eevil",
    "名前 🦊 مرحبا", "long" * 500, " ", "%s {0} {{x}}", "-->]]>", "\\x1b", "nan", "None",
]  # fmt: skip


OTHERS = ("conv", "conv-relu", "conv-bottleneck", "mlp-shared")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Families on one data set, with a time and a learning curve each.

    Every chart is drawn but that of noise, whose panels are those of the learning curves.
    """
    records = (
        record(family, k, dataset="digits", epochs=2, engine=engine, seconds=1.0 + k)
        for family in ("mlp", *OTHERS) for k in (1, 4) for engine in ("eager", "reference")
        if engine == "eager" or family in ("mlp", "conv")
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("plain")
    return stored(folder, *(dataclasses.replace(each, probes=()) for each in records))


def called(results: Results, *names: str) -> str:
    """The page of `results` whose families but the MLP have these `names`, in this order.

    The last is also the name of the data set, of the device and of a file with a problem.
    """
    # An object column, for no Arrow one can hold a lone surrogate.
    jobs = results.jobs.astype({"architecture": object, "dataset": object, "device_name": object})
    baselines = results.baselines.astype({"dataset": object})
    jobs["architecture"] = jobs["architecture"].replace(dict(zip(OTHERS, names, strict=False)))
    for frame in (jobs, baselines):
        frame["dataset"] = pd.Series(names[-1:] * len(frame), index=frame.index, dtype=object)
    jobs["device_name"] = jobs["dataset"]
    jobs["reason"] = jobs["engine_note"] = ""
    problems = [Problem(Path(names[-1]), names[-1], names[-1])]
    return page(dataclasses.replace(results, jobs=jobs, baselines=baselines, problems=problems))


@pytest.mark.slow
@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(st.characters(codec=None), max_size=12), min_size=4, max_size=4))
@example(["x$_{$", "#010101", "_hidden", 'url(#x) id="名前"'])
@example(["".join(NASTY), "x$_{$"])
def test_whatever_a_name_is_the_page_shows_it_as_text(plain: Results, names: list[str]) -> None:
    text = called(plain, *names)
    Checked(text)
    text.encode("utf-8")
    assert all(c.isprintable() or c.isspace() for c in text)
    assert text.count("<script") == 4  # the theme, findings and models as data, and the rest
    assert "mathdefault" not in text
    charts = re.findall(r"<svg role.*?</svg>", text, re.S)
    assert len(charts) >= 6
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", "".join(charts))
    written = {html.unescape(each) for each in drawn}
    for name in names:
        if name.isprintable() and 0 < len(name) < 30:
            # Beside its curve, over its learning curve, in a legend and on axes: the name itself.
            assert {name, f"{name}-4"} <= written


# What a plugin, a folder of images, an option and a failure may be called.
HOSTILE = (
    "<script>alert(1)</script>", r"$\frac{$", "a\x1b[31mb\x00\x07c", "long" * 75, "\u202egpj.elif",
)  # fmt: skip


def hostile(folder: Path) -> Results:
    """Records as they are on disk, of models, data sets, options and failures with such names."""
    here = "".join(HOSTILE)[:255]
    named = []
    for seed, name in enumerate(HOSTILE):
        for latent, options in ((1, ""), (4, f"style={name}")):
            row = {"architecture": name, "dataset": here, "options": options, "device_name": name}
            made = record("conv", latent, dataset="digits", epochs=2, seed=seed, row=row)
            curve = [point | {"dataset": here} for point in made.baselines]
            named.append(dataclasses.replace(made, baselines=curve))
        named.append(failure("mlp", 4, dataset="digits", seed=seed, reason=f"no {name}"))
    return stored(folder, *named)


@pytest.mark.slow
def test_hostile_names_are_text_from_the_disk_to_the_chart(rendered: Callable[..., Path]) -> None:
    text = rendered("hostile", hostile).read_text(encoding="utf-8")
    assert "Unreadable" not in text
    Checked(text)
    assert "<script>alert" not in text
    assert all(c.isprintable() or c.isspace() for c in text)
    said = html.unescape(re.sub(r"<[^>]*>", "\n", text))
    drawn = {html.unescape(each) for each in re.findall(r"<text[^>]*>([^<]*)</text>", text)}
    for name in HOSTILE:
        shown = printable(name)
        assert f"no {shown}"[:290] in said  # the reason
        assert shown in said.splitlines()  # the model, or the device
        assert f"style={shown}"[:200] in said
        assert words.short(shown) in drawn
    assert printable("".join(HOSTILE)[:255]) in said


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_shown_is_shown_as_an_escape(plain: Results) -> None:
    text = called(plain, "a\x1bb\x00\ud800\u202ec\nd")
    assert r"a\x1bb\x00\ud800\u202ec\nd-4" in text


def test_long_names_stay_different_and_short() -> None:
    one, two = (names.shown(_frame("x" * 400 + end)).at[0, "name"] for end in "ab")
    assert one != two
    assert len(one) == len(two) == 300
    assert names.shown(_frame(one)).at[0, "name"] == one
    assert printable("x" * 400) == "x" * 297 + "..."
    assert printable("\x1b" * 400, 20) == r"\x1b\x1b\x1b\x1b\x1b"[:17] + "..."


def _frame(name: str) -> pd.DataFrame:
    return pd.DataFrame({"name": [name]})


# Processes of someone else's making


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A folder whose page has a chart of each library that draws, and the page as it must be."""
    folder = tmp_path_factory.mktemp("own")
    results = stored(folder, record("mlp", 4, dataset="digits", epochs=2))
    return folder, write(page(results), folder / "page.html").read_bytes()


LIGHT = """
import sys
from collections.abc import Callable
from pathlib import Path
from aebench.page import render
heavy = {"pandas", "matplotlib", "seaborn", "scipy", "torch", "jinja2"} & set(sys.modules)
assert not heavy, heavy
render(sys.argv[1], Path(sys.argv[2]))
assert "torch" not in sys.modules
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "rc", "command"),
    [
        (
            "module://matplotlib_inline.backend_inline",
            "axes.grid: False\nfont.family: Comic\n\xe9\xff".encode("latin-1"),
            ["-m", "aebench", "-q", "report", "FOLDER", "-o", "PAGE"],
        ),
        (
            "no such backend",
            b"text.usetex: True\nsvg.fonttype: path\nfont.size: 30\n",
            ["-c", LIGHT, "FOLDER", "PAGE"],
        ),
    ],
    ids=["notebook and undecodable", "TeX, and importing is light"],
)
def test_neither_backend_nor_matplotlibrc_of_the_user_matters(
    own: tuple[Path, bytes], tmp_path: Path, backend: str, rc: bytes, command: list[str]
) -> None:
    folder, own_page = own
    page, matplotlibrc = tmp_path / "page.html", tmp_path / "matplotlibrc"
    matplotlibrc.write_bytes(rc)
    words = [{"FOLDER": str(folder), "PAGE": str(page)}.get(word, word) for word in command]
    env = os.environ | {"MPLBACKEND": backend, "MATPLOTLIBRC": str(matplotlibrc)}
    done = subprocess.run(
        [sys.executable, "-W", "error", *words], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert page.read_bytes() == own_page


def test_a_notebook_keeps_its_own_settings() -> None:
    code = (
        "import os; os.environ['MPLBACKEND'] = 'agg'\n"
        "import matplotlib; matplotlib.rcParams['font.size'] = 33.0\n"
        "from aebench.page import svg\n"
        "matplotlib.rcParams['axes.xmargin'] = 0.3\n"
        "with svg.canvas(2, 2) as figure:\n"
        "    assert matplotlib.rcParams['font.size'] == 10.5\n"
        "    assert matplotlib.rcParams['axes.xmargin'] == 0.05\n"
        "assert matplotlib.rcParams['font.size'] == 33.0\n"
        "assert matplotlib.get_backend() == 'agg' == os.environ['MPLBACKEND']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
