"""The section that sets the study's own loop beside the other engines: what its stopwatch timed.

What is compared is computed in `fights`; a time that `aebench check` rejects is in no ratio.
"""

from __future__ import annotations

import numpy as np

from aebench.analysis import fights, fitness, words
from aebench.analysis.fights import Stopwatch
from aebench.language import later, say
from aebench.page.charts import Bars, seconds_by_model
from aebench.page.parts import Chart, Column, Section, Table, check, columns, table
from aebench.store import Results

_SHOWN = 6  # conditions drawn; more would make the page too heavy to mail


def section(results: Results) -> Section:
    """Every comparison of engine `reference` with another; `results` are ordered."""
    intro = [
        say(
            "The study's times are those of its loop: a PIL image and a tensor made of every "
            "sample, and a wait for the device at every step. Engine reference is that loop; the "
            "other "
            "engines take the same steps with the same losses on data that lies ready."
        )
    ]
    charts = []
    for watch in fights.stopwatch(results)[:_SHOWN]:
        intro += _in_words(watch)
        charts.append(
            Chart(
                watch.conditions,
                chart(watch, say("Seconds, {conditions}", conditions=watch.conditions)),
                say(
                    "Shorter is better; hollow bars with ✘ are times that aebench check rejects. "
                    "The hatched part of the upper bar is time in which the "
                    "study's loop waits for its data loader and trains nothing."
                ),
                (seconds(watch),),
            )
        )
    if not charts:
        intro.append(
            say(
                "This takes one model under engine reference and another engine, each alone on the "
                "machine: aebench run --engine reference,eager."
            )
        )
    return Section("stopwatch", say("What did the stopwatch time?"), tuple(intro), tuple(charts))


def _in_words(watch: Stopwatch) -> list[str]:
    """What is in doubt, and the study's ratio conv / MLP under both engines."""
    said = []
    unfit = watch.models[watch.models["doubt"].ne("")]
    if len(unfit):
        names = words.listed(words.model_of(row) for _, row in unfit.iterrows())
        rejects = say("aebench check rejects the times of {names}: no ratio of them.", names=names)
        said += [words.headed(watch.conditions, rejects), *fitness.remedies(unfit["doubt"])]
    fit = watch.models.drop(unfit.index)
    shallow = fit[fit["depth"] == 1].sort_values("latent")
    widest = {family: shallow[shallow["architecture"] == family][-1:] for family in ("mlp", "conv")}
    if not all(map(len, widest.values())):
        return said
    mlp, conv = (rows.iloc[0] for rows in widest.values())
    slow, fast = (conv[c] / mlp[c] for c in ("reference_s", "engine_s"))
    share = fit["loading_s"].sum() / fit["reference_s"].sum()
    waits = (
        ""
        if words.missing(share)
        else say("; the loop waits {share} of its time", share=words.percent(share))
    )
    return [
        *said,
        say(
            "{conditions}: {conv} takes {slow} times as long to "
            "train as {mlp} under reference, and {fast} times under "
            "{engine}{waits}.",
            conditions=watch.conditions,
            conv=words.model_of(conv),
            slow=words.number(slow),
            mlp=words.model_of(mlp),
            fast=words.number(fast),
            engine=watch.engine,
            waits=waits,
        ),
    ]


def seconds(watch: Stopwatch) -> Table:
    """A row a model: its time under both engines, and what the other engine gains."""
    heads = """
        model
        pairs ## | runs that both engines have, by seed and repeat
        reference train_s # | the study's loop, median
        loading #% | share of it spent waiting for the data loader
    """
    more = """
        gain # | reference over the other engine, median over pairs
        check | what aebench check says to the times; without its consent no gain
    """
    times = Column(f"{watch.engine} train_s", later("median"), words.number)
    every = [*columns(heads), times, *columns(more)]
    return table(watch.conditions, every, (
        (
            words.model_of(row), row["n"], row["reference_s"],
            row["loading_s"] / row["reference_s"], row["engine_s"], row["gain"],
            check(row["doubt"]),
        )
        for _, row in watch.models.iterrows()
    ))  # fmt: skip


def chart(watch: Stopwatch, label: str) -> str:
    """Training seconds of each model: the study's loop, its waiting apart, and the engine."""
    rows = watch.models
    nothing = np.zeros(len(rows))
    loading = rows["loading_s"].fillna(0).to_numpy(dtype=float)
    rest = rows["reference_s"].to_numpy(dtype=float) - loading
    engine_s = rows["engine_s"].to_numpy(dtype=float)
    layers = [
        Bars(say("reference: waiting for the data loader"), loading, nothing, 5, "//", -0.2),
        Bars(say("reference: the rest of the loop"), rest, loading, 0, "", -0.2),
        Bars(watch.engine, engine_s, nothing, 1, "\\\\", 0.2),
    ]
    return seconds_by_model(
        rows, layers, label, height=1.2 + 0.5 * len(rows), thick=0.36,
        xlabel=say("train_s, seconds (median)"), ncols=3,
    )  # fmt: skip
