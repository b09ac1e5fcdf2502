"""The committed folders of results, as what is published of them is made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from aebench.analysis import findings, frames, optimum, words
from aebench.analysis.outcomes import Outcomes
from aebench.store import Results, read

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("quick", "study", "best")


@dataclass(frozen=True)
class Reference:
    """One committed folder of results, and what README says of it."""

    name: str

    @cached_property
    def results(self) -> Results:
        """Its records, in the report's order."""
        return frames.ordered(read(ROOT / "results" / f"reference-{self.name}"))

    @cached_property
    def outcomes(self) -> Outcomes:
        """Its findings."""
        return findings.evaluate(self.results)

    @cached_property
    def models(self) -> pd.DataFrame:
        """One row a model: error over seeds."""
        return frames.summary(self.results.jobs)

    @cached_property
    def to_optimum(self) -> pd.DataFrame:
        """One row a model with a real bottleneck: error over PCA's."""
        return optimum.to_optimum(self.results)

    def took_s(self) -> float:
        """Seconds from the first start to the last end of its jobs."""
        jobs = self.results.jobs
        starts = pd.to_datetime(jobs["started_at"])
        ends = starts + pd.to_timedelta(jobs["total_s"].astype("float64"), unit="s")
        return float((ends.max() - starts.min()).total_seconds())

    def beside_pca(self, architecture: str, latent: int, settings: str) -> str:
        """How many times PCA's error a model of MNIST has."""
        rows = self.to_optimum
        rows = rows[
            (rows["dataset"] == "mnist") & (rows["settings"] == settings) & (rows["depth"] == 1)
            & (rows["architecture"] == architecture) & (rows["latent"] == latent)
        ]  # fmt: skip
        return words.number(rows["ratio"].item())
