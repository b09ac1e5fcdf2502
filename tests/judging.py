"""Records of made-up figures, and the one finding that they are judged by."""

from pathlib import Path

from test_report_records import record, stored

from aebench.analysis.findings import evaluate
from aebench.analysis.outcomes import Outcome
from aebench.store import Record


def judge(folder: Path, id: str, *records: Record) -> Outcome:
    outcomes = {o.finding.id: o for o in evaluate(stored(folder, *records))}
    return outcomes[id]


def seeds(architecture: str, latent: int, errors: list[float], **fields) -> list[Record]:
    return [
        record(architecture, latent, error, seed=seed, **fields)
        for seed, error in enumerate(errors)
    ]
