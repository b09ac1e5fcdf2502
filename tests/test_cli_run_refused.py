"""Requests that `run` refuses: one message, and nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli_run import MLP
from test_report_records import record, stored


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--latent", "4,"], "latent"),
        (["--latent", "1.5"], "whole number of at least 1"),
        (["--latent", "9..4"], "empty"),
        (["--latent"], "requires an argument"),
        (["--seeds", "0"], "--seeds"),
        (["--workers", "0"], "--workers"),
        (["--timeout", "0"], "--timeout"),
        (["--learning-rate", "nan"], "learning_rate"),
        (["--device", "cpu:1"], "auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:99"], "CUDA device"),
        (["--shard", "half"], "like 1/4"),
        (["--on", "slurm=x"], "takes no address"),
        (["--on", "ray="], "takes ray, ray=ADDRESS or slurm"),
        (["--on", "ray", "--checkpoint", "1m"], "lost with the node"),
        (["--on", "ray", "--budget", "1h"], "needs --workers"),
        (["--cpus-per-job", "2"], "with --on only"),
        (["--gpus-per-job", "2"], "with --on only"),
        (["--shard", "1/0"], "like 1/4"),
        (["--plugin", "missing.py"], "no plugin file"),
        (["--plugin", "broken.py"], "broken.py, line 1 fails"),
        (["--results", "file"], "cannot write results to"),
        (["--results", "file/below"], "file/below (Not a directory)"),
        (["--latents", "4"], "No such option"),
        (["stray"], "stray"),
        (["--option", "hidden"], "takes a name and its values, like width=16,32, not 'hidden'"),
        (["--option", "hidden="], "takes a name and its values"),
        (["--option", "hidden=3,"], "--option hidden"),
        (["--option", "hidden=3", "--option", "hidden=4"], "hidden is given twice; write its"),
        (["--option", "hiden=3"], "did you mean 'hidden'"),
        (["--option", "hidden=many"], "option hidden takes whole numbers joined by -"),
        (["--option", "hidden=3"], "an mlp of depth 1 has none: give a greater depth"),
        (["--optimizer", "adamww"], "did you mean 'adamw'"),
        (["--momentum", "0.9"], "momentum belongs to sgd and rmsprop"),
        (["--warmup", "2"], "warmup must be a number from 0 to 1, not 2"),
        (["--engine", "native", "--optimizer", "sgd"], "'native' trains by plain Adam"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_message_and_leaves_nothing(
    words: list[str], said: str, invoke
) -> None:
    Path("file").touch()
    Path("broken.py").write_text("import nothing_of_this_name")
    before = sorted(Path().iterdir())
    code, out, err = invoke("run", *MLP, "--latent", "4", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert sorted(p for p in Path().iterdir() if p.name != "__pycache__") == before


EMPTY = {
    "run": [
        *(["--dataset", ""], ["--dataset="], ["--dataset", " "], ["--dataset", "digits,,mnist"]),
        *(
            ["--grid", ""],
            ["--results", ""],
            ["--data", ""],
            ["--plugin", ""],
            ["--latent", "1,,2"],
        ),
        *(["--architecture", ""], ["--architecture", "mlp,"], ["--engine", ",eager"]),
        *(["--protocol", ""], ["--device", ""], ["--shard", ""], ["--seeds", ""]),
    ],
    "show": [[""], ["--format", ""]],
    "findings": [["--only", ""], ["--only", "mlp-1,,mlp-512"]],
    "report": [["--output", ""], ["-o", ""]],
    "compare": [["", "runs"], ["runs", ""], ["runs", "runs", "--across", "engine,"]],
    "tune": [["runs", "--out", ""]],
    "data": [["list", "--data", ""], ["fetch", ""], ["add", "mnist", ""]],
    "": [[""]],
}


@pytest.mark.parametrize(
    ("command", "words"), [(c, words) for c, each in EMPTY.items() for words in each]
)
def test_what_is_empty_is_refused_and_named(command: str, words: list[str], invoke) -> None:
    """Not the current folder, nor whatever an empty name may mean."""
    stored(Path("runs"), record("mlp", 4, dataset="digits", device="cpu"))
    before = sorted(Path().rglob("*"))
    code, out, err = invoke(*command.split(), *words)
    assert (code, out) == (2, "")
    said = " ".join(err.split())
    assert "empty" in said
    option = next((w.partition("=")[0] for w in words if w.startswith("-")), "argument")
    assert option in said
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset", "2024"], "unknown dataset '2024'"),
        (["--dataset", "1e5"], "unknown dataset '1e5'"),
        (["--architecture", "nan"], "unknown architecture 'nan'"),
        (["--engine", "1"], "unknown engine '1'"),
        (["--grid", "X.TOML"], "no grid file at X.TOML"),
        (["--timeout", "nan"], "--timeout"),
        (["--timeout", "inf"], "--timeout"),
        (["--seeds", "9" * 30], "seeds is how many"),
        (["--device", "cuda:" + "9" * 5000], "--device"),
        (["--device", "cuda:²"], "--device"),
        (["--shard", "1/" + "9" * 5000], "--shard"),
        (["--latent", "9" * 5000], "latent"),
        (["--results", "caf\udce9"], "--results holds bytes that are no UTF-8"),
        (["--dataset=\udcff"], "--dataset holds bytes that are no UTF-8"),
    ],
    ids=lambda value: ascii(" ".join(value))[:30] if isinstance(value, list) else "",
)
def test_words_are_names_and_numbers_where_they_should_be(
    words: list[str], said: str, invoke
) -> None:
    code, out, err = invoke("run", *MLP, "--latent", "4", *words, "--plan")
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def pictures(folder: str) -> None:
    """A folder of twenty small real images."""
    from PIL import Image
    from sklearn.datasets import load_digits

    Path(folder).mkdir()
    for i, image in enumerate(load_digits().images[:20]):
        Image.fromarray((image * 15).astype("uint8")).save(Path(folder, f"{i}.png"))


@pytest.mark.parametrize("name", ["2024", "nan", "mine,yours", "digits,old"])
def test_a_folder_may_be_called_as_it_likes(name: str, invoke) -> None:
    pictures(name)
    Path("X.TOML").write_text('architecture = "mlp"\nlatent = 4')
    for words in (["--architecture", "mlp", "--latent", "4"], ["--grid", "X.TOML"]):
        code, out, err = invoke(
            "run", *words, "--batch-size", "4", "--dataset", f"{name},digits", "--plan",
            "--data", "cache",
        )  # fmt: skip
        assert code == 0, err
        assert f"folder:{name.replace(',', '-')}-" in out
        assert "to do: 2 jobs" in out
