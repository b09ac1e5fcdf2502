"""The section of searches: how every candidate did on each rung, and the ten best with settings."""

from __future__ import annotations

from collections.abc import Sequence

from aebench.analysis import words
from aebench.analysis.searches import Search, further, searches
from aebench.language import say
from aebench.page import svg
from aebench.page.charts import plain_log, readable_log
from aebench.page.parts import Chart, Section, Table, table
from aebench.store import Results

_BEST = 10
_PANELS = 30  # more would make the page too heavy


def section(results: Results) -> Section | None:
    """A panel and a table for each search; None where no job is of one. `results` as stored."""
    found = searches(results.jobs)
    if not found:
        return None
    drawn = found[:_PANELS]
    intro = [
        say(
            "Candidates that aebench tune trained: settings of training, and forms of a model. The "
            "best of a rung were trained anew with the epochs of the next, and the winner is the "
            "best of the last one, on validation images alone. Those that finished appear here "
            "only."
        )
    ]
    if len(found) > len(drawn):
        more = words.counted(len(found) - len(drawn), "further search", "further searches")
        intro.append(say("{what} not drawn.", what=more))
    if failed := sum(search.failed for search in found):
        intro.append(
            say(
                "{candidates} without an error not shown.",
                candidates=words.counted(failed, "candidate"),
            )
        )
    chart = Chart(
        say("Validation MSE by learning rate"),
        panels(
            drawn, say("Validation MSE of every candidate against its learning rate, by search")
        ),
        say(
            "Each mark is a candidate on a rung, trained from scratch with so many epochs; the "
            "winner "
            "has a ring, and a line joins what the same settings reached on the rungs before."
        ),
        tuple(_table(search) for search in found),
    )
    return Section("search", say("Searches for settings"), tuple(intro), (chart,))


def _title(search: Search) -> str:
    model = words.model(search.architecture, search.latent, 1)
    return f"{words.dataset(search.dataset)} {model}"


def panels(found: Sequence[Search], label: str) -> str:
    """A panel for each search: error against learning rate, a mark and a colour for each rung."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator

    epochs = sorted({epochs for search in found for epochs in search.rungs})
    across = min(2, len(found))
    down = -(-len(found) // across)
    with svg.canvas(svg.WIDTH, 0.6 + 3.2 * down) as figure:
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, search in zip(grid, found, strict=False):
            axes.set_title(words.short(_title(search)))
            axes.set(xscale="log", yscale="log")
            rows = search.candidates
            joined = rows.loc[list(search.path)]
            axes.plot(joined["learning_rate"], joined["val_mse"], color=svg.INK, linewidth=1.0)
            for rung, on in rows.groupby("epochs"):
                i = epochs.index(int(str(rung)))
                axes.plot(on["learning_rate"], on["val_mse"], color=svg.colour(i), linestyle="",
                          marker=svg.marker(i), markersize=5.5, markeredgecolor=svg.PAPER,
                          markeredgewidth=0.5)  # fmt: skip
            winner = rows.loc[[search.winner]]
            axes.plot(winner["learning_rate"], winner["val_mse"], linestyle="", marker="o",
                      markersize=12, markerfacecolor="none", markeredgecolor=svg.INK)  # fmt: skip
            plain_log(axes.xaxis, LogLocator(subs=(1.0, 3.0), numticks=12))
            readable_log(axes)
        for axes in grid[len(found) :]:
            axes.set_visible(False)
        figure.supxlabel(say("learning rate (log scale)"), fontsize=10.5)
        figure.supylabel(say("validation MSE per pixel (log scale)"), fontsize=10.5)
        marks = [
            Line2D([], [], color=svg.colour(i), marker=svg.marker(i), linestyle="")
            for i in range(len(epochs))
        ]
        names = [words.counted(number, "epoch") for number in epochs]
        svg.legend(figure, marks, names, ncols=min(6, len(names)))
        return svg.inline(figure, label)


def _table(search: Search) -> Table:
    heads = """
        depth ##
        options
        epochs ##
        learning_rate #
        batch_size ##
        schedule
        order
        further settings | of training, where they are not usual
        val_mse #
    """
    caption = say(
        "{search}: the {n} best of {candidates} candidates",
        search=_title(search),
        n=_BEST,
        candidates=len(search.candidates),
    )
    return table(caption, heads, (
        (
            *(row[name] for name in ("depth", "options", "epochs", "learning_rate")),
            *(row[name] for name in ("batch_size", "schedule", "order")),
            further(row), row["val_mse"],
        )
        for _, row in search.candidates.head(_BEST).iterrows()
    ), headings=0)  # fmt: skip
