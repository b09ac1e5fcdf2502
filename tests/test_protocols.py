"""Which entry of a file of settings a model takes, what it says of itself, and `model = tuned`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from aebench import load_grid, protocols
from aebench.errors import RequestError
from aebench.job import Job

HOW = 'epochs = 5\nbatch_size = 64\nschedule = "cosine"\norder = "shuffled"\n'
OLD = f"[mlp]\nlearning_rate = 0.5\n{HOW}"


def entry(dataset: str, latent: list[int], depth: int, rate: float, more: str = "") -> str:
    return (
        f'[[mlp]]\ndataset = "{dataset}"\nlatent = {latent}\ndepth = {depth}\n'
        f"learning_rate = {rate}\n{HOW}{more}\n"
    )


FILE = (
    entry("mnist", [2, 4], 1, 0.1)
    + entry("mnist", [64], 1, 0.2)
    + entry("mnist", [8], 3, 0.3, 'options = "hidden=30-20"')
    + entry("mnist", [64], 3, 0.4)
    + entry("cifar10", [8], 1, 0.5)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(FILE)
    return tmp_path / "mine.toml"


@pytest.mark.parametrize(
    ("dataset", "latent", "depth", "options", "rate"),
    [
        ("mnist", 2, 1, "", 0.1),
        ("mnist", 15, 1, "", 0.1),  # 4 and 64 are equally far from 16, on a log scale
        ("mnist", 17, 1, "", 0.2),
        ("mnist", 64, 3, "hidden=30-20", 0.3),  # the model before the latent
        ("mnist", 8, 3, "", 0.4),
        ("mnist", 64, 3, "hidden=9", 0.4),  # the depth before the latent, then the latent
        ("mnist", 8, 3, "hidden=9", 0.3),
        ("mnist", 8, 2, "", 0.3),  # no such depth: the latent
        ("digits", 2, 1, "", 0.1),  # as many colours as mnist
        ("cifar10", 2, 3, "", 0.5),  # the data set before all else
        ("no-such-data", 64, 1, "", 0.2),  # any
    ],
)
def test_the_closest_entry_is_by_data_then_model_then_latent(
    path: Path, dataset: str, latent: int, depth: int, options: str, rate: float
) -> None:
    found = protocols.from_file(path, "mlp", dataset, latent, depth, options)
    assert found.settings.learning_rate == rate
    assert (found.settings.epochs, found.settings.schedule) == (5, "cosine")


def test_an_older_file_holds_for_every_model(tmp_path: Path) -> None:
    (tmp_path / "old.toml").write_text(OLD)
    for model in (("mnist", 2, 1, ""), ("cifar10", 512, 3, "hidden=9")):
        found = protocols.from_file(tmp_path / "old.toml", "mlp", *model)
        assert (found.settings.learning_rate, found.dataset, found.depth) == (0.5, "", None)
        assert found.source == "grid ?, keys ?, ?"


def test_of_equally_close_entries_the_one_with_the_least_error_is_taken(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(
        entry("mnist", [8, 32], 1, 0.1, 'val_mse = { "mnist mlp-8" = 0.1, "mnist mlp-32" = 0.4 }')
        + entry("mnist", [32], 1, 0.2, 'val_mse = { "mnist mlp-32" = 0.3 }')
    )
    rates = {
        latent: protocols.from_file(tmp_path / "two.toml", "mlp", "mnist", latent).settings
        for latent in (8, 32, 100)
    }
    assert {k: s.learning_rate for k, s in rates.items()} == {8: 0.1, 32: 0.2, 100: 0.2}


def test_between_two_latents_the_smaller_is_taken_whatever_their_errors(tmp_path: Path) -> None:
    """A larger code has the lesser error, however good its settings are."""
    both = [
        entry(
            "mnist", [latent], 2, rate, f'models = 3\nval_mse = {{ "mnist mlp-{latent}" = {mse} }}'
        )
        for latent, rate, mse in ((512, 0.1, 0.01), (128, 0.2, 0.02))
    ]
    path = tmp_path / "two.toml"
    path.write_text("".join(both))
    assert protocols.from_file(path, "mlp", "mnist", 256, 2).settings.learning_rate == 0.2
    axes = {"architecture": "mlp", "dataset": "mnist", "latent": 256, "model": "tuned"}
    (job,) = load_grid(None, axes | {"protocol": str(path), "engine": "eager"}).jobs
    assert job.learning_rate == 0.2


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("warmup = 2", "warmup must be a number from 0 to 1, not 2"),
        ('optimizer = "adm"', "unknown optimizer 'adm'"),
    ],
)
def test_a_wrong_value_in_a_file_of_settings_is_said_to_be_there(
    tmp_path: Path, more: str, says: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(entry("mnist", [8, 32], 1, 0.1, more))
    axes = {"architecture": "mlp", "dataset": "mnist", "latent": 4, "protocol": str(path)}
    with pytest.raises(RequestError) as found:
        load_grid(None, axes)
    assert f"mine.toml, [[mlp]] for mnist, latent 8, 32: {says}" in str(found.value)


def test_an_entry_says_what_it_was_searched_on_and_what_was_accepted(tmp_path: Path) -> None:
    said = (
        'options = "hidden=9"\nat_edge = ["epochs", "learning_rate"]\ngrid = "g"\n'
        'keys_sha256 = "0123456789abcdef0123"\nstarted_at = "2026-11-29T00:00:00"'
    )
    (tmp_path / "one.toml").write_text(entry("mnist", [8, 32], 2, 0.1, said))
    assert protocols.from_file(tmp_path / "one.toml", "mlp", "mnist", 8).source == (
        "grid g, keys 0123456789abcdef, 2026-11-29, searched on mnist mlp-8,32 depth 2 (hidden=9),"
        " at_edge epochs learning_rate"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[mlp]]\nepochs = 1", r"\[\[mlp\]\] 1: batch_size, .*, dataset, latent, depth not given"),
        (entry("mnist", [], 1, 0.1), "latent is a list of whole numbers"),
        (entry("mnist", [0], 1, 0.1), "latent is a list of whole numbers"),
        (entry("mnist", [1], 0, 0.1), "latent is a list of whole numbers"),
        (entry("mnist", [1], 1, 0.1, 'options = "hiden=9"'), "did you mean 'hidden'"),
        (entry("mnist", [1], 1, 0.1, 'val_mse = "low"'), "val_mse is a table"),
        (entry("mnist", [1], 1, 0.1, 'models = "many"'), "models a number"),
        ("mlp = 3", "holds no settings for architecture 'mlp'"),
        ("mlp = []", "holds no settings for architecture 'mlp'"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(RequestError, match=says):
        protocols.from_file(tmp_path / "bad.toml", "mlp", "mnist", 1)


def test_a_tuned_job_takes_the_entry_of_its_model(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "TUNED", path)
    job = Job.create("tuned", architecture="mlp", dataset="mnist", latent=64, depth=3)
    assert (job.learning_rate, job.modified) == (0.4, "")
    other = dataclasses.replace(job, depth=1)  # which has settings of its own
    assert other.modified == "learning_rate=0.4"
    assert protocols.chosen_by("tuned", *job.model).endswith("searched on mnist mlp-64 depth 3")
    with pytest.raises(RequestError, match="latent must be a whole number"):
        Job.create("tuned", architecture="mlp", dataset="mnist", latent=0)


# The best model known


BEST = (
    entry("mnist", [8], 1, 0.1, 'val_mse = { "mnist mlp-8" = 0.02 }')
    + entry("mnist", [8, 32], 2, 0.2, 'val_mse = { "mnist mlp-8" = 0.03, "mnist mlp-32" = 0.01 }')
    + entry("mnist", [32], 3, 0.3, 'options = "hidden=9"\nval_mse = { "mnist mlp-32" = 0.005 }')
    + entry("cifar10", [8], 4, 0.4, 'val_mse = { "cifar10 mlp-8" = 0.001 }')
    + entry("fashion-mnist", [8], 1, 0.5)
    + entry("fashion-mnist", [64], 2, 0.6, 'options = "hidden=20"\nmodels = 2')
)


@pytest.mark.parametrize(
    ("dataset", "latent", "depth", "options", "rate"),
    [
        ("mnist", 8, 1, "", 0.1),
        ("mnist", 32, 3, "hidden=9", 0.3),
        ("digits", 100, 2, "hidden=20", 0.6),  # of the data sets in grey
        ("cifar10", 100, 4, "", 0.4),
        ("fashion-mnist", 8, 2, "hidden=20", 0.6),  # the best of several, if at another latent
    ],
)
def test_a_tuned_model_is_the_best_at_the_nearest_latent(
    tmp_path: Path, dataset: str, latent: int, depth: int, options: str, rate: float
) -> None:
    (tmp_path / "best.toml").write_text(BEST)
    axes = {
        "architecture": "mlp", "dataset": dataset, "latent": latent, "engine": "eager",
        "protocol": str(tmp_path / "best.toml"), "model": "tuned",
    }  # fmt: skip
    (job,) = load_grid(None, axes).jobs
    assert (job.depth, job.options, job.learning_rate) == (depth, options, rate)
    plain = Job(
        "mlp", dataset, latent, depth, options=options, learning_rate=rate, epochs=5,
        batch_size=64, schedule="cosine", order="shuffled",
    )  # fmt: skip
    assert job.key == plain.key  # model is no field of a job
    (same,) = load_grid(None, axes | {"model": "given", "depth": depth}).jobs
    assert same.depth == depth


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ({"depth": 2}, "and depth is given as well"),
        ({"depth": 2, "options": {"hidden": 9}}, "and depth and options are given as well"),
        ({"protocol": "study"}, "add --protocol tuned"),
        ({"protocol": "OLD"}, "of an older form, without depth and options"),
        ({"model": "tunde"}, "did you mean 'tuned'"),
        ({"model": 3}, "model takes a name"),
    ],
)
def test_a_tuned_model_that_cannot_be_is_one_sentence(
    tmp_path: Path, axes: dict, says: str
) -> None:
    (tmp_path / "best.toml").write_text(BEST)
    (tmp_path / "old.toml").write_text(OLD)
    if axes.get("protocol") == "OLD":
        axes = axes | {"protocol": str(tmp_path / "old.toml")}
    base = {"architecture": "mlp", "dataset": "mnist", "latent": 8, "model": "tuned"}
    with pytest.raises(RequestError, match=says) as error:
        load_grid(None, base | {"protocol": str(tmp_path / "best.toml")} | axes)
    assert "\n" not in str(error.value)


def test_a_grid_file_may_ask_for_tuned_models_and_a_command_line_too(
    tmp_path: Path, invoke
) -> None:
    (tmp_path / "best.toml").write_text(BEST)
    (tmp_path / "grid.toml").write_text(
        'architecture = "mlp"\ndataset = "mnist"\nlatent = [8, 32]\nprotocol = "best.toml"\n'
        'model = "tuned"\n[[exclude]]\nlatent = 8'
    )
    (job,) = load_grid(str(tmp_path / "grid.toml")).jobs
    assert (job.latent, job.depth) == (32, 3)
    text = (tmp_path / "grid.toml").read_text()
    (tmp_path / "grid.toml").write_text(text.replace("latent = 8", 'model = "tuned"'))
    with pytest.raises(RequestError, match="name it by these"):
        load_grid(str(tmp_path / "grid.toml"))
    words = ["--architecture", "mlp", "--latent", "8,32", "--protocol", "best.toml", "--plan"]
    code, out, err = invoke("run", "--model", "tuned", *words)
    assert (code, err) == (0, "")
    assert "depth 3 (hidden=9)" in out
