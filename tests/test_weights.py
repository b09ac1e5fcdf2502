"""Kept weights: stored whole, found by key or fields, and with the recorded error to the bit."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import environment
from PIL import Image
from torch import nn

import aebench
from aebench import architectures, worker
from aebench.errors import RequestError
from aebench.job import Job
from aebench.models import tensors, weights
from aebench.records import Circumstances
from aebench.store import Store, kept, merging

Invoke = Callable[..., tuple[int, str, str]]


pytestmark = pytest.mark.usefixtures("one_thread")


def job(architecture: str = "mlp", **fields: object) -> Job:
    usual = {"dataset": "digits", "latent": 3, "epochs": 1}
    return Job.create(architecture=architecture, **usual | fields)


def trained(results: Path, *jobs: Job, keep_weights: bool = True) -> Store:
    store = Store(results)
    store.prepare()
    for each in jobs:
        where = Circumstances(keep_weights=keep_weights)
        store.write(worker.run_job(each, where, results=results))
    return store


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with weights, and one without."""
    folder = tmp_path_factory.mktemp("kept")
    trained(folder, job(), job("conv"))
    trained(folder, job(seed=1), keep_weights=False)
    return folder


TELL = """
import json, sys, torch, aebench
from aebench.datasets import pool
from aebench.evaluation.reconstruction import measure
jobs = aebench.read(sys.argv[1]).jobs
test = pool.load("digits", 0, None).pool.test
for threads in (1, 2):
    torch.set_num_threads(threads)
    print(json.dumps({
        key: measure(aebench.load(sys.argv[1], key), test, torch.device("cpu")).mse
        for key in jobs["key"][jobs["weights_sha256"] != ""]
    }))
"""


@pytest.mark.slow
def test_a_fresh_process_finds_the_recorded_error_to_the_last_bit(results: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TELL, results], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    same, more = map(json.loads, done.stdout.splitlines())
    jobs = aebench.read(results).jobs
    recorded = dict(zip(jobs["key"], jobs["mse"], strict=True))
    assert len(same) == 2
    assert same == {key: recorded[key] for key in same}
    assert more == pytest.approx(same, rel=1e-5)


def test_what_is_loaded_is_ready_for_use(results: Path) -> None:
    model = aebench.load(results, architecture="conv")
    assert not any(module.training for module in model.modules())
    assert {(p.dtype, p.device.type) for p in model.parameters()} == {(torch.float32, "cpu")}


def test_the_file_describes_its_job_and_is_stored_the_same_each_time(
    results: Path, tmp_path: Path
) -> None:
    path = kept.weights(results, job().key)
    _, about = tensors.decode(path.read_bytes())
    assert Job(**about["job"]) == job()
    assert (about["key"], about["image"]) == (job().key, [1, 8, 8])
    trained(tmp_path, job())
    assert kept.weights(tmp_path, job().key).read_bytes() == path.read_bytes()
    row = aebench.read(tmp_path).jobs.iloc[0]
    assert row["weights_sha256"] == kept.sha256(path) != ""


def test_without_being_asked_nothing_is_kept(results: Path) -> None:
    assert not kept.weights(results, job(seed=1).key).exists()
    jobs = aebench.read(results).jobs.set_index("key")
    assert jobs.loc[job(seed=1).key, "weights_sha256"] == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, ["2 jobs", "any job", "digits mlp-3", "digits conv-3"]),
        ({"dataset": "digits"}, ["2 jobs", "dataset=digits"]),
        ({"architecture": "conv", "latent": 4}, ["no job", "latent=4", "digits conv-3"]),
        ({"seed": 1}, ["its weights were not kept", "--retrain", "digits mlp-3"]),
        ({"latents": 4}, ["unknown field", "'latent'"]),
        ({"key": "f" * 16}, ["no job", "f" * 16]),
    ],
)
def test_what_names_no_model_or_several_is_told_with_what_there_is(
    results: Path, asked: dict, said: list[str]
) -> None:
    with pytest.raises(RequestError) as error:
        aebench.load(results, **asked)
    assert all(word in str(error.value) for word in said), error.value


def test_a_key_may_be_begun_and_fields_added(results: Path) -> None:
    assert weights.find(results, job().key[:6]).job == job()
    assert weights.find(results, job().key, latent=3).job == job()
    assert weights.find(results, architecture="mlp", seed=0).mse > 0


def test_a_folder_without_results_is_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no results"):
        aebench.load(tmp_path)


@pytest.mark.parametrize("spoil", ["missing", "cut", "another's"])
def test_a_file_that_is_not_the_record_s_is_refused_and_named(
    results: Path, tmp_path: Path, spoil: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(results, folder)
    path = kept.weights(folder, job().key)
    content = path.read_bytes()
    path.unlink()
    if spoil == "cut":
        path.write_bytes(content[:-1])
    elif spoil == "another's":
        shutil.copy(kept.weights(folder, job("conv").key), path)
    word = "cannot be read" if spoil == "missing" else "damaged, or holds"
    with pytest.raises(RequestError, match=word):
        aebench.load(folder, job().key)
    jobs = Store(folder).survey().jobs
    found = kept.problems(folder, dict(zip(jobs["key"], jobs["weights_sha256"], strict=True)))
    assert [problem.path for problem in found] == [path]


def test_a_full_disk_costs_the_weights_and_not_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights, "write_whole", full)
    trained(tmp_path, job())
    row = aebench.read(tmp_path).jobs.iloc[0]
    assert row["status"] == "ok"
    assert row["mse"] > 0
    assert row["weights_sha256"] == ""
    assert row["keeping_note"] == "weights not kept: No space left on device"
    with pytest.raises(RequestError, match="No space left on device"):
        aebench.load(tmp_path)


@pytest.mark.slow
def test_a_run_says_that_weights_could_not_be_kept(tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "weights").write_text("where a folder should be")
    words = ["run", "--architecture", "mlp", "--latent", "3", "--dataset", "digits", "--engine"]
    words += ["eager", "--epochs", "1", "--device", "cpu", "--results", "r", "--keep-weights"]
    code, out, err = invoke(*words)
    assert code == 1
    assert "digits mlp-3" in out
    assert "1 job: weights not kept: File exists" in err
    assert aebench.read(tmp_path / "r").jobs["status"].tolist() == ["ok"]
    assert invoke(*words[:-1])[0] == 0  # who does not ask for weights lacks nothing


# Users' models


class Odd(nn.Module):
    """Shared weights, a buffer that no state dict has, one of another type, and no gradient."""

    def __init__(self, shape: tuple[int, int, int], latent: int) -> None:
        super().__init__()
        numbers = shape[0] * shape[1] * shape[2]
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(numbers, latent), nn.Linear(3, 3))
        self.encoder.append(self.encoder[2])
        self.decoder = nn.Sequential(nn.BatchNorm1d(latent), nn.Linear(latent, numbers))
        self.decoder.append(nn.Unflatten(1, shape))
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen += 0.01
        return self.decoder(self.encoder(images)) + self.seen


def odd(shape: tuple[int, int, int], latent: int, depth: int) -> nn.Module:
    """A model that is not easy to keep."""
    return Odd(shape, latent)


@pytest.fixture
def own() -> None:
    aebench.architecture("odd", version="1")(odd)


def test_a_model_is_kept_with_all_that_it_is_made_of(own: None, tmp_path: Path) -> None:
    trained(tmp_path, job("odd"))
    model = aebench.load(tmp_path)
    assert isinstance(model, Odd)
    assert float(model.seen) > 0
    assert int(model.decoder[0].num_batches_tracked) > 0
    from aebench.datasets import pool
    from aebench.evaluation.reconstruction import measure

    test = pool.load("digits", 0, None).pool.test
    recorded = aebench.read(tmp_path).jobs["mse"].iloc[0]
    assert measure(model, test, torch.device("cpu")).mse == recorded


def test_weights_need_the_code_that_they_were_trained_with(own: None, tmp_path: Path) -> None:
    trained(tmp_path, job("odd"))
    aebench.architecture("odd", version="2")(odd)
    with pytest.raises(RequestError, match="not that which these weights were trained with"):
        aebench.load(tmp_path)
    del architectures.registry._registry["odd"]
    with pytest.raises(RequestError, match="--plugin"):
        aebench.load(tmp_path)


def test_numbers_lie_in_memory_as_they_lay() -> None:
    conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    content = tensors.encode(tensors.of_model(conv), {})
    fresh = nn.Conv2d(3, 4, 3)
    tensors.put(tensors.decode(content)[0], fresh)
    assert fresh.weight.stride() == conv.weight.stride() != nn.Conv2d(3, 4, 3).weight.stride()
    assert torch.equal(fresh.weight, conv.weight)


@pytest.mark.parametrize("at", [-1, 200])
def test_one_changed_byte_is_noticed(at: int) -> None:
    content = bytearray(tensors.encode({"a": torch.arange(64.0)}, {"what": "x" * 500}))
    content[at] ^= 1
    with pytest.raises(tensors.Unreadable):
        tensors.decode(bytes(content))


# Merging, checking, training again


def test_merge_brings_the_weights_of_the_records_that_count(results: Path, tmp_path: Path) -> None:
    bare, into = tmp_path / "bare", tmp_path / "into"
    shutil.copytree(results, bare)
    shutil.rmtree(bare / kept.WEIGHTS)  # the same records: the weights are in one folder alone
    done = merging.merge([bare, results], into)
    assert done.problems == []
    assert {p.name for p in (into / kept.WEIGHTS).iterdir()} == {
        p.name for p in (results / kept.WEIGHTS).iterdir()
    }
    assert aebench.load(into, job().key)


def test_merge_leaves_the_weights_of_a_record_that_gave_way(results: Path, tmp_path: Path) -> None:
    later, into = tmp_path / "later", tmp_path / "into"
    trained(later, job(), keep_weights=False)
    merging.merge([results, later], into)
    assert kept.keys(into, kept.WEIGHTS) == {job("conv").key}


def test_merge_names_weights_that_are_missing(results: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(results, bare)
    kept.weights(bare, job().key).unlink()
    (problem,) = merging.merge([bare], tmp_path / "into").problems
    assert job().key in str(problem)


def test_check_names_weights_without_a_record(
    results: Path, tmp_path: Path, invoke: Invoke
) -> None:
    shutil.copytree(results, tmp_path / "copy")
    stray = kept.weights(tmp_path / "copy", "0" * 16)
    shutil.copy(kept.weights(results, job().key), stray)
    _, _, err = invoke("check", "copy")
    assert f"{stray.name}: weights without a record" in err.replace("\n", "")
    assert err.count("warning:") == 1


def test_show_says_of_how_many_models_there_are_weights(results: Path, invoke: Invoke) -> None:
    _, out, _ = invoke("show", str(results))
    assert "weights kept of 2" in out


@pytest.mark.slow
def test_a_finished_job_without_weights_is_trained_again_only_if_asked(
    results: Path, tmp_path: Path, invoke: Invoke
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(results, folder)
    words = ["run", "--architecture", "mlp", "--latent", "3", "--dataset", "digits"]
    words += ["--epochs", "1", "--seeds", "2", "--device", "cpu", "--results", "copy"]
    words += ["--engine", "eager"]
    code, out, err = invoke(*words, "--keep-weights", "--plan")
    assert code == 0
    assert "1 finished job without kept weights: not trained again" in err
    assert "to do: 0 jobs" in out
    _, out, err = invoke(*words, "--keep-weights", "--retrain", "--plan")
    assert "trained again to keep their weights" in err
    assert "to do: 1 job" in out
    code, _, err = invoke(*words, "--retrain")
    assert (code, "--keep-weights" in err) == (2, True)
    code, _, err = invoke(*words, "--keep-weights", "--retrain")
    assert code == 0, err
    assert weights.find(folder, seed=1).job == job(seed=1)
    assert weights.find(folder, seed=0, architecture="mlp").job == job()


# Images of one's own


def draw(path: Path, size: tuple[int, int] = (8, 8), mode: str = "L") -> np.ndarray:
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def test_apply_reconstructs_images_and_tells_their_errors(
    results: Path, tmp_path: Path, invoke: Invoke
) -> None:
    pixels = draw(tmp_path / "mine" / "a.png")
    draw(tmp_path / "mine" / "below" / "a.bmp")
    draw(tmp_path / "single.png")
    (tmp_path / "mine" / "notes.txt").write_text("no image")
    code, out, err = invoke(
        "apply", str(results), "architecture=conv", "mine", "single.png", "--output", "out"
    )
    assert code == 0, err
    assert "left out notes.txt" in err
    made = sorted(p.relative_to("out").as_posix() for p in Path("out").rglob("*.png"))
    assert made == ["a.png", "below/a.png", "single.png"]
    table = (tmp_path / "out" / "errors.csv").read_text().splitlines()
    assert table[0] == "image,output,mse,psnr_db"
    image = torch.from_numpy(pixels)[None, None] / 255
    output = aebench.load(results, architecture="conv")(image).detach()
    mse = float((output - image).double().square().mean())
    assert table[1].split(",")[:2] == ["a.png", "a.png"]
    assert float(table[1].split(",")[2]) == pytest.approx(mse, rel=1e-6)
    with Image.open("out/a.png") as shown:
        levels = (output[0, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        assert np.abs(np.asarray(shown).astype(int) - levels).max() <= 1
    assert "a.png" in out


@pytest.mark.parametrize(
    ("size", "mode", "said"),
    [
        ((9, 8), "L", "9 x 8 in grey"),
        ((8, 8), "RGB", "8 x 8 in colour"),
        ((80, 90), "RGB", "80 x 90 in colour"),
    ],
)
def test_other_images_are_refused_unless_they_are_to_be_resized(
    results: Path, tmp_path: Path, invoke: Invoke, size: tuple[int, int], mode: str, said: str
) -> None:
    draw(tmp_path / "big.png", size, mode)
    words = ["apply", str(results), job().key, "big.png", "--output", "out"]
    code, _, err = invoke(*words)
    assert code == 2
    assert said in err
    assert "takes 8 x 8 in grey" in err
    assert not Path("out").exists()
    assert invoke(*words, "--resize")[0] == 0
    with Image.open("out/big.png") as made:
        assert (made.size, made.mode) == ((8, 8), "L")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.png", "--output", "out"], "no image or folder"),
        (["a.txt", "--output", "out"], "no image can be read"),
        (["a.png", "--output", "."], "would replace an image"),
        (["a.png", "--output", "a.txt"], "cannot write to"),
    ],
)
def test_apply_refuses_in_one_sentence(
    results: Path, tmp_path: Path, invoke: Invoke, words: list[str], said: str
) -> None:
    before = draw(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("text")
    code, _, err = invoke("apply", str(results), job().key, *words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    with Image.open(tmp_path / "a.png") as there:
        assert np.array_equal(np.asarray(there), before)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("architecture=nothing", "no job"),
        ("latent=many", "latent is a number"),
        ("aa,bb", "one key, or fields"),
        ("widths=3", "unknown field"),
    ],
)
def test_a_model_that_is_not_there_is_told(
    results: Path, tmp_path: Path, invoke: Invoke, model: str, said: str
) -> None:
    draw(tmp_path / "a.png")
    code, _, err = invoke("apply", str(results), model, "a.png", "--output", "out")
    assert (code, said in err) == (2, True), err
