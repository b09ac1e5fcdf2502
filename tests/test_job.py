"""The job: its key, which stored results depend on, its names, and what it refuses."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from aebench import schema
from aebench.datasets import split
from aebench.errors import RequestError
from aebench.grid import load_grid
from aebench.job import FIELDS, LEAST, MOST, OPTIONS, Job
from aebench.store import Store, read

ONE = Job("mlp", "mnist", 512)
# A value other than the default for every field; a field added later must be added here.
OTHER: dict[str, Any] = {
    "architecture": "conv",
    "dataset": "digits",
    "latent": 16,
    "depth": 2,
    "options": "hidden=32",
    "seed": 1,
    "protocol": "tuned",
    "schedule": "cosine",
    "order": "shuffled",
    "optimizer": "adamw",
    "momentum": 0.9,
    "weight_decay": 0.01,
    "warmup": 0.1,
    "clip_gradient": 1.0,
    "train_noise": 0.3,
    "epochs": 2,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "engine": "reference",
    "precision": "bf16",
    "device": "cuda",
    "repeat": 1,
    "code": "3fa2c1d2e3f4",
    "pixels": "91b0d2e3f4a5",
}


def test_stored_keys_stay_valid() -> None:
    # Results on people's disks carry these. If this fails, every stored result is orphaned.
    assert ONE.key == "033d95a5f2b59eb6"
    assert Job.create(architecture="mlp", dataset="mnist", latent=512).key == ONE.key


@pytest.mark.parametrize("published", ["reference-quick", "reference-study"])
def test_keys_of_published_results_come_out_again(published: str) -> None:
    jobs = Store(Path(__file__).parents[1] / "results" / published).read().jobs
    assert len(jobs) >= 5
    for row in jobs[[*FIELDS, "key"]].to_dict("records"):
        assert Job(**{name: row[name] for name in FIELDS}).key == row["key"], row


def test_every_field_changes_the_key() -> None:
    assert set(OTHER) == set(FIELDS)
    taught = dataclasses.replace(ONE, optimizer="sgd")  # which alone takes a momentum
    keys = {
        dataclasses.replace(taught if name == "momentum" else ONE, **{name: value}).key
        for name, value in OTHER.items()
    }
    assert len(keys | {ONE.key, taught.key}) == len(FIELDS) + 2


def test_records_from_before_a_field_have_its_default_and_their_key() -> None:
    quick = Path(__file__).parents[1] / "results" / "reference-quick"
    jobs = read(quick).jobs
    assert len(jobs) == 5
    for row in jobs.to_dict("records"):
        assert (row["options"], row["optimizer"], row["warmup"]) == ("", "adam", 0.0)
        assert Job(**{name: row[name] for name in FIELDS}).key == row["key"]


def test_a_value_spelled_out_is_the_default() -> None:
    assert Job("mlp", "mnist", 512, depth=1, engine="eager").key == ONE.key


def test_the_key_by_another_engine_is_that_of_the_job_by_it() -> None:
    other = dataclasses.replace(ONE, engine="native")
    assert other.key_by("eager") == ONE.key != other.key == ONE.key_by("native")
    assert other.common_key == other.key
    assert dataclasses.replace(other, engine_choice="auto: so").common_key == ONE.key


def test_a_job_again_is_the_job_with_that_seed_and_repeat() -> None:
    assert ONE.key  # which the other must not take over
    twin = ONE.again(seed=3, repeat=2)
    made = dataclasses.replace(ONE, seed=3, repeat=2)
    assert twin == made
    assert (twin.key, twin.name) == (made.key, made.name)
    assert twin.key != ONE.key
    assert twin.again(seed=0, repeat=0).key == ONE.key
    for wrong in ({"seed": -1, "repeat": 0}, {"seed": 0, "repeat": 1.5}):
        with pytest.raises(RequestError):
            ONE.again(**wrong)


def test_equal_jobs_have_equal_keys() -> None:
    whole, real = (Job("mlp", "mnist", 512, learning_rate=rate) for rate in (1, 1.0))
    assert whole == real
    assert whole.key == real.key


def test_modified_tells_departures_from_the_protocol() -> None:
    assert ONE.modified == ""
    assert Job.create(architecture="mlp", dataset="mnist", latent=1, epochs=2).modified == (
        "epochs=2"
    )
    both = dataclasses.replace(ONE, batch_size=64, learning_rate=0.001)
    assert both.modified == "batch_size=64, learning_rate=0.001"


def test_name_says_what_is_not_usual() -> None:
    assert ONE.name == "mnist mlp-512"
    odd = dataclasses.replace(ONE, depth=2, seed=3, repeat=1, engine="reference", precision="bf16")
    assert odd.name == "mnist mlp-512 depth 2 seed 3 repeat 1 reference bf16"
    foreign = dataclasses.replace(ONE, code="3fa2c1d2e3f4", pixels="91b0d2e3f4a5")
    other = dataclasses.replace(ONE, depth=2, options="hidden=32", protocol="tuned")
    assert other.name == "mnist mlp-512 depth 2 (hidden=32) tuned"
    assert foreign.name == "mnist mlp-512 code 3fa2c1 pixels 91b0d2"
    assert dataclasses.replace(odd, engine="native", precision="bf16x3").name.endswith(
        "repeat 1 native bf16x3"
    )
    assert dataclasses.replace(ONE, code="version 2").name == "mnist mlp-512 version 2"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        *((name, -1, f"{name} must be a whole number of at least") for name in LEAST),
        *((name, most + 1, f"{name} must be at most {most}, not") for name, most in MOST.items()),
        ("seed", 2**63, "must be at most 9223372036854775807, not 9223372036854775808"),
        pytest.param("batch_size", 10**5000, "not 1e5000 or so", id="thousands of digits"),
        ("learning_rate", 10**400, "positive number, not 1e400 or so"),
        ("train_noise", 10**400, "number from 0, not 1e400 or so"),
        ("latent", 0, "at least 1, not 0"),
        ("latent", True, "not True"),
        ("depth", 1.0, "not 1.0"),
        ("seed", "1", "not '1'"),
        ("learning_rate", 0, "positive number, not 0"),
        ("warmup", 1.5, "warmup must be a number from 0 to 1, not 1.5"),
        ("momentum", 0.9, "momentum belongs to sgd and rmsprop, and optimizer adam has none"),
        ("weight_decay", -1, "weight_decay must be a number from 0, not -1"),
        ("clip_gradient", True, "clip_gradient must be a number from 0, not True"),
        ("optimizer", "adamww", "did you mean 'adamw'"),
        ("options", "hiden=3", "unknown option of mlp 'hiden'; did you mean 'hidden'"),
        ("options", 3, "options are a text like 'width=16', not 3"),
        ("learning_rate", -1.0, "positive number"),
        ("learning_rate", math.nan, "positive number"),
        ("learning_rate", math.inf, "positive number"),
        ("learning_rate", "1e-4", "positive number, not '1e-4'"),
        ("learning_rate", True, "positive number"),
        ("architecture", "", "architecture must be a name"),
        ("dataset", 3, "dataset must be a name"),
        ("protocol", "studdy", "did you mean 'study'"),
        ("engine", "eagre", "did you mean 'eager'"),
        ("precision", "fp23", "did you mean 'fp32'"),
        ("device", "tpu", "unknown device 'tpu'"),
        ("precision", "tf32", "CUDA devices only"),
        ("precision", "bf16x3", "on the CPU by engine native only; use that engine there, or fp32"),
        ("engine_choice", "mine", "begins with given or auto"),
        ("engine_choice", None, "begins with given or auto"),
    ],
)
def test_refuses_what_can_be_no_job(field: str, value: Any, says: str) -> None:
    with pytest.raises(RequestError) as refused:
        dataclasses.replace(ONE, **{field: value})
    assert says in str(refused.value)


def test_create_refuses_an_unknown_protocol() -> None:
    with pytest.raises(RequestError, match="did you mean 'study'"):
        Job.create("studies", architecture="mlp", dataset="mnist", latent=1)


@pytest.mark.parametrize("name", sorted(set(LEAST) - {"depth"}))
def test_the_largest_numbers_fit_where_they_go(name: str) -> None:
    largest = dataclasses.replace(ONE, **{name: MOST[name]})
    assert pa.array([getattr(largest, name)], pa.int64())[0].as_py() == MOST[name]
    if name == "seed":
        torch.Generator().manual_seed(largest.seed)
        split(10, 1, largest.seed)


def test_nobody_chooses_what_a_name_stands_for() -> None:
    assert set(FIELDS) - set(OPTIONS) == {"code", "pixels"}
    for name in ("code", "pixels"):
        with pytest.raises(RequestError, match=f"unknown option '{name}'"):
            load_grid(None, {"architecture": "mlp", "dataset": "digits", "latent": 2, name: "abc"})


def test_every_field_is_a_column_of_the_same_name() -> None:
    assert set(FIELDS) <= {column.name for column in schema.JOBS}
