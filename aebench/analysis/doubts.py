"""What a doubt about times is, and those about how the machine was set that they were taken on.

None of these makes a time unfit: under one setting times may be compared, and what varies with it
is in their interval. It says what makes that interval wide, or a time here another one elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from aebench.analysis import words
from aebench.job import FIELDS
from aebench.store import Results


@dataclass(frozen=True)
class Case:
    """One row that raises a doubt, or one row for all of its system; `detail` gives the figures.

    `keys` are those of all rows that it concerns, its own among them.
    """

    key: str
    job: str
    detail: str
    keys: tuple[str, ...]


# Finds rows, or whole systems of rows, with what is doubtful about each.
Finder = Callable[[pd.DataFrame, Results], Iterable[tuple[Any, str]]]


Grade = Literal["unfit", "left out", "note"]
"""`unfit`: what passes for a comparable time is none. `left out`: the run itself knew that it would
be none, so it passes for none, and no comparison takes it. `note`: for information."""


@dataclass(frozen=True)
class Kind:
    """A kind of doubt: what happened, why it may matter, and what helps.

    `find` takes rows that ended ok with a time, and all results. Of grade `left out` it is asked
    about all such rows, else about those that no run has left out itself.
    """

    name: str
    grade: Grade
    what: str
    why: str
    remedy: str
    find: Finder


KINDS: list[Kind] = []
"""Every kind, in the order in which doubts are told."""


def doubt_kind(
    name: str, what: str, why: str, remedy: str, *, grade: Grade = "unfit"
) -> Callable[[Finder], Finder]:
    """Say of which kind the doubts are that the function below finds."""

    def add(find: Finder) -> Finder:
        KINDS.append(Kind(name, grade, what, why, remedy, find))
        return find

    return add


def rows_of(jobs: pd.DataFrame, *more: str) -> list[dict[Any, Any]]:
    """Rows as mappings, with the columns that name a job, and `more`."""
    # As to_dict("records") does, in a sixth of its time: every kind asks for all rows.
    columns = {n: jobs[n].to_numpy("object").tolist() for n in ["key", "modified", *FIELDS, *more]}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@doubt_kind(
    "governor",
    "The clock was chosen by another governor than `performance`.",
    "It then follows the load of the moments before: short jobs and first epochs run slower.",
    "Before a run: cpupower frequency-set --governor performance (as root).",
    grade="note",
)
def _governor(jobs: pd.DataFrame, _: Results) -> Iterable[tuple[Any, str]]:
    known = jobs[jobs["governor"].notna() & jobs["governor"].ne("performance")]
    return [(row, f"governor {words.known(row['governor'])}") for row in rows_of(known, "governor")]


@doubt_kind(
    "turbo",
    "The clock may rise above its nominal rate while the processor is cool.",
    "How far and how long depends on heat and on what the other cores do, not on the job.",
    "For the nominal clock, as root: echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo"
    " (Intel), or echo 0 > /sys/devices/system/cpu/cpufreq/boost (others).",
    grade="note",
)
def _turbo(jobs: pd.DataFrame, _: Results) -> Iterable[tuple[Any, str]]:
    return [(row, "turbo is on") for row in rows_of(jobs[jobs["turbo"].eq(True)])]


@doubt_kind(
    "siblings",
    "The job had more threads than cores: two of its threads were on one.",
    "They share its arithmetic units, so they take turns, and who is slowed by whom varies.",
    "Bind the run to one thread a core, as with taskset, or turn the second ones off, as root:"
    " echo off > /sys/devices/system/cpu/smt/control.",
    grade="note",
)
def _siblings(jobs: pd.DataFrame, _: Results) -> Iterable[tuple[Any, str]]:
    shared = jobs["threads"].astype("float64") > jobs["physical_cores"].astype("float64")
    return [
        (
            row,
            f"{int(row['threads'])} threads on {words.counted(int(row['physical_cores']), 'core')}",
        )
        for row in rows_of(jobs[shared], "threads", "physical_cores")
    ]


@doubt_kind(
    "nodes",
    "The job was free to run on several NUMA nodes.",
    "Memory of another node takes longer to reach, and where pages lie differs from run to run.",
    "Bind the run to one node: numactl --cpunodebind=0 --membind=0 aebench run ...",
    grade="note",
)
def _nodes(jobs: pd.DataFrame, _: Results) -> Iterable[tuple[Any, str]]:
    several = jobs[jobs["numa_nodes"].astype("float64") > 1]
    return [(row, f"{int(row['numa_nodes'])} nodes") for row in rows_of(several, "numa_nodes")]
