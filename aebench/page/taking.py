"""What a reader takes along: the findings as plain rows, a citation, the files of the records.

How it is offered is `look/taking.html.j2` and `look/taking.js`, which makes files of what the page
already shows: nothing is embedded twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aebench
from aebench.analysis import words
from aebench.analysis.outcomes import Outcome
from aebench.errors import printable
from aebench.language import ENGLISH, use
from aebench.store import Results
from aebench.store.layout import TABLES

_COMMITS = 4  # named in a citation; a folder grown over months has more
_TEX = {c: rf"\{c}" for c in "#$%&_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True)
class Taking:
    """The rows of findings.csv with their heads, BibTeX, and each file with its number of rows."""

    findings: tuple[tuple[Any, ...], ...]
    citation: str
    files: tuple[tuple[str, str], ...]


def taking(results: Results, outcomes: Sequence[Outcome]) -> Taking:
    """What there is to take of `results`, which are ordered, and of what they say of the study."""
    files = (
        (f"{name}.parquet", words.counted(len(getattr(results, name)), "row")) for name in TABLES
    )
    with use(ENGLISH):
        taken = findings(outcomes), citation(results)
    return Taking(*taken, tuple(files))


_FINDINGS = (
    "finding", "claim", "verdict", "study", "ours", "low", "high", "of", "seeds", "jobs", "why",
)  # fmt: skip


def findings(outcomes: Sequence[Outcome]) -> tuple[tuple[Any, ...], ...]:
    """The heads, then a row a finding: every number whole, None where there is none."""
    rows = (
        (
            *(o.finding.id, o.finding.claim, o.answer, o.finding.source),
            *(o.ours, o.low, o.high, o.finding.measure, o.n_seeds, o.n_jobs, o.why),
        )
        for o in outcomes
    )
    return (_FINDINGS, *rows)


def citation(results: Results) -> str:
    """Two entries for BibTeX: the program as it is now, and these results as they were made."""
    jobs = results.jobs
    days = sorted({str(t)[:10] for t in jobs["started_at"] if not words.missing(t)})
    program = {
        "author": "{The aebench authors}",
        "title": "aebench: a benchmark harness for autoencoders",
        "version": aebench.__version__,
        "note": "MIT license; no DOI",
    }
    entries = [_entry("software", "aebench", program)]
    if len(jobs):
        names = words.listed(words.dataset(name) for name in dict.fromkeys(jobs["dataset"]))
        title = f"Autoencoders on {names}: records of {words.counted(len(jobs), 'job')}"
        trained = f"Trained {' to '.join(dict.fromkeys([days[0], days[-1]]))}; " if days else ""
        made = {
            "title": _tex(title),
            "howpublished": _tex(_made_by(results)),
            "year": days[-1][:4] if days else "",
            "note": _tex(f"{trained}no DOI"),
        }
        entries.append(_entry("misc", "aebench-results", made))
    return "\n\n".join(entries)


def _made_by(results: Results) -> str:
    """The versions and commits of aebench that made the records, the first ones first."""
    jobs = results.jobs.sort_values("started_at", kind="stable")
    known = [
        list(dict.fromkeys(str(value) for value in jobs[name] if not words.missing(value)))
        for name in ("aebench", "commit")
    ]
    versions, commits = known
    made = " ".join(["aebench", words.listed(versions)]).strip()
    if not commits:
        return made
    rest = len(commits) - _COMMITS
    named = [*commits[:_COMMITS], *([f"{rest} more"] if rest > 0 else [])]
    return f"{made}, {'commit' if len(commits) == 1 else 'commits'} {words.listed(named)}"


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    told = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return f"@{kind}{{{key},\n" + ",\n".join(told) + "\n}"


def _tex(text: str) -> str:
    """A text of whatever origin as BibTeX and LaTeX take it, in one line."""
    return "".join(_TEX.get(c, c) for c in printable(text))
