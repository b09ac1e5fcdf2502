"""The section on codes as compression: bytes per image against what is lost.

What stands beside what is computed in `analysis.rates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd

from aebench.analysis import frames, names, rates, words
from aebench.analysis.rates import FORMATS, PCA, Against, Meeting
from aebench.language import later, numeral, say
from aebench.page import svg
from aebench.page.charts import plain_log, readable_log, series_colours
from aebench.page.parts import Cell, Chart, Section, Table, table
from aebench.store import Results

if TYPE_CHECKING:
    from matplotlib.artist import Artist

_COMPARED = ("jpeg", "webp")
_MARKERS = {"jpeg": "<", "webp": ">", "png": "|"}  # which no family has
_INTRO = later((
    "The code of every trained model that is at most two thirds of the image is quantized to 8, 6, "
    "4 and 2 bits a number, evenly, over a range chosen for each number on validation images, and "
    "decoded by the model. Bytes of a code are those that an ideal arithmetic coder would take "
    "with one table for each number, learned on validation images too; 32 bits are the float32 "
    "code as it is. PCA with as many components and the same quantizer stands beside it.",
    "JPEG, WebP and PNG are the files that Pillow writes, one an image, headers included: at 28 x "
    "28 pixels these are a large part. All is measured on the first 1,000 test images (all, where "
    "there are fewer).",
))  # fmt: skip


def section(results: Results) -> Section:
    """A chart and a table for each data set with a code that compresses, and who is ahead."""
    title = say("Is it a good compressor? Bytes against error")
    codes, files = rates.codes(results), rates.files(results)
    charts, said, short = [], [], []
    weights: list[float] = []
    for (dataset,), mine in frames.by_dataset(codes):
        learned = mine[mine["family"] != PCA]
        if not len(learned):
            continue
        name, measured = words.dataset(dataset), files[files["dataset"] == dataset]
        fronts = {str(f): rates.front(rows) for f, rows in mine.groupby("family", sort=False)}
        weights += [w for f, rows in fronts.items() if f != PCA for w in rows["decoder_bytes"]]
        charts.append(
            Chart(
                name,
                chart(fronts, measured, say("MSE against bytes per image, {name}", name=name)),
                say(
                    "Lower and further left is better. Each line joins the codes that no other of "
                    "the same family, at any size and any number of bits, beats in both; means "
                    "over "
                    "seeds. Files without loss have no error to draw on this axis: their size is "
                    "the "
                    "dotted line."
                ),
                (
                    _table(
                        fronts, measured, say("{name}: the codes drawn, and the files", name=name)
                    ),
                ),
            )
        )
        best = rates.front(learned)
        met = [rates.against(best, measured, codec) for codec in _COMPARED]
        said += [_in_words(each, name) for each in met if each]
        short += [
            say("{dataset}, for the same bytes: {ahead}.", dataset=name, ahead=_ahead(m))
            for m in met
            if m and m.meetings
        ]
    if not charts:
        intro = (say("This takes a finished model whose code is at most two thirds of the image."),)
        return Section("rates", title, intro)
    span = words.span(_bytes(w) for w in (min(weights), max(weights)))
    uncounted = say(
        "Neither the tables nor what decodes are counted. The decoders of the models drawn take "
        "{span} in float32 (four bytes a weight), which only a great many images pay back.",
        span=span,
    )
    said_first = (*map(say, _INTRO), uncounted)
    told = "".join(short[:1])
    return Section("rates", title, said_first, tuple(charts), lists=tuple(said), message=told)


def _bytes(number: float) -> str:
    """A size in the unit that leaves it readable."""
    for unit in later(("bytes", "kB", "MB")):
        if number < 1000 or unit == "MB":
            return f"{words.number(number)} {say(unit)}"
        number /= 1000
    raise AssertionError


def _in_words(met: Against, dataset: str) -> str:
    """How far down learned codes go below a format, and who loses less at equal bytes."""
    name = FORMATS[met.format]
    text = say(
        "{dataset}, learned codes against {name}: the smallest {name} files take "
        "{smallest} bytes an image, with an MSE of {its_error}",
        dataset=dataset,
        name=name,
        smallest=words.number(met.smallest),
        its_error=words.number(met.its_error),
    )
    if met.cheapest is None:
        text += say("; no learned code comes so near to the image. ")
    else:
        code = say(
            "{model} in {bits}", model=met.cheapest["name"], bits=_bits(met.cheapest["bits"])
        )
        text += say(
            "; {code} is as near to it in {cost} bytes. ",
            code=code,
            cost=words.number(met.cheapest["cost"]),
        )
    if met.meetings:
        told = words.clauses(_met(meeting, name) for meeting in _turning(met.meetings))
        text += say("For the same bytes {ahead}: {told}.", ahead=_ahead(met), told=told)
    else:
        text += say("Every learned code takes more bytes than {name} files.", name=name)
    if met.lossless is not None:
        text += say(
            " From {lossless} bytes on {name} loses nothing.",
            lossless=words.number(met.lossless),
            name=name,
        )
    return text


def _ahead(met: Against) -> str:
    """Who loses less at equal bytes, where both can be had."""
    name = FORMATS[met.format]
    return {
        frozenset({"code"}): say(
            "the best learned code loses less at all rates of {name}", name=name
        ),
        frozenset({"file"}): say("{name} loses less at all its rates", name=name),
        frozenset({"neither"}): say("neither the best learned code nor {name} is ahead", name=name),
    }.get(
        frozenset(meeting.ahead for meeting in met.meetings),
        say("who loses less depends on the rate"),
    )


def _turning(meetings: Sequence[Meeting]) -> list[Meeting]:
    """The first meeting, those at which somebody else gets ahead, and the last."""
    told = [meetings[0], *(b for a, b in pairwise(meetings) if a.ahead != b.ahead)]
    return told if told[-1] is meetings[-1] else [*told, meetings[-1]]


def _met(meeting: Meeting, name: str) -> str:
    ratio = meeting.ratio
    known = ratio.low is not None
    interval = (
        say(", 95 % interval {interval}", interval=words.between(ratio.low, ratio.high))
        if known
        else ""
    )
    return say(
        "at {budget} bytes {model} in {bits} has "
        "{ratio} times the error of {name} ({seeds}{interval})",
        budget=words.number(meeting.budget),
        model=meeting.name,
        bits=_bits(meeting.bits),
        ratio=words.number(ratio.centre),
        name=name,
        seeds=words.seeds(ratio.n),
        interval=interval,
    )


def _bits(bits: float) -> str:
    return "float32" if bits == 32 else say("{bits} bits", bits=numeral(bits, ".0f"))


def _table(fronts: dict[str, pd.DataFrame], measured: pd.DataFrame, caption: str) -> Table:
    heads = """
        code or file
        settings | protocol, and how the jobs depart from it
        bits or quality | bits of each number of a code; for files the quality asked of Pillow
        seeds ##
        bytes # | per image: of an ideal arithmetic coder, or of the file with its header
        fixed # | bytes per image of a code whose numbers all take the same bits
        MSE # | of the test images coded, pixels in [0, 1]; geometric mean over seeds
        SSIM # | structural similarity (Wang et al. 2004): 1 is alike
        decoder bytes ## | weights of what decodes, in float32, which bytes do not count
    """
    rows: list[tuple[Any, ...]] = [
        (
            *(_named(row), row["settings"], _bits(row["bits"]), row["n_seeds"], row["cost"]),
            *(row["fixed_bytes_per_image"], row["error"], row["ssim"], row["decoder_bytes"]),
        )
        for front in fronts.values()
        for _, row in front.iterrows()
    ]
    for _, row in measured.sort_values(["codec", "cost"]).iterrows():
        quality = (
            say("no loss")
            if words.missing(row["quality"])
            else say("quality {quality}", quality=numeral(row["quality"], ".0f"))
        )
        name = FORMATS[row["codec"]]
        rows.append((name, "", quality, None, row["cost"], None, row["error"], row["ssim"], None))
    return table(caption, heads, rows)


def _named(row: pd.Series) -> Cell:
    """Whose code it is; PCA is no model that can be looked at closer."""
    return Cell(row["name"], model=names.identity(row) if row["family"] != PCA else "")


def chart(fronts: dict[str, pd.DataFrame], measured: pd.DataFrame, label: str) -> str:
    """MSE against bytes per image: a line for each family's front, PCA's, and each format."""
    from matplotlib.ticker import LogLocator

    families = sorted(set(fronts) - {PCA})
    colours = series_colours(families)
    with svg.canvas(svg.WIDTH, 4.6) as figure:
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlabel=say("bytes per image (log scale)"),
                 ylabel=say("MSE (log scale)"))  # fmt: skip
        lines: dict[str, Artist] = {}

        def draw(name: str, rows: pd.DataFrame, colour: str, marker: str, dash: Any) -> None:
            (lines[name],) = axes.plot(
                rows["cost"], rows["error"], color=colour, marker=marker, markersize=5,
                linestyle=dash, markeredgecolor=svg.PAPER, markeredgewidth=0.6,
            )  # fmt: skip

        for family in families:
            i = colours[family]
            draw(family, fronts[family], svg.colour(i), svg.marker(2 * i), svg.DASHES[0])
        if PCA in fronts:
            draw(PCA, fronts[PCA], svg.INK, svg.marker(1), svg.DASHES[1])
        for codec, rows in measured.groupby("codec", sort=True):
            name, lossy = FORMATS[str(codec)], rows[rows["error"] > 0].sort_values("cost")
            if len(lossy):
                draw(name, lossy, svg.MUTED, _MARKERS[str(codec)], svg.DASHES[0])
            for cost in rows.loc[rows["error"] == 0, "cost"]:
                axes.axvline(cost, color=svg.MUTED, linewidth=1.1, linestyle=svg.DASHES[2])
                axes.annotate(
                    say("{name} without loss", name=name), (cost, 0.02),
                    xycoords=("data", "axes fraction"),
                    xytext=(-3, 0), textcoords="offset points", fontsize=9, rotation=90, ha="right",
                )  # fmt: skip
        axes.margins(0.06)
        axes.autoscale_view()
        plain_log(axes.xaxis, LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
        readable_log(axes)
        svg.legend(figure, list(lines.values()), list(lines), ncols=6)
        return svg.inline(figure, label)
