"""The job: its key, which stored results depend on, its names, and what it refuses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from aebench import schema
from aebench.errors import RequestError
from aebench.job import FIELDS, LEAST, Job

ONE = Job("mlp", "mnist", 512)
# A value other than the default for every field; a field added later must be added here.
OTHER: dict[str, Any] = {
    "architecture": "conv",
    "dataset": "digits",
    "latent": 16,
    "depth": 2,
    "seed": 1,
    "protocol": "tuned",
    "schedule": "cosine",
    "order": "shuffled",
    "train_noise": 0.3,
    "epochs": 2,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "engine": "reference",
    "precision": "bf16",
    "device": "cuda",
    "repeat": 1,
}


def test_stored_keys_stay_valid() -> None:
    # Results on people's disks carry these. If this fails, every stored result is orphaned.
    assert ONE.key == "033d95a5f2b59eb6"
    assert Job.create(architecture="mlp", dataset="mnist", latent=512).key == ONE.key


def test_every_field_changes_the_key() -> None:
    assert set(OTHER) == set(FIELDS)
    keys = {dataclasses.replace(ONE, **{name: value}).key for name, value in OTHER.items()}
    assert len(keys | {ONE.key}) == len(FIELDS) + 1


def test_a_value_spelled_out_is_the_default() -> None:
    assert Job("mlp", "mnist", 512, depth=1, engine="eager").key == ONE.key


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


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        *((name, -1, f"{name} must be a whole number of at least") for name in LEAST),
        ("latent", 0, "at least 1, not 0"),
        ("latent", True, "not True"),
        ("depth", 1.0, "not 1.0"),
        ("seed", "1", "not '1'"),
        ("learning_rate", 0, "positive number, not 0"),
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
    ],
)
def test_refuses_what_can_be_no_job(field: str, value: Any, says: str) -> None:
    with pytest.raises(RequestError) as refused:
        dataclasses.replace(ONE, **{field: value})
    assert says in str(refused.value)


def test_create_refuses_an_unknown_protocol() -> None:
    with pytest.raises(RequestError, match="did you mean 'study'"):
        Job.create("studies", architecture="mlp", dataset="mnist", latent=1)


def test_every_field_is_a_column_of_the_same_name() -> None:
    assert set(FIELDS) <= {column.name for column in schema.JOBS}
