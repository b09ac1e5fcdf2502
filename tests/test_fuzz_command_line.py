"""Whatever words a command is given, it answers: no traceback, a known exit code, no stray file."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from fuzzing import World, fuzzed, world
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image

from aebench import datasets
from aebench.cli import app

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = """\
import aebench
from torch import nn

@aebench.architecture("fuzzed")
def build(shape, latent, depth):
    raise NotImplementedError
"""


def commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that lead to it, groups included."""
    for name, command in group.commands.items():
        yield (*before, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))


COMMANDS = [((), typer.main.get_command(app)), *commands(typer.main.get_command(app))]
OPTIONS = {
    words: [
        (name, getattr(option, "is_flag", False))
        for option in command.params
        for name in option.opts
        if name.startswith("-")
    ]
    for words, command in COMMANDS
}

# What a user can pass: any bytes but zero, which Python hands on as letters or lone surrogates.
letters = st.binary(max_size=12).map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
KNOWN = [
    *("", " ", ",", "1,,2", "-", "--", "-1", "0", "1", "2", "1e400", "nan", "inf", "0x10", "١"),
    *("1_000", "0.5", str(2**31), str(2**63 - 1), str(2**63), str(10**30), "9" * 5000),
    *("0..3", "3..0", "0..", "..", "0..99999999999999999999", "1/2", "3/2", "0/0", "1/0", "x/y"),
    *("mlp", "conv", "mlp,conv", "fuzzed", "digits", "mnist", "cifar10", "quick", "study", "tuned"),
    *("eager", "native", "auto", "cpu", "cuda", "cuda:9", "fp32", "tf32", "cosine"),
    *("bf16", "bf16x3"),
    *("json", "table", "csv", "markdown", "train_s > 5%", "train_s>5", "engine", "mlp-512"),
    *("results/one", "results", "results/one/jobs.parquet", "grid.toml", "plugin.py", "photos"),
    *("./photos", "no/such", "/dev/null", "/dev/full", "/proc/self/mem", "file", "file/below"),
    *("\x1b[31mred\x1b[0m", "a\nb", "a\rb", "\u202eabc", "\udcff", "A" * 300, "é" * 200),
    *("$HOME", "~nobody/x", "%s", "{}", "[red]", "[/]", ":smile:", "'", '"', "\\", "*", "?"),
]  # fmt: skip
values = st.sampled_from(KNOWN) | letters | st.integers().map(str) | st.floats().map(str)


@st.composite
def requests(draw: Any) -> list[str]:
    """Words after `aebench`: a command, options that it has with any value, and others."""
    words, _ = draw(st.sampled_from(COMMANDS))
    said = list(words)
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["option", "option", "option", "value", "unknown"]))
        if kind == "option" and OPTIONS[words]:
            name, flag = draw(st.sampled_from(OPTIONS[words]))
            said.append(name)
            if not flag or draw(st.booleans()):
                said.append(draw(values))
        elif kind == "value":
            said.append(draw(values))
        else:
            said.append("--" + draw(letters))
    return said


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A current folder with results, a grid file, a plugin and a folder of images."""
    with pytest.MonkeyPatch.context() as patch, world(tmp_path_factory.mktemp("w"), patch) as made:
        # To render takes seconds, and what a page holds is tried elsewhere.
        patch.setattr("aebench.page.html.page", lambda results: "<html></html>")
        shutil.copytree(ROOT / "results" / "reference-quick", made.template / "results" / "one")
        (made.template / "plugin.py").write_text(PLUGIN)
        (made.template / "file").write_text("no image, no results, no plugin")
        (made.template / "grid.toml").write_text(
            'architecture = "mlp"\ndataset = "digits"\nlatent = [1, 2]\n'
        )
        (made.template / "photos").mkdir()
        for index, pixels in enumerate(np.array(datasets.load("digits").test[:25, 0])):
            Image.fromarray(pixels).save(made.template / "photos" / f"{index}.png")
        yield made


def is_safe(words: list[str]) -> bool:
    """Whether no word names a large folder of this machine, which would be read for hours."""
    large = {Path("/").resolve(), Path.home().resolve(), Path(tempfile.gettempdir()).resolve()}
    for word in words:
        for part in re.split("[=,]", word):
            if part.strip().startswith(("~", "/")):
                try:
                    if Path(part.strip()).expanduser().resolve() in large:
                        return False
                except (OSError, RuntimeError, ValueError):
                    continue
    return True


@pytest.mark.slow
@fuzzed(60)
@given(requests())
@example(["run", "--plugin=" + "A" * 300, "--plan"])
@example(["run", "--plan", "--dataset=" + "A" * 300])
@example(["show", "A" * 300])
@example(["report", "A" * 300])
@example(["report", "results/one", "--output=" + "A" * 300])
@example(["report", "results/one", "--output=/dev/null"])
@example(["data", "list", "--data=" + "A" * 300])
def test_any_words_are_answered(here: World, words: list[str]) -> None:
    assume(is_safe(words))
    here.renewed()
    here.answer(*words).check()


RUN_OPTIONS = [name for name, _ in OPTIONS["run",]]


@pytest.mark.slow
@fuzzed(60)
@given(
    st.dictionaries(
        st.sampled_from([n for n in RUN_OPTIONS if n.startswith("--")]), values, max_size=4
    )
)
@example({"--depth": str(2**31)})
@example({"--seeds": str(10**12)})
@example({"--latent": str(2**63)})
@example({"--batch-size": "128,100000000000000000000"})
@example({"--dataset": ""})
@example({"--grid": ""})
@example({"--results": ""})
@example({"--results": "A" * 300})
@example({"--data": ""})
@example({"--plugin": ""})
@example({"--results": "results/\udcff"})
def test_any_plan_is_made_or_refused(here: World, asked: dict[str, str]) -> None:
    """Values of one's own on top of a request that is right, so that they reach the grid."""
    flags = {name for name, flag in OPTIONS["run",] if flag}
    base = {"--architecture": "mlp", "--dataset": "digits", "--latent": "2"}
    words = ["run", "--plan"]
    for name, value in {**base, **asked}.items():
        words += [name] if name in flags else [f"{name}={value}"]
    assume(is_safe(words))
    here.renewed()
    answer = here.answer(*words)
    answer.check()
    if not asked:
        assert answer.code == 0, answer.err
