"""``aebench data``: list, fetch, verify, add; and what is said when nothing can be had."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from aebench import datasets
from aebench.datasets import catalogue
from aebench.datasets.catalogue import digits as pixels
from aebench.evaluation import baselines
from bench import idx


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits as a dataset `elsewhere` that must be fetched, from sources that lack it."""
    monkeypatch.setattr(catalogue, "_INFOS", dict(catalogue._INFOS))
    monkeypatch.setenv("PATH", "")  # no npm
    sources = (datasets.Source("system", "nowhere"), datasets.Source("npm", "no-such", "1.0.0"))
    digits = datasets.info("digits")
    datasets.register(dataclasses.replace(digits, name="elsewhere", sources=sources))


def idx_files(folder: Path, alter: int = 0) -> Path:
    """The digits as people have MNIST: two idx files; `alter` is added to the last pixel."""
    folder.mkdir()
    for part, images in zip(("train", "t10k"), pixels(), strict=True):
        images = images.copy()
        images[-1, -1, -1, -1] += alter
        idx.write_file(folder / f"{part}-images-idx3-ubyte", images[:, 0])
    return folder


def test_list_names_every_dataset_and_makes_nothing(invoke) -> None:
    code, out, err = invoke("data", "list", "--data", "cache")
    assert (code, err) == (0, "")
    lines = {words[1]: words for line in out.splitlines() if len(words := line.split()) > 2}
    assert set(datasets.names()) <= set(lines)
    assert "absent" in lines["mnist"]
    assert {"1,257", "180", "360"} <= set(lines["digits"])
    assert not Path("cache").exists()


def test_fetch_where_nothing_must_be_downloaded(invoke) -> None:
    code, out, err = invoke("data", "fetch", "digits", "--data", "cache")
    assert (code, err) == (0, "")
    assert out.startswith("digits: ready, source: ")
    assert invoke("data", "verify", "digits", "--data", "cache")[0] == 0


def test_added_files_are_verified_kept_and_found_damaged_later(tmp_path: Path, invoke) -> None:
    files = idx_files(tmp_path / "files")
    code, out, err = invoke("data", "add", "elsewhere", str(files), "--data", "cache")
    assert (code, err) == (0, "")
    assert f"sha256 {datasets.info('elsewhere').sha256}" in out
    code, out, _ = invoke("data", "fetch", "elsewhere", "--data", "cache")
    assert code == 0
    assert "given by the user" in out
    code, out, _ = invoke("data", "verify", "--data", "cache")  # all that are there
    assert code == 0
    assert out.startswith("elsewhere: ready")
    stored = Path("cache/elsewhere/test.npy")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    code, out, err = invoke("data", "verify", "--data", "cache")
    assert (code, err) == (1, "")
    assert "elsewhere: damaged (the checksum of test.npy differs)" in out


def test_verify_looks_at_the_curves_of_pca_as_well(invoke) -> None:
    split = baselines.Split("ab" * 32, seed=0, train_images=1257)
    baselines.write(Path("cache"), split, [0.5, 0.25, 0.125])
    path = baselines.path_of(Path("cache"), split)
    code, out, err = invoke("data", "verify", "--data", "cache")
    assert (code, err) == (0, "")
    assert f"{path.name}: ready" in out
    before, text = path.stat(), path.read_text()
    path.write_text(text.replace("0.25", "0.24"))
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    code, out, err = invoke("data", "verify", "--data", "cache")
    assert (code, err) == (1, "")
    assert f"{path.name}: damaged (its checksum differs); it is computed anew" in out


@pytest.mark.parametrize("words", [["list"], ["verify"], ["verify", "digits"], ["fetch", "digits"]])
def test_a_cache_that_cannot_be_is_no_traceback(invoke, words: list[str]) -> None:
    code, out, err = invoke("data", *words, "--data", "x" * 300)
    if words[0] == "fetch":
        assert code == 2
        assert "cannot write to the data folder" in err
    else:
        assert code == (1 if len(words) > 1 else 0)
        assert "Traceback" not in out + err


def test_add_refuses_one_other_pixel(tmp_path: Path, invoke) -> None:
    files = idx_files(tmp_path / "files", alter=1)
    code, out, err = invoke("data", "add", "elsewhere", str(files), "--data", "cache")
    assert (code, out) == (2, "")
    assert "pixels have sha256" in err
    code, out, _ = invoke("data", "verify", "elsewhere", "--data", "cache")
    assert code == 1  # absent is what was asked for and is not there
    assert "elsewhere: absent" in out


@pytest.mark.parametrize(
    "command",
    [
        ["data", "fetch", "elsewhere"],
        ["run", "--architecture", "mlp", "--latent", "4", "--dataset", "elsewhere"],
    ],
    ids=lambda command: command[0],
)
def test_a_download_that_cannot_work_names_each_source(command: list[str], invoke) -> None:
    code, out, err = invoke(*command, "--data", "cache")
    assert (code, out) == (2, "")
    for source in ("cache: not there", "system folder nowhere: ", "npm no-such 1.0.0: "):
        assert source in err
    assert "aebench data add elsewhere PATH" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fetch", "mnits"], "did you mean 'mnist'?"),
        (["fetch", "elsewhere", "mnits"], "did you mean 'mnist'?"),
        (["verify", "mnits"], "did you mean 'mnist'?"),
        (["add", "mnits", "file"], "did you mean 'mnist'?"),
        (["add", "mnist", "missing"], "no file or folder missing"),
        (["add", "mnist", "file"], "file is of no known kind"),
        (["add", "mnist", "other.npz"], "60,000 x 1 x 28 x 28"),
        (["add", "elsewhere", "files", "--data", "file/cache"], "another with --data DIR"),
        (["fetch"], "Missing argument"),
        (["delete"], "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_message_and_2(words: list[str], said: str, invoke) -> None:
    Path("file").write_text("no data set")
    np.savez("other.npz", x_train=np.zeros((3, 8, 8), "u1"), x_test=np.zeros((3, 8, 8), "u1"))
    idx_files(Path("files"))
    code, out, err = invoke("data", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
