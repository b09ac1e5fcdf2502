"""Which jobs of a grid decide findings: what to train first where not everything can be.

A finding is taken to be decided by `LEAST` seeds, or pairs of runs, of each model that its rule is
about; where a grid has fewer, by all that it has. That further runs may be needed shows only once
these are there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache

from aebench import engines
from aebench.analysis.evidence import Rule
from aebench.analysis.findings import FINDINGS
from aebench.analysis.frames import Model
from aebench.analysis.names import EXACT
from aebench.analysis.statistics import LEAST
from aebench.job import Job


def waits(jobs: Sequence[Job], there: Collection[str]) -> dict[str, list[Job]]:
    """For each finding that `jobs` can decide, by its id, those of them that it waits for.

    `there` are the keys of jobs that have their record. A finding that waits for none has none;
    one on errors does not wait for what another engine has trained.
    """

    def timed(job: Job) -> bool:
        return job.key in there

    @cache
    def trained(job: Job) -> bool:
        return any(job.key_by(engine) in there for engine in engines.ENGINES)

    found = {}
    for finding in FINDINGS:
        rule = finding.evaluate
        missing = _missing(rule, jobs, timed if rule.device else trained)
        if missing is not None:
            found[finding.id] = missing
    return found


def first(
    jobs: Sequence[Job], there: Collection[str], seconds: Callable[[Job], float]
) -> list[Job]:
    """Those of `jobs` that some finding waits for: findings in the order of what each still takes.

    Of two, the one that `seconds` says is decided sooner, given the jobs before it, comes first.
    """
    waiting = {id: missing for id, missing in waits(jobs, there).items() if missing}
    ordered: dict[Job, None] = {}
    while waiting:
        costs = {
            id: sum(seconds(job) for job in missing if job not in ordered)
            for id, missing in waiting.items()
        }
        ordered.update(dict.fromkeys(waiting.pop(min(costs, key=lambda id: costs[id]))))
    return list(ordered)


def _speaks(job: Job, *, times: bool) -> bool:
    """Whether the job's record may speak about the study, as `frames.counting` has it."""
    changes = [change for change in job.modified.split(", ") if change]
    if times:  # whose ratio needs none of the study's 15 epochs
        changes = [change for change in changes if not change.startswith("epochs=")]
    plain = not (changes or job.code or job.options)
    return plain and job.protocol == "study" and job.precision in EXACT


def _missing(rule: Rule, jobs: Sequence[Job], is_there: Callable[[Job], bool]) -> list[Job] | None:
    """What a rule waits for, None where `jobs` lack one of its models."""
    jobs = [job for job in jobs if _speaks(job, times=bool(rule.device))]
    if rule.device:
        jobs = [job for job in jobs if (job.engine, job.device) == ("reference", rule.device)]
    runs = [_runs(model, jobs, is_there, pairs=bool(rule.device)) for model in rule.models]
    common = [unit for unit in runs[0] if all(unit in each for each in runs)] if runs else []
    if not common:
        return None

    def lacking(unit: tuple[int, ...]) -> int:
        return sum(not is_there(each[unit]) for each in runs)

    nearest = sorted(common, key=lacking)[:LEAST]
    return [each[unit] for unit in nearest for each in runs if not is_there(each[unit])]


def _runs(
    model: Model, jobs: Sequence[Job], is_there: Callable[[Job], bool], *, pairs: bool
) -> dict[tuple[int, ...], Job]:
    """A job of `model` for each seed: one that is there; for `pairs` also epochs and repeat."""
    found: dict[tuple[int, ...], Job] = {}
    for job in jobs:
        if all(getattr(job, name) == value for name, value in vars(model).items()):
            unit = (job.epochs, job.seed, job.repeat) if pairs else (job.seed,)
            if unit not in found or (not is_there(found[unit]) and is_there(job)):
                found[unit] = job
    return found
