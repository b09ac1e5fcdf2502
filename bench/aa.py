"""How often a comparison is wrong: a thing against itself, and against itself slowed by 5 %.

    python -m bench.aa

A hundred times, six processes of a small training stand beside six of the very same, and every
third time beside six in which every training step waits 5 % of its time; all in turn, each process
newly started, each comparison made by `aebench compare` as a user makes it. At most 5 % of the
first kind may find a difference; of the second, those that find one say how much six processes can
see on this machine. How much more of them would see is told by the same processes: two, three and
four neighbouring comparisons are taken for one. What is measured stays in the results folder, so
that the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from aebench.analysis import comparison, words
from aebench.analysis.statistics import interval, wilson
from aebench.executors import RunOptions, local
from aebench.grid import load_grid
from aebench.job import Job
from aebench.plugins import load_plugins
from aebench.store import Results, Store, read
from bench import machine

PLUGIN = Path(__file__).resolve().with_name("slowed.py")
SLOWDOWN = 0.05
SLOWED_EVERY = 3  # of the comparisons, one has the slowed side
SIDES = ("plain", "same", "slowed")
TOGETHER = (1, 2, 3, 4)  # neighbouring comparisons that are taken for one


def plan(comparisons: int, repeats: int, epochs: int) -> dict[tuple[int, str], list[Job]]:
    """The jobs of each comparison's sides; one in `SLOWED_EVERY` comparisons has all three."""
    axes = {
        "architecture": "slowed", "dataset": "digits", "latent": 16, "epochs": epochs,
        "engine": "eager", "device": "cpu", "repeats": 2 * comparisons * repeats,
    }  # fmt: skip
    plain = load_grid(None, axes | {"options": {"slowdown": [0.0]}}).jobs
    waiting = load_grid(None, axes | {"options": {"slowdown": [SLOWDOWN]}}).jobs
    found: dict[tuple[int, str], list[Job]] = {}
    for number in range(comparisons):
        start = 2 * number * repeats
        found[number, "plain"] = list(plain[start : start + repeats])
        found[number, "same"] = list(plain[start + repeats : start + 2 * repeats])
        if number % SLOWED_EVERY == 0:
            found[number, "slowed"] = list(waiting[start : start + repeats])
    return found


def in_turn(planned: dict[tuple[int, str], list[Job]]) -> Iterator[Job]:
    """All jobs, block by block: one of each side, each side as often first as last."""
    comparisons = 1 + max(number for number, _ in planned)
    for number in range(comparisons):
        sides = [planned[number, side] for side in SIDES if (number, side) in planned]
        for place, block in enumerate(zip(*sides, strict=True)):
            turn = place % (2 * len(sides))
            order = block if turn < len(sides) else block[::-1]
            shift = turn % len(sides)
            yield from order[shift:] + order[:shift]


def of(results: Results, jobs: list[Job]) -> Results:
    """The rows of `jobs`."""
    keys = {job.key for job in jobs}
    return dataclasses.replace(results, jobs=results.jobs[results.jobs["key"].isin(keys)])


def judged(results: Results, planned: dict[tuple[int, str], list[Job]]) -> list[str]:
    """What came out, in lines; of the comparisons of which all jobs have a time."""
    there = set(results.jobs.loc[results.jobs["status"].eq("ok"), "key"])
    begun = {number for number, _ in planned}
    missing = {number for (number, _), jobs in planned.items() if {j.key for j in jobs} - there}
    processes = len(planned[0, "plain"])
    counted = words.counted(len(begun - missing), "comparison")
    lines = [f"{counted} of {words.counted(processes, 'process', 'processes')} a side"]
    for together in TOGETHER:
        title = f"taken {together} at a time, {together * processes} processes a side"
        for side in SIDES[1:]:
            numbers = sorted(n for n, name in planned if name == side and n not in missing)
            starts = range(0, len(numbers) - together + 1, together)
            groups = [numbers[start : start + together] for start in starts]
            found = list(_changes(results, planned, side, groups))
            if found:
                lines += [title] if together > 1 and title not in lines else []
                lines.append(f"{side}: {_share(found)}")
            elif together == 1:
                lines.append(f"{side}: no comparison has times; were other programs running?")
    return lines


def taken_on(jobs: pd.DataFrame) -> str:
    """When, on what and with which software the processes ran, and how busy it was at most."""

    def all_of(column: pd.Series[Any]) -> str:
        return words.listed(sorted(set(column.astype("str"))))

    days, load = all_of(jobs["started_at"].str[:10]), jobs["load_1m"].max()
    versions = jobs["commit"].fillna(jobs["aebench"])
    return (
        f"{days}, {all_of(jobs['device_name'])}, {all_of(jobs['cores'])} CPU cores,"
        f" {all_of(jobs['threads'])} threads, torch {all_of(jobs['torch'])},"
        f" Python {all_of(jobs['python'])}, aebench {all_of(versions)},"
        f" load average {load:.1f} at most"
    )


def _changes(
    results: Results,
    planned: dict[tuple[int, str], list[Job]],
    side: str,
    groups: list[list[int]],
) -> Iterator[comparison.Change]:
    """What `aebench compare` finds between `side` and the plain one, for each group."""
    across = ["options"] if side == "slowed" else []
    for numbers in groups:
        plain, other = (
            of(results, [job for number in numbers for job in planned[number, name]])
            for name in ("plain", side)
        )
        yield from comparison.compare(plain, other, across, ["train_s"]).changes


def _share(changes: list[comparison.Change]) -> str:
    """How many are a difference, with an interval, and the mean ratio."""
    found = sum(change.verdict in ("slower", "faster") for change in changes)
    low, high = wilson(found, len(changes))
    mean = interval([change.ratio for change in changes]).centre
    return (
        f"{found} of {len(changes)} find a difference"
        f" (Wilson's 95 % interval of the share: {100 * low:.1f} to {100 * high:.1f} %),"
        f" mean ratio {mean:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.aa", description=__doc__)
    parser.add_argument("--comparisons", type=int, default=100, help="how many [100]")
    parser.add_argument("--repeats", type=int, default=6, help="processes of each side [6]")
    parser.add_argument("--epochs", type=int, default=100, help="of digits, a process [100]")
    parser.add_argument("--results", type=Path, default=Path("results/aa"), help="[results/aa]")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the lines to FILE too")
    options = parser.parse_args()
    if min(options.comparisons, options.repeats, options.epochs) < 1:
        parser.error("comparisons, repeats and epochs start at 1")
    load_plugins([str(PLUGIN)])
    planned = plan(options.comparisons, options.repeats, options.epochs)
    store = Store(options.results)
    there = store.survey().statuses
    jobs = [job for job in in_turn(planned) if there.get(job.key) != "ok"]
    print(f"{len(jobs)} processes to run", flush=True)
    how = RunOptions(plugins=(str(PLUGIN),), repeated=frozenset(jobs))
    if jobs and not local.run(jobs, store, how):
        sys.exit(130)
    results = read(store.path)
    lines = [taken_on(of(results, list(chain(*planned.values()))).jobs), ""]
    lines += judged(results, planned)
    print("\n".join(lines))
    machine.keep(lines, options.summary)


if __name__ == "__main__":
    main()
