"""Mistakes in a grid file: all told at once, each in its words and with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_grid import BASE

from aebench.errors import RequestError
from aebench.grid import load_grid, size


def mistakes(toml: Any, text: str, **overrides: Any) -> list[str]:
    with pytest.raises(RequestError) as refused:
        toml(text, **overrides)
    return str(refused.value).splitlines()


@pytest.mark.parametrize("key", ["workers", "timeout", "results", "data", "retry-failed", "plugin"])
def test_options_of_the_run_belong_on_the_command_line(toml: Any, key: str) -> None:
    (said,) = mistakes(toml, BASE + f"latent = 2\n{key} = 1")
    assert "how to run a grid" in said
    assert f"command line, as --{key}" in said


def test_all_mistakes_are_told_at_once_with_their_places(toml: Any) -> None:
    said = mistakes(
        toml,
        """
        dataset = "mnits"
        protocl = "study"
        [[product]]
        architecture = "mpl"
        latent = 0
        batch-size = "4..2"
        [[product]]
        architecture = "conv"
        latent = [1, "x"]
        learning_rate = nan
        [[job]]
        architecture = "mlp"
        [[exclude]]
        sead = 1
        """,
    )
    file = said[0].partition("mine.toml")[0] + "mine.toml"
    assert said == [
        f"{file}: unknown dataset 'mnits'; did you mean 'mnist'?",
        f"{file}: unknown option 'protocl'; did you mean 'protocol'?",
        f"{file}, [[product]]: unknown architecture 'mpl'; did you mean 'mlp'?",
        f"{file}, [[product]]: latent must be a whole number of at least 1, not 0",
        f"{file}, [[product]]: batch_size: the range 4..2 is empty",
        f"{file}, [[product]]: latent takes whole numbers or a range like 0..4, not 'x'",
        f"{file}, [[product]]: learning_rate must be a positive number, not nan",
        f"{file}, [[job]]: latent not given",
        f"{file}, [[exclude]]: unknown option 'sead'; did you mean 'seed'?",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("latent = 2\n[[products]]\ndepth = 1", "did you mean 'product'?"),
        ("latent = 2\n[product]\ndepth = 1", "write product as [[product]] tables"),
        ("latent = 2\nseeds = 0", "seeds is how many"),
        ("latent = 2\nseeds = 2\nseed = 4", "seed is given twice"),
        ("latent = 2\nbatch-size = 2\nbatch_size = 4", "batch_size is given twice"),
        ("latent = []", "latent is an empty list"),
        ("latent = true", "latent must be a whole number of at least 1, not True"),
        ('latent = "²..4"', "latent takes whole numbers or a range"),
        ("latent = 2\ndataset = 3", "not valid TOML"),  # given twice, which TOML itself forbids
        ("latent = 2\nengine = 3", "engine takes a name, not 3"),
        ("latent = 2\nprecision = 'tf32'", "CUDA devices only"),
        ("latent = 2\n[[exclude]]\nlatent = 3", "matches no job"),
        ("latent = 2\n[[exclude]]\nlatent = 2", "describes no job at all"),
        ('latent = "1..9999999999"', "more than 1,000,000 values"),
        ("latent = 2\nseeds = 9999999999", "from 1 to 1,000,000"),
        (
            "latent = 9223372036854775808",
            "latent must be at most 9223372036854775807, not 92",
        ),
        ("latent = 2\nseed = 9223372036854775808", "seed must be at most 9223372036854775807"),
        ("latent = 2\nbatch-size = [128, 100000000000000000000]", "batch_size must be at most"),
        ("latent = 2\ndepth = 1001", "depth must be at most 1000, not 1001"),
        ("latent = 2\nepochs = 1000001", "epochs must be at most 1000000"),
        ('latent = "9223372036854775800..9223372036854775808"', "latent must be at most"),
        (f'latent = "1..{"9" * 5000}"', "a number in the range is too long"),
        (f"latent = 2\nlearning-rate = 1{'0' * 400}", "a positive number, not 1e400 or so"),
        (f"latent = 1{'0' * 5000}", "not valid TOML"),
        (f"latent = {'[' * 5000}", "not valid TOML"),
        ("latent = 2\n[[product]]\narchitecture = nan", 'names stand in quotes: "nan"'),
        ("latent = 2\n[[product]]\ndataset = 2024", 'names stand in quotes: "2024"'),
        ('latent = "1..2000"\nseeds = 2000', "4,000,000 jobs"),
    ],
)
def test_each_mistake_has_its_words(toml: Any, text: str, says: str) -> None:
    assert says in "\n".join(mistakes(toml, BASE + text))


def test_an_option_on_the_command_line_may_leave_an_exclude_without_a_match(toml: Any) -> None:
    text = BASE + "latent = [2, 3]\n[[exclude]]\nlatent = 3"
    assert [j.latent for j in toml(text, latent=[5]).jobs] == [5]


def test_excludes_may_overlap(toml: Any) -> None:
    text = BASE + "latent = [2, 3, 4]\n[[exclude]]\nlatent = [3, 4]\n[[exclude]]\nlatent = 4"
    assert [j.latent for j in toml(text).jobs] == [2]


def test_files_that_are_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"'quick'\?, or name a file ending in \.toml"):
        load_grid("quik")
    with pytest.raises(RequestError, match="no grid file at"):
        load_grid(str(tmp_path / "none.toml"))
    with pytest.raises(RequestError, match="cannot read"):
        load_grid("a\0b.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(RequestError, match="cannot read"):
        load_grid(str(tmp_path / "folder.toml"))
    (tmp_path / "latin.toml").write_bytes(b"title = '\xe9t\xe9'")
    with pytest.raises(RequestError, match="cannot read"):
        load_grid(str(tmp_path / "latin.toml"))


def test_the_largest_numbers_are_planned_at_once(toml: Any) -> None:
    (job,) = toml(BASE + "latent = 9223372036854775807\ndepth = 1000\nepochs = 1000000").jobs
    found = size(job)
    assert found is not None
    assert found.bottleneck == 2**63 - 1
