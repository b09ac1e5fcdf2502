"""What the page says of the records themselves: machines, coverage, all jobs, unreadable files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.searches import searched
from aebench.errors import printable
from aebench.language import later, numeral, plural, say
from aebench.page.parts import Cell, Column, Section, Table, check, columns, model, table
from aebench.store import Results

MOST = 400  # jobs that are listed beside candidates; of more, only those that did not finish


def sections(results: Results, compared: Results) -> list[Section]:
    """What was run and how it ended; `results` are ordered and marked.

    Covered are the models in `compared`, which are `results` without those of searches.
    """
    if not len(results.jobs):
        made = [Section("jobs", say("All jobs"), (endings(results.jobs),))]
    else:
        covered = [_coverage(compared)] if len(compared.jobs) else []
        made = [*covered, _all_jobs(results.jobs)]
    return [*made, *_problems(results), *_machines(results.jobs)]


def endings(jobs: pd.DataFrame) -> str:
    """How many jobs there are and how they ended, in a sentence."""
    if not len(jobs):
        return say("There is no job in these results.")
    counts = jobs["status"].str.replace("_", " ").value_counts().sort_index()
    bad = [f"{numeral(n, ',')} {say(str(why))}" for why, n in counts.items() if why != "ok"]
    good = int(counts.get("ok", 0))
    ends = plural(good, "{count} finished", "{count} finished", count=numeral(good, ","))
    ends += f", {words.listed(bad)}" if bad else ""
    return say("{jobs} left a record: {ends}.", jobs=words.counted(len(jobs), "job"), ends=ends)


def _all_jobs(frame: pd.DataFrame) -> Section:
    ended = frame["status"].eq("ok")
    candidates = searched(frame) & ended  # which the section of searches shows
    listed, intro = frame[~candidates], [say("Failed jobs are rows too, with their reason.")]
    stored = say(
        "All their rows are in jobs.parquet of the results folder: "
        'pandas.read_parquet("jobs.parquet").'
    )
    if candidates.any():
        searching = say(
            "{candidates} of searches finished and are not listed here.",
            candidates=words.counted(int(candidates.sum()), "candidate"),
        )
        intro.append(f"{searching} {stored}")
    if len(listed) > MOST:
        many = say("{jobs} jobs are too many to list here.", jobs=numeral(len(listed), ","))
        intro = [f"{many} {stored}", *intro[1:]]
        listed = frame[~ended].head(MOST)
        if len(listed):
            unfinished = int((~ended).sum())
            first = say("the first {n} of ", n=len(listed)) if unfinished > len(listed) else ""
            intro[0] += say(
                " Below are {first}{jobs} that did not finish.",
                first=first,
                jobs=words.counted(unfinished, "job"),
            )
    made = (jobs(listed),) if len(listed) else ()
    return Section(
        "jobs",
        say("All jobs"),
        tuple(intro),
        tables=made,
        filtered=bool(made),
        message=endings(frame),
    )


def _coverage(results: Results) -> Section:
    tables = (
        coverage(rows, words.dataset(dataset))
        for (dataset,), rows in frames.by_dataset(results.jobs)
    )
    intro = say(
        "Jobs with a record, by model and how they ended. Hatched cells have no record at all."
    )
    return Section("coverage", say("Coverage"), (intro,), tables=tuple(tables))


def _problems(results: Results) -> list[Section]:
    if not results.problems:
        return []
    # The folder is the reader's business, not part of a file that is mailed around.
    named = (replace(problem, path=Path(problem.path.name)) for problem in results.problems)
    lines = tuple(printable(str(problem)) for problem in named)
    intro = say("These files were left out when the results were read.")
    return [Section("problems", say("Files that could not be read"), (intro,), lists=lines)]


_JOBS = columns("""
    dataset
    model | architecture, latent size, and depth and options where they are not usual
    architecture .screen
    latent ## .screen
    depth ## .screen
    seed ##
    repeat ## .screen
    settings | protocol, and how this job departs from it
    engine .screen
    precision .screen
    device .screen
    status
    study_error #
    mse #
    psnr_db # .screen
    bottleneck ## .screen
    parameters ## .screen
    train_s #
    total_s #
    threads ## .screen
    concurrent .screen
    check | what aebench check says to its times
    reason .reason
    key .screen
""", stored=True)  # fmt: skip


def jobs(frame: pd.DataFrame) -> Table:
    """Every job, finished or not."""
    rows = ([_job_cell(column.name, row) for column in _JOBS] for row in frame.to_dict("records"))
    return table(say("All jobs"), _JOBS, rows, id="jobs-table", headings=0)


def _job_cell(name: str, row: Mapping[Any, Any]) -> Any:
    if name == "status":
        return Cell(row[name], look="good" if row[name] == "ok" else "warn")
    if name == "model":
        return model(row)
    if name == "concurrent":
        return words.NONE if words.missing(row[name]) else say("yes") if row[name] else say("no")
    if name == "check":
        untimed = row["status"] != "ok" or words.missing(row["train_s"])
        return None if untimed else check(row.get("doubt", ""))
    return row[name]


def coverage(frame: pd.DataFrame, caption: str) -> Table:
    """Models against latent sizes: how many jobs of each cell finished; empty cells are marked."""
    latents = sorted(set(frame["latent"]))
    rows = []
    for (architecture, depth, settings), group in frame.groupby(
        ["architecture", "depth", "settings"], sort=False
    ):
        head = words.line(str(architecture), depth)
        head += "" if settings == "study" else f" ({words.under(str(settings))})"
        rows.append((head, *(_coverage_cell(group[group["latent"] == k]) for k in latents)))
    heads = [*columns("model"), *(Column(say("latent {size}", size=k)) for k in latents)]
    return table(caption, heads, rows)


# As a sentence writes them, and as records do.
_STATUSES = later((
    "failed", "out of memory", "out_of_memory", "timed out", "timed_out", "diverged", "killed",
    "skipped",
))  # fmt: skip


def _status(status: Any) -> str:
    return say(str(status)) if str(status) in _STATUSES else str(status)


def _coverage_cell(jobs: pd.DataFrame) -> Cell:
    if not len(jobs):
        return Cell(say("none"), look="missing")
    counts = jobs["status"].value_counts().sort_index()
    good = int(counts.get("ok", 0))
    others = [f"✘ {n} {_status(why)}" for why, n in counts.items() if why != "ok"]
    text = ", ".join(([say("✔ {n} ok", n=good)] if good else []) + others)
    return Cell(text, look="warn" if others else "good")


_MACHINE = [
    "machine_id", "device_name", "device", "cpu_name", "cpu_details", "cores", "memory_bytes",
    "system", "driver", "torch", "python", "aebench", "commit",
]  # fmt: skip


def _machines(frame: pd.DataFrame) -> list[Section]:
    if not len(frame):
        return []
    intro = say(
        "Times are compared only within what is alike here; errors depend on the job alone."
    )
    return [Section("machines", say("Machines and software"), (intro,), tables=(machines(frame),))]


def machines(frame: pd.DataFrame) -> Table:
    """What ran the jobs: one row for each combination of hardware and software."""
    heads = """
        device
        CPU | with the cores the process may use
        memory #
        system
        torch
        python
        aebench | version and commit
        jobs ##
        started .started | first and last job, UTC
        machine .hash | hash of the hardware and system description
    """
    rows = []
    for _, group in frame.groupby(_MACHINE, dropna=False):
        m = {
            name: value if not words.missing(value) else None
            for name, value in group.iloc[0].items()
        }
        days = sorted({str(t)[:10] for t in group["started_at"] if not words.missing(t)})
        rows.append((
            Cell(words.text(m["device_name"]), small=(words.text(m["device"]),)),
            _over(
                m["cpu_name"],
                m["cores"] and words.counted(int(m["cores"]), "core"),
                m["cpu_details"],
            ),
            Cell(words.size(m["memory_bytes"]), m["memory_bytes"]),
            _over(m["system"], m["driver"] and say("driver {driver}", driver=m['driver'])),
            m["torch"],
            m["python"],
            _over(m["aebench"], m["commit"] and m["commit"][:20]),
            len(group),
            words.span([days[0], days[-1]]) if days else None,
            m["machine_id"],
        ))  # fmt: skip
    return table(say("Machines and software"), heads, rows)


def _over(text: Any, *small: str | None) -> Cell:
    return Cell(words.text(text), small=tuple(filter(None, small)))
