"""The section of seconds to a target: which runs get there, how soon, and which systems soonest.

What counts as reached is decided in `analysis.targets`; a section without a curve is none.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from aebench.analysis import frames, profiles, targets, words
from aebench.analysis.profiles import MOST, SCORED_TO
from aebench.analysis.targets import Contest
from aebench.language import ENGLISH, later, now, numeral, plural, say
from aebench.page import svg
from aebench.page.charts import plain_log
from aebench.page.parts import (
    Cell,
    Chart,
    Column,
    Section,
    Show,
    Table,
    columns,
    model,
    number,
    table,
)
from aebench.store import Results

_LONG = 100  # rows; a longer table is folded
_UNITS = later({"train_s": "seconds", "gflop": "arithmetic"})
_ERRORS = later({
    targets.MEAN: "the error of the mean image",
    targets.PCA: "that of PCA at the same bottleneck",
    targets.STUDY: "the study's own figure",
})  # fmt: skip
_RULES = later(
    "A target is reached at the end of the first epoch whose validation MSE is at or below it: "
    "nothing is interpolated between epochs. Seconds are those of training alone (train_s), and "
    "only of runs whose times may be compared; the others have epochs and GFLOP. A run that never "
    "gets there, or diverges before, is infinitely slow, and counts as such in medians and "
    "profiles."
)


def section(results: Results) -> Section | None:
    """Profiles, and a table a data set; None where no run has a curve."""
    rows = targets.to_targets(results)
    if not len(rows):
        return None
    met = targets.contests(rows)
    charts = tuple(_chart(contest) for contest in met)
    tables = tuple(
        _table(
            mine,
            say(
                "{dataset}: until the validation MSE is at or below a target",
                dataset=words.dataset(dataset),
            ),
        )
        for (dataset,), mine in frames.by_dataset(targets.summary(rows))
    )
    intro = (_reached(rows), say(_RULES), *_caveats(results, rows))
    said = tuple(_won(contest) for contest in met)
    # Of a search the table is longer than the rest of the page.
    long = tuple(made for made in tables if len(made.rows) > _LONG)
    short = tuple(made for made in tables if made not in long)
    title = say("Seconds to a target")
    return Section("targets", title, intro, charts, short, lists=said, folded=long)


def _reached(rows: pd.DataFrame) -> str:
    """How many of the runs get to each target."""
    parts: list[str] = []
    for target, error in _ERRORS.items():
        mine = rows[rows["target"] == target]
        if len(mine):
            there, all_ = numeral(mine["reached"].sum(), ","), numeral(len(mine), ",")
            if parts:
                told = say("{n} of {all} {error}", n=there, all=all_, error=say(error))
            else:
                told = plural(
                    len(mine),
                    "{there} of {all} run reached {error}",
                    "{there} of {all} runs reached {error}",
                    there=there,
                    all=all_,
                    error=say(error),
                )
            parts.append(told)
    return say("Within their epochs, {parts}.", parts=words.listed(parts))


def _caveats(results: Results, rows: pd.DataFrame) -> Iterator[str]:
    """What a reader must know of these targets to take the table for what it is."""
    jobs = targets.runs(results)
    both = jobs[["val_mse", "mse"]].astype("float64")
    both = both[((both > 0) & (both < math.inf)).all(axis="columns")]
    ratios = both["val_mse"] / both["mse"]
    text = say(
        "The targets are test errors, and the curve is of the validation images, the only ones "
        "that are looked at after every epoch."
    )
    if len(ratios):
        span = words.between(ratios.min(), ratios.max())
        text += say(
            " Both are known of the trained models: their validation MSE is {span} times"
            " their test MSE, {median} in the median.",
            span=span,
            median=words.number(ratios.median()),
        )
    yield text
    if (rows["target"] == targets.STUDY).any():
        yield (
            say(
                "The study's figure is a sum over the {batches} full batches of 128 "
                "test images, so the target is that over {batches}. It was the error "
                "of one run at its end: one that repeats it well may still end just above.",
                batches=targets.STUDY_BATCHES,
            )
        )
    cosine = rows.loc[rows["schedule"] == "cosine", "key"].nunique()
    if cosine:
        yield plural(
            cosine,
            "{runs} follows a cosine schedule, whose learning rate falls to zero over all the "
            "epochs of the run: a target is reached at the pace of that schedule, and a shorter "
            "one may be there sooner.",
            "{runs} follow a cosine schedule, whose learning rate falls to zero over all the "
            "epochs of the run: a target is reached at the pace of that schedule, and a shorter "
            "one may be there sooner.",
            runs=words.counted(cosine, "run"),
        )
    rest = len(results.jobs) - len(jobs)
    if rest:
        yield plural(
            rest,
            "{jobs} is not among the runs: something other than the training ended it, or it left "
            "no curve, so what was reached is unknown.",
            "{jobs} are not among the runs: something other than the training ended it, or it left "
            "no curve, so what was reached is unknown.",
            jobs=words.counted(rest, "job"),
        )


def _chart(contest: Contest) -> Chart:
    unit = say(_UNITS[contest.cost])
    n, tasks = contest.ratios.shape
    title = say("Performance profile, by {unit}", unit=unit)
    reading = say(
        "Higher and further left is better: the share of tasks whose target a system reaches at "
        "no more than so many times the cost of the cheapest system there. Where a line begins is "
        "the share in which it is the cheapest, where it ends the share that it reaches at all. "
        "A task is a data set, a latent size and a target; these {n} systems all ran these "
        "{tasks}. ",
        n=n,
        tasks=tasks,
    )
    if contest.cost == "train_s":
        reading += say(
            "A system is a family, an engine, a precision and settings, all on {conditions}.",
            conditions=contest.conditions,
        )
    else:
        reading += say(
            "A system is a family under settings; cost is GFLOP of training, the same on every "
            "machine and by every engine."
        )
    if n > MOST:
        reading += say(" Drawn are the {n} with the highest score.", n=MOST)
    if contest.left_out:
        reading += say(
            " {systems} ran other tasks.", systems=words.counted(contest.left_out, "system")
        )
    caption = say("{title}: systems", title=title)
    drawn = _by_score(contest.ratios).head(MOST).drop(columns="score")
    made = (
        _systems(contest, caption),
        _tasks(drawn, say("{title}: times the least cost", title=title)),
    )
    return Chart(
        title, profile(drawn, say("{title}, {n} systems", title=title, n=n)), reading, made
    )


def _by_score(ratios: pd.DataFrame) -> pd.DataFrame:
    """The same systems with a column `score`, the highest first."""
    scores = [profiles.score(row) for _, row in ratios.iterrows()]
    return ratios.assign(score=scores).sort_values("score", ascending=False, kind="stable")


def profile(ratios: pd.DataFrame, label: str) -> str:
    """A step curve a system: the share of its tasks within tau times the least cost, over tau."""
    from matplotlib.ticker import LogLocator

    finite = [r for r in ratios.to_numpy().ravel() if r < math.inf]
    end = 1.15 * max([SCORED_TO, *finite])
    with svg.canvas(svg.WIDTH, 3.6 + 0.22 * math.ceil(len(ratios) / 2)) as figure:
        axes = figure.subplots()
        axes.set(
            xscale="log", xlim=(0.96, end), ylim=(-0.03, 1.03),
            xlabel=say("times the cost of the cheapest system (log scale)"),
            ylabel=say("share of tasks"),
        )  # fmt: skip
        lines = []
        for i, (_, row) in enumerate(ratios.iterrows()):
            taus, shares = profiles.steps(row)
            (line,) = axes.plot(
                [*taus, end], [*shares, shares[-1]], drawstyle="steps-post",
                color=svg.colour(i), linestyle=svg.DASHES[i % len(svg.DASHES)],
                marker=svg.marker(i), markersize=5, markeredgecolor=svg.PAPER,
                markeredgewidth=0.5, markevery=range(len(taus)),
            )  # fmt: skip
            lines.append(line)
        axes.axvline(SCORED_TO, color=svg.MUTED, linewidth=1, linestyle=svg.DASHES[1])
        steps = (1.0, 2.0, 4.0, 6.0) if end < 30 else (1.0, 2.0, 5.0) if end < 300 else (1.0,)
        plain_log(axes.xaxis, LogLocator(subs=steps, numticks=20))
        axes.yaxis.set_major_formatter(_in_percent)
        svg.legend(figure, lines, [str(name) for name in ratios.index], ncols=2)
        return svg.inline(figure, label)


def _in_percent(share: float, _: object) -> str:
    written = f"{100 * share:.0f}%"
    return written if now() == ENGLISH else words.in_percent(written[:-1])


def _systems(contest: Contest, caption: str) -> Table:
    heads = """
        system
        reached ## | tasks whose target it reaches, in the median of its runs
        of ## | tasks, the same for every system
        cheapest in ## | tasks in which no system costs less
        within 2 × #% | share of tasks reached at no more than twice the least cost
    """
    area = say(
        "area under the profile from 1 to {most} times, over {less}",
        most=numeral(SCORED_TO, "g"),
        less=numeral(SCORED_TO - 1, "g"),
    )
    every = [*columns(heads), Column(say("score"), area, words.number)]
    rows = []
    for name, scored in _by_score(contest.ratios).iterrows():
        ratios = scored.drop("score")
        reached, cheapest = int((ratios < math.inf).sum()), int((ratios == 1).sum())
        within = profiles.share(ratios, 2.0)
        rows.append((name, reached, len(ratios), cheapest, within, scored["score"]))
    return table(caption, every, rows)


def _tasks(ratios: pd.DataFrame, caption: str) -> Table:
    heads = [*columns("task"), *(Column(str(name), show=words.number) for name in ratios.index)]
    return table(caption, heads, (
        (task, *(_never(ratio) for ratio in column)) for task, column in ratios.items()
    ))  # fmt: skip


def _won(contest: Contest) -> str:
    """Whose profile covers most, and how many tasks are too hard for every system."""
    scores = _by_score(contest.ratios)["score"]
    highest = scores.max()
    where = say(" on {conditions}", conditions=contest.conditions) if contest.conditions else ""
    n, tasks = contest.ratios.shape
    text = say(
        "By {unit}{where}, {n} systems in {tasks} tasks: ",
        unit=say(_UNITS[contest.cost]),
        where=where,
        n=n,
        tasks=tasks,
    )
    if not highest:
        return text + say("none reaches a target.")
    first = [str(name) for name in scores.index[scores == highest]]
    text += plural(
        len(first),
        "{systems} has the highest score, {score}",
        "{systems} have the highest score, {score}",
        systems=words.listed(first),
        score=words.number(highest),
    )
    nobody = int((contest.ratios == math.inf).all(axis="index").sum())
    tasks_ = words.counted(nobody, "task")
    return words.clauses([text, say("the target of {tasks} is reached by none.", tasks=tasks_)])


def _never(value: float, write: Show = words.number) -> Cell:
    """A number, or in words that it is infinite."""
    return Cell(say("never"), "Infinity") if value == math.inf else number(value, show=write)


def _table(rows: pd.DataFrame, caption: str) -> Table:
    """A row a model, conditions and target; what all rows share of conditions is in the caption."""
    kinds = rows[frames.ALIKE].map(words.known).nunique()
    shared = {name: rows[name].iloc[0] for name in frames.ALIKE if kinds[name] == 1}
    differ = [name for name in frames.ALIKE if kinds[name] > 1]
    heads = """
        model | below: conditions under which it was trained, as far as they differ here
        settings | protocol, and how the jobs depart from it
        target | what must be reached
        its MSE # | per pixel of the test images; median over runs where their splits differ
        reached # | runs that get there, of all: seeds and repeats
        epochs # | until then; median over runs, never where half of them or more do not get there
        seconds # | of training until then; median over the runs whose times may be compared, \
below: its 95 % interval, from six of them on, and how many they are if not all
        GFLOP # | 1e9 operations of training until then; median over runs
    """
    return table(functools.reduce(words.on, [caption, *_conditions(shared)]), heads, (
        (
            replace(model(row), small=_conditions({name: row[name] for name in differ})),
            row["settings"],
            say(row["target"]),
            row["target_mse"],
            Cell(say("{n} of {all}", n=row["reached"], all=row["n"]), row["reached"] / row["n"]),
            _never(row["epochs"], write=lambda epochs: numeral(epochs, "g")),
            replace(_never(row["train_s"]), small=_spread(row)),
            _never(row["gflop"]),
        )
        for row in rows.to_dict("records")
    ), rounded=True)  # fmt: skip


def _conditions(known: Mapping[str, Any]) -> tuple[str, ...]:
    """Some of the conditions in words, or nothing where there is none to tell."""
    told = words.conditions(dict.fromkeys(frames.ALIKE) | dict(known))
    return (told,) if told else ()


def _spread(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """The interval of a row's seconds, and of how many of its runs they are where not of all."""
    said = []
    if not words.missing(row["low"]):
        low, high = (_never(row[end]).text for end in ("low", "high"))
        said.append(say("{low} to {high}", low=low, high=high))
    if 0 < row["timed"] < row["n"]:
        said.append(say("of {runs}", runs=words.counted(row["timed"], "run")))
    return tuple(said)
