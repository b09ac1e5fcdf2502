"""Choosing the settings of `tuned`: the rule on synthetic records, the shipped file, its use."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from aebench import load_grid, protocols, schema
from aebench.cli import app
from aebench.errors import RequestError
from aebench.job import Job
from aebench.protocols import TrainingSettings
from aebench.records import Circumstances
from aebench.store import Record, Store
from aebench.tune import choice, file
from aebench.worker import run_job

SHIPPED = protocols.TUNED


@pytest.fixture
def tuned_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of our own in the place of aebench's."""
    monkeypatch.setattr(protocols, "TUNED", tmp_path / "tuned.toml")
    monkeypatch.setattr(file, "TUNED", protocols.TUNED)
    return protocols.TUNED


def row(latent: int, val_mse: float, status: str = "ok", **fields) -> dict:
    job = Job(**{"architecture": "mlp", "dataset": "digits", "latent": latent} | fields)
    return dataclasses.asdict(job) | {
        "key": job.key,
        "status": status,
        "val_mse": val_mse if status == "ok" else None,
        "mse": 1.0,
        "aebench": "0.1.0",
        "commit": "abc1234",
        "started_at": f"2026-11-{latent:02}T10:00:00.000+00:00",
    }


def chosen(*rows: dict, family: str = "mlp") -> choice.Choice:
    choices, _ = choice.choose(pd.DataFrame(rows), "search")
    return next(one for one in choices if one.architecture == family)


def test_lowest_median_ratio_wins_not_the_lowest_mean() -> None:
    """One model where a candidate is ten times worse does not outweigh two where it is best."""
    found = chosen(
        *(row(k, e, learning_rate=1e-3) for k, e in ((1, 0.10), (2, 0.010), (3, 0.0100))),
        *(row(k, e, learning_rate=3e-3) for k, e in ((1, 0.11), (2, 0.011), (3, 0.0010))),
    )
    best, second = found.candidates
    assert best.settings == TrainingSettings(15, 128, 1e-3)
    assert best.ratio == 1.0
    assert second.ratio == pytest.approx(1.1)
    assert second.val_mse == {"digits mlp-1": 0.11, "digits mlp-2": 0.011, "digits mlp-3": 0.001}


def test_ratio_is_to_the_best_of_each_model() -> None:
    """With two models the median is the mean of their ratios: (1 + 3) / 2 against (2 + 1) / 2."""
    found = chosen(
        row(1, 0.1, learning_rate=1e-3), row(2, 3e-6, learning_rate=1e-3),
        row(1, 0.2, learning_rate=3e-3), row(2, 1e-6, learning_rate=3e-3),
    )  # fmt: skip
    assert [c.settings.learning_rate for c in found.candidates] == [3e-3, 1e-3]
    assert [c.ratio for c in found.candidates] == pytest.approx([1.5, 2.0])


@pytest.mark.parametrize(
    ("cheaper", "dearer"),
    [
        ({"epochs": 5, "schedule": "cosine"}, {"epochs": 6}),
        ({"order": "shuffled"}, {"schedule": "cosine"}),
        ({"batch_size": 64}, {"order": "shuffled"}),
        ({"batch_size": 256, "learning_rate": 1e-2}, {"batch_size": 128}),
        ({"learning_rate": 1e-3}, {"learning_rate": 2e-3}),
    ],
)
def test_ties_go_to_the_cheaper(cheaper: dict, dearer: dict) -> None:
    for rows in ([row(1, 0.5, **cheaper), row(1, 0.5, **dearer)],):
        for ordered in (rows, rows[::-1]):
            best, second = chosen(*ordered).candidates
            assert best.ratio == second.ratio == 1
            assert all(getattr(best.settings, name) == value for name, value in cheaper.items())


def test_failures_are_infinitely_bad_and_gaps_not_eligible() -> None:
    found = chosen(
        row(1, 0.5, learning_rate=1e-3), row(2, 0.5, learning_rate=1e-3),
        row(1, 0.1, learning_rate=3e-3), row(2, math.nan, "diverged", learning_rate=3e-3),
        row(1, 0.01, learning_rate=1e-2),
    )  # fmt: skip
    best, second = found.candidates
    assert best.settings.learning_rate == 1e-3
    assert math.isinf(second.ratio)
    assert math.isinf(second.val_mse["digits mlp-2"])
    assert [c.settings.learning_rate for c in found.others] == [1e-2]
    assert best.ratio == pytest.approx((0.5 / 0.01 + 1) / 2)


def test_seeds_are_models_and_repeats_are_not() -> None:
    found = chosen(
        *(row(1, 0.2, seed=s, repeat=r, learning_rate=1e-3) for s in (0, 1) for r in (0, 1, 2)),
        *(row(1, 0.1, seed=s, learning_rate=3e-3) for s in (0, 1)),
    )
    assert list(found.candidates[0].val_mse) == ["digits mlp-1", "digits mlp-1 seed 1"]
    assert [c.ratio for c in found.candidates] == [1, 2]


def test_forms_of_a_model_are_choices_of_their_own_and_optimizers_are_settings(
    tmp_path: Path,
) -> None:
    rows = [
        *(row(1, e, options=o, depth=2) for o, e in (("", 0.1), ("hidden=9", 0.1))),
        *(
            row(1, e, options=o, depth=2, optimizer="sgd", momentum=0.9)
            for o, e in (("", 0.05), ("hidden=9", 0.2))
        ),
    ]
    choices, refused = choice.choose(pd.DataFrame(rows), "search")
    assert not refused
    plain, hidden = (one.candidates[0] for one in choices)
    assert plain.name.endswith(", 15 epochs of 128, optimizer=sgd, momentum=0.9")
    assert plain.val_mse == {"digits mlp-1 depth 2": 0.05}
    assert (hidden.settings.optimizer, hidden.model) == ("adam", "depth 2 (hidden=9)")
    file.write(choices, tmp_path / "mine.toml")
    one, other = tomllib.loads((tmp_path / "mine.toml").read_text())["mlp"]
    assert (one["optimizer"], one["momentum"], "options" in one) == ("sgd", 0.9, False)
    assert (other["options"], "optimizer" in other) == ("hidden=9", False)
    assert "optimizer" not in one["runner_up"]
    for options, best in (("", plain), ("hidden=9", hidden)):
        found = protocols.from_file(tmp_path / "mine.toml", "mlp", "digits", 1, 2, options)
        assert found.settings == best.settings


def test_families_are_apart_and_impossible_ones_say_why() -> None:
    rows = [row(1, 0.2, learning_rate=r) for r in (1e-3, 3e-3)]
    rows += [row(1, 0.1, architecture="conv", learning_rate=1e-3)]
    rows += [
        row(1, 0.1, "killed", architecture="conv-bottleneck", learning_rate=r) for r in (1.0, 2.0)
    ]
    choices, refused = choice.choose(pd.DataFrame(rows), "search")
    assert [choice.architecture for choice in choices] == ["mlp"]
    assert "a choice needs two" in refused["conv on digits"]
    assert "no candidate ended ok" in refused["conv-bottleneck on digits"]
    assert choices[0].at_edge  # one of two is always at an edge
    middle = chosen(*(row(1, e, learning_rate=r) for r, e in ((1e-3, 2), (3e-3, 1), (1e-2, 2))))
    assert not middle.at_edge


def searched(folder: Path, *rows: dict) -> Store:
    store = Store(folder)
    for content in rows:
        store.write(Record(job=content))
    return store


def test_test_errors_are_never_read(tmp_path: Path) -> None:
    """Changing every column that knows the test images changes nothing that is written."""
    rows = [row(k, k / 100 / r, learning_rate=r) for k in (1, 2) for r in (1e-3, 3e-3, 1e-2)]
    known_by_test = ["study_error", "mse", "psnr_db", "mean_mse", "pca_mse"]
    written = []
    for i, sign in enumerate((1, -1)):
        changed = [
            content | dict.fromkeys(known_by_test, 5 + sign * n) for n, content in enumerate(rows)
        ]
        jobs = searched(tmp_path / str(i), *changed).read().jobs
        file.write(choice.choose(jobs, "search")[0], tmp_path / f"{i}.toml")
        written.append((tmp_path / f"{i}.toml").read_text())
    assert written[0] == written[1]
    assert not set(known_by_test) & set(choice.COLUMNS)
    assert set(choice.COLUMNS) <= {column.name for column in schema.JOBS}


def test_command_writes_a_file_that_a_run_can_use(
    tmp_path: Path, invoke: Callable[..., tuple[int, str, str]]
) -> None:
    before = SHIPPED.read_bytes()
    Path("mine.toml").write_text("[mine]\nepochs = 1\n\n['my own'.val_mse]\n'a \"b\"' = inf\n")
    rows = [row(k, k * r, learning_rate=r) for k in (1, 2) for r in (1e-3, 3e-3, 1e-2)]
    searched(tmp_path / "a search", *rows)
    code, out, err = invoke("tune", "a search", "--out", "mine.toml")
    assert code == 0, err
    assert "learning_rate 0.001, constant, fixed, 15 epochs of 128" in out
    assert "edge" in err
    assert "aebench run --protocol mine.toml" in err
    tables = tomllib.loads(Path("mine.toml").read_text())
    assert tables["mine"] == {"epochs": 1}
    assert tables["my own"]["val_mse"] == {'a "b"': math.inf}
    (mlp,) = tables["mlp"]
    assert (mlp["dataset"], mlp["latent"], mlp["depth"]) == ("digits", [1, 2], 1)
    assert mlp["at_edge"] == ["learning_rate"]
    assert mlp["val_mse"] == {"digits mlp-1": 1e-3, "digits mlp-2": 2e-3}
    assert mlp["runner_up"]["learning_rate"] == 3e-3
    assert mlp["runner_up"]["ratio"] == pytest.approx(3)
    assert (mlp["grid"], mlp["jobs"], mlp["commit"]) == ("a search", 6, "abc1234")
    assert mlp["keys_sha256"] == choice.keys_sha256(content["key"] for content in rows)
    assert mlp["started_at"] == "2026-11-02T10:00:00.000+00:00"
    assert SHIPPED.read_bytes() == before
    # Without a name it lies in the current folder.
    assert invoke("tune", "a search")[0] == 0
    assert tomllib.loads(Path("tuned.toml").read_text()).keys() == {"mlp"}

    # And it is what a run trains with, which says that it is not the study's.
    axes = {"architecture": "mlp", "dataset": "digits", "latent": 4, "protocol": "mine.toml"}
    (job,) = load_grid(None, axes).jobs
    assert (job.protocol, job.learning_rate) == ("study", 1e-3)
    assert job.modified == "learning_rate=0.001"
    assert job.settings_from.startswith("mine.toml: grid a search, keys ")
    assert job.settings_from.endswith(", searched on digits mlp-1,2 depth 1, at_edge learning_rate")
    assert job.common_key == Job("mlp", "digits", 4, learning_rate=1e-3).key
    (job,) = load_grid(None, axes | {"epochs": 2}).jobs  # the command line wins
    assert (job.epochs, job.learning_rate) == (2, 1e-3)
    Path("grids").mkdir()
    Path("grids/g.toml").write_text(
        'architecture = "mlp"\ndataset = "digits"\nlatent = 4\nprotocol = "../mine.toml"'
    )
    (job,) = load_grid("grids/g.toml").jobs  # a path in a grid file is seen from there
    assert job.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", str(SHIPPED)], "is aebench's own"),
        (["--out", "settings"], "ends in .toml"),
        (["--out", "here/tuned.toml/x.toml"], "cannot write"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_no_other_file_is_written(words: list[str], said: str, tmp_path: Path, invoke) -> None:
    before = SHIPPED.read_bytes()
    Path("here").mkdir()
    Path("here/tuned.toml").touch()
    searched(tmp_path / "plain", *(row(1, r, learning_rate=r) for r in (1e-3, 3e-3)))
    code, _, err = invoke("tune", "plain", *words)
    assert code == 2
    assert said in err
    assert SHIPPED.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no file of settings at mine.toml"),
        ("[conv]\nepochs = 1", "holds no settings for architecture 'mlp'"),
        ("[mlp]\nepochs = 1", "learning_rate"),
        ("[mlp", "cannot read the settings in mine.toml"),
        (
            "[mlp]\nepochs = -1\nbatch_size = 1\nlearning_rate = 1\n"
            'schedule = "constant"\norder = "fixed"',
            "epochs must be a whole number",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_one_message(
    content: str | None, said: str, invoke
) -> None:
    if content is not None:
        Path("mine.toml").write_text(content)
    words = ["--architecture", "mlp", "--dataset", "digits", "--latent", "4", "--plan"]
    code, _, err = invoke("run", *words, "--protocol", "mine.toml")
    assert code == 2
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("content", [None, "[mlp"])
def test_a_file_of_settings_is_named_with_who_asked_for_it(content: str | None, invoke) -> None:
    """Not with the table of the grid that would have used it."""
    if content is not None:
        Path("mine.toml").write_text(content)
    code, _, err = invoke("run", "--grid", "quick", "--plan", "--protocol", "mine.toml")
    assert code == 2
    assert err.startswith("aebench: the command line: ")
    assert "mine.toml" in err
    assert len(err.splitlines()) == 1


def test_store_without_a_search_is_refused(tmp_path: Path, tuned_file: Path) -> None:
    searched(tmp_path / "plain", row(1, 0.1), row(2, 0.1))
    result = CliRunner().invoke(app, ["tune", str(tmp_path / "plain")])
    assert isinstance(result.exception, RequestError)
    assert "holds no search" in str(result.exception)
    assert not tuned_file.exists()


# The file that aebench ships


def test_it_does_not_matter_which_engine_trained_a_candidate() -> None:
    """A search that was begun by one engine and went on by another is one search."""
    found = chosen(
        *(row(k, 0.1, learning_rate=1e-3, engine="native") for k in (1, 2)),
        *(row(k, 0.2, learning_rate=3e-3) for k in (1, 2)),
    )
    assert [c.settings.learning_rate for c in found.candidates] == [1e-3, 3e-3]
    assert not found.others
    assert set(found.candidates[0].val_mse) == {"digits mlp-1", "digits mlp-2"}
    precise = row(3, 0.1, precision="bf16x3", engine="native", device="cpu")
    assert choice.model_name(precise) == "digits mlp-3 bf16x3"


def test_shipped_settings_are_what_the_stored_search_chooses(
    tmp_path: Path, invoke: Callable[..., tuple[int, str, str]]
) -> None:
    results = SHIPPED.parents[1] / "results" / "reference-search"
    how = ("--grid", "search", "--precision", "bf16", "--accept-edge", "epochs")
    code, _, err = invoke("tune", str(results), *how, "--out", str(tmp_path / "again.toml"))
    assert code == 0, err
    assert (tmp_path / "again.toml").read_text() == SHIPPED.read_text("utf-8")


def test_tuned_protocol_enumerates_runs_and_says_where_it_is_from() -> None:
    axes = {"architecture": "mlp", "dataset": "digits", "latent": 4, "protocol": "tuned"}
    (plain,) = load_grid(None, axes).jobs
    settings = protocols.settings("tuned", "mlp", "digits", 4)
    assert dataclasses.asdict(settings).items() <= dataclasses.asdict(plain).items()
    assert plain.modified == ""
    (job,) = load_grid(None, axes | {"epochs": 1}).jobs
    made = run_job(job, Circumstances(threads=1)).job
    assert made["status"] == "ok", made["reason"]
    assert made["modified"] == "epochs=1"
    (table,) = (e for e in tomllib.loads(SHIPPED.read_text("utf-8"))["mlp"] if e["depth"] == 1)
    assert made["settings_from"].startswith(f"grid search, keys {table['keys_sha256'][:16]}, 20")
    assert made["settings_from"].endswith(", searched on mnist mlp-32,128 depth 1, at_edge epochs")


def test_family_without_tuned_settings_says_how_to_get_them(tuned_file: Path) -> None:
    for make in (
        lambda: protocols.settings("tuned", "conv", "digits", 1),
        lambda: load_grid(
            None,
            {"architecture": "conv", "dataset": "digits", "latent": 1, "protocol": "tuned"},
        ),
    ):
        with pytest.raises(RequestError, match="aebench tune --grid FILE"):
            make()
    assert protocols.chosen_by("tuned", "conv", "digits", 1) == ""
