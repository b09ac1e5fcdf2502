"""The command that repeats a model: read by aebench itself, it means the very same jobs."""

import shlex
from collections.abc import Callable

import pandas as pd
import pytest

from aebench.analysis.commands import repeating
from aebench.analysis.names import settings, told_apart
from aebench.cli import run
from aebench.job import Job

MODELS = [
    pytest.param([Job.create(architecture="mlp", dataset="mnist", latent=128)], id="plain"),
    pytest.param(
        [
            Job.create(
                architecture="conv", dataset="digits", latent=4, depth=2, seed=seed, repeat=repeat,
                engine=engine, epochs=2, learning_rate=0.003, weight_decay=0.01, optimizer="adamw",
                train_noise=0.3,
            )
            for engine in ("eager", "reference") for seed in (0, 1) for repeat in (0, 1, 2)
        ],
        id="seeds, repeats, engines and settings",
    ),
    pytest.param(
        [
            Job.create(
                architecture="mlp", dataset="mnist", latent=16, depth=2, precision="bf16",
                protocol="tuned", options="activation=silu hidden=100",
            )
        ],
        id="tuned, with options",
    ),
]  # fmt: skip


def frame(jobs: list[Job]) -> pd.DataFrame:
    """The rows of `jobs` as the report has them: named by their options, with their settings."""
    rows = [
        {name: getattr(job, name) for name in job.__dataclass_fields__} | {"modified": job.modified}
        for job in jobs
    ]
    jobs = told_apart(pd.DataFrame(rows))
    return jobs.assign(settings=settings(jobs))


@pytest.mark.parametrize("jobs", MODELS)
def test_the_command_means_the_same_jobs(
    jobs: list[Job], invoke: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Job] = []

    def execute(grid: object, *_: object) -> None:
        found.extend(grid.jobs)  # type: ignore[attr-defined]
        raise SystemExit

    monkeypatch.setattr(run, "execute", execute)
    aebench, *words = shlex.split(repeating(frame(jobs)))
    assert aebench == "aebench"
    code, _, err = invoke(*words)
    assert (code, err) == (0, "")
    assert {job.key for job in found} == {job.key for job in jobs}


def test_an_engine_that_aebench_chose_is_left_to_it() -> None:
    job = Job.create(architecture="mlp", dataset="mnist", latent=4, engine_choice="auto: why")
    assert "--engine" not in repeating(frame([job]))


def test_code_of_ones_own_is_asked_for_and_names_are_quoted() -> None:
    rows = frame([Job.create(architecture="mlp", dataset="mnist", latent=4)])
    rows = rows.assign(architecture="my model; rm -rf / (code 1a2b3c)", code="1a2b3c")
    words = shlex.split(repeating(rows))
    assert words[2:4] == ["--architecture", "my model; rm -rf /"]
    assert words[-2:] == ["--plugin", "FILE.py"]
