"""Data of one's own: arrays, files and torchvision's classes, taken as meant, or refused."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import aebench
from aebench import datasets, load_grid
from aebench.datasets import adopted, arrays, cache, own
from aebench.errors import RequestError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 8, 8), np.uint8)
COLOUR = RNG.integers(0, 256, (40, 6, 8, 3), np.uint8)
LABELS = np.arange(40) % 4


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AEBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def pixels(given: Any) -> np.ndarray:
    return arrays.as_pixels(given, "mine", [])


# What arrays mean


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (GREY, GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
        (GREY.astype(np.int64), GREY[:, None]),
        (GREY / 255, GREY[:, None]),
        ((GREY / 255).astype(np.float32), GREY[:, None]),
        (torch.from_numpy(GREY / 255).requires_grad_(), GREY[:, None]),
        (GREY > 99, (GREY > 99)[:, None] * 255),
        ([[[0, 255], [9, 9]]], np.array([[[[0, 255], [9, 9]]]])),
    ],
)
def test_pixels_are_taken_as_they_are_meant(given: Any, meant: np.ndarray) -> None:
    made = pixels(given)
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    assert np.array_equal(made, meant)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (GREY.astype(float), "as of 0 to 255; divide by 255"),
        (GREY / 127.5 - 1, "as of -1 to 1"),
        ((GREY - 130.0) / 20, "not normalised"),
        (GREY.astype(int) - 1, "whole numbers from -1 to"),
        (GREY.astype(np.uint16) * 257, "16-bit pixels have to be divided by 257"),
        ((GREY > 99).astype(int), "int64 of 0 and 1 only"),
        (np.where(GREY > 99, np.nan, 0.5), "NaN or infinity"),
        (GREY.reshape(40, 64), "2 dimensions"),
        (GREY[0, 0], "1 dimensions"),
        (COLOUR[0], "looks like one image"),
        (COLOUR[None], "5 dimensions"),
        (np.zeros((9, 3, 8, 3), np.uint8), "channels first or last"),
        (np.zeros((9, 8, 8, 4), np.uint8), "leave transparency out"),
        (np.zeros((9, 8, 8, 5), np.uint8), "no 1 or 3 channels"),
        (GREY[:0], "holds no image"),
        (np.array([None, 3]), "Python objects"),
        (np.array([["a"]]), "not of numbers"),
        ([[[1, 2], [3]]], "no array of numbers"),
        (GREY + 0j, "complex128, not of numbers"),
    ],
)
def test_what_is_unclear_is_refused_with_what_to_write(given: Any, said: str) -> None:
    with pytest.raises(RequestError) as error:
        pixels(given)
    assert said in str(error.value)
    assert str(error.value).startswith("mine: ")


def test_many_floats_are_rounded_part_by_part() -> None:
    given = np.linspace(0, 1, 2500 * 4, dtype=np.float32).reshape(2500, 2, 2)
    assert np.array_equal(pixels(given)[:, 0], np.rint(given.astype(np.float64) * 255))


def test_rounding_is_told_only_where_something_is_lost() -> None:
    remarks: list[str] = []
    arrays.as_pixels((GREY / 255).astype(np.float32), "mine", remarks)
    assert remarks == []
    made = arrays.as_pixels(np.full((2, 4, 4), 0.5), "mine", remarks)
    assert remarks == ["floats were rounded to 256 levels of 0 to 1"]
    assert np.unique(made).tolist() == [128]


# In memory


def test_arrays_become_a_dataset_that_a_grid_knows() -> None:
    name = aebench.dataset("mine", GREY[:30], GREY[30:])
    assert name.startswith("array:mine-")
    loaded = datasets.load(name)
    assert np.array_equal(loaded.train, GREY[:30, None])
    assert np.array_equal(loaded.test, GREY[30:, None])
    assert loaded.info.validation_images == 3
    assert loaded.source == "array mine given in Python"
    assert name.endswith(loaded.sha256[:8])
    assert loaded.train_labels is None
    grid = load_grid(None, {"dataset": name, "architecture": "mlp", "latent": 2, "batch_size": 9})
    assert [job.dataset for job in grid.jobs] == [name]
    assert grid.notes == ()
    assert datasets.is_ours(name)


def test_other_pixels_or_another_split_are_another_dataset() -> None:
    names = [
        aebench.dataset("mine", GREY[:30], GREY[30:]),
        aebench.dataset("mine", GREY[:29], GREY[30:]),
        aebench.dataset("mine", GREY[:30], GREY[30:], validation_images=9),
    ]
    assert len(set(names)) == 3
    assert datasets.load(names[2]).info.validation_images == 9
    assert aebench.dataset("mine", GREY[:30] / 255, GREY[30:], validation_images=3) == names[0]


def test_without_test_images_a_tenth_is_taken_out_with_its_labels() -> None:
    name = aebench.dataset("mine", GREY, train_labels=LABELS)
    loaded = datasets.load(name)
    assert (len(loaded.train), len(loaded.test)) == (36, 4)
    both = np.concatenate([loaded.train, loaded.test])[:, 0]
    places = [int(np.flatnonzero((image == GREY).all((1, 2)))[0]) for image in both]
    assert sorted(places) == list(range(40))
    assert places != list(range(40))
    labels = np.concatenate([loaded.train_labels, loaded.test_labels])
    assert labels.tolist() == LABELS[places].tolist()
    assert labels.dtype == np.int64
    grid = load_grid(None, {"dataset": name, "architecture": "mlp", "latent": 2, "batch_size": 9})
    assert "4 of 40 images were taken out for testing" in grid.notes[0]


def test_texts_are_labels_with_names() -> None:
    words = np.array(["cat", "dog", "bee", "cat"])[LABELS]
    loaded = datasets.load(
        aebench.dataset("mine", GREY[:30], GREY[30:], train_labels=words[:30],
                        test_labels=words[30:])
    )  # fmt: skip
    assert loaded.classes == ("bee", "cat", "dog")
    assert [loaded.classes[i] for i in loaded.test_labels] == list(words[30:])


def test_labels_are_read_when_they_are_asked_for(data: Path) -> None:
    name = aebench.dataset("mine", GREY, train_labels=LABELS)
    folder = adopted.cache_folder(name, data)
    loaded = datasets.load(name)
    (folder / "train_labels.npy").write_bytes(b"spoilt")
    with pytest.raises(RequestError, match="labels of the train images"):
        _ = loaded.train_labels
    assert datasets.load(name).sha256 == loaded.sha256


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"test": GREY[:, :4]}, "1 x 8 x 8, test images 1 x 4 x 8"),
        ({"test": COLOUR}, "3 x 6 x 8"),
        ({"test": GREY, "train_labels": LABELS}, "labels of one part only"),
        ({"train_labels": LABELS[:9]}, "40 images need as many labels"),
        ({"train_labels": LABELS / 2}, "whole numbers or texts, not float64"),
        ({"test_labels": LABELS}, "no test images"),
        ({"test": GREY, "validation_images": 40}, "validation_images is 40"),
        ({"train": GREY[:19]}, "at least 20 are needed"),
        ({"name": " "}, "needs a name"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(more: dict, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        aebench.dataset(**{"name": "mine", "train": GREY} | more)


def test_a_name_that_nobody_has_stored_is_told() -> None:
    with pytest.raises(RequestError, match="not in the data cache"):
        load_grid(None, {"dataset": "array:lost-12345678", "architecture": "mlp", "latent": 2})


# Files


def grid_of(name: str) -> tuple[cache.Dataset, tuple[str, ...]]:
    """The dataset that ``--dataset NAME`` means, and what is said of it."""
    grid = load_grid(None, {"dataset": name, "architecture": "mlp", "latent": 2, "batch_size": 9})
    return datasets.load(grid.jobs[0].dataset), grid.notes


@pytest.mark.parametrize("keys", [("train", "test", "train_labels", "test_labels"),
                                  ("x_train", "x_test", "y_train", "y_test")])  # fmt: skip
def test_an_npz_with_both_parts(keys: tuple[str, ...]) -> None:
    values = (COLOUR[:30], COLOUR[30:], LABELS[:30], LABELS[30:])
    np.savez_compressed("Mine 1.npz", **dict(zip(keys, values, strict=True)), other=np.zeros(3))
    loaded, notes = grid_of("Mine 1.npz")
    assert loaded.info.name.startswith("file:Mine-1-")
    assert loaded.info.image_shape == (3, 6, 8)
    assert np.array_equal(loaded.test, COLOUR[30:].transpose(0, 3, 1, 2))
    assert loaded.test_labels.tolist() == LABELS[30:].tolist()
    assert loaded.source == "images of the file Mine 1.npz"
    assert notes == ()


def test_one_array_is_split() -> None:
    np.savez("one.npz", images=GREY, labels=LABELS)
    np.save("one.npy", GREY)
    (first, notes), (second, _) = grid_of("one.npz"), grid_of("./one.npy")
    assert first.info.name == second.info.name
    assert "4 of 40 images" in notes[0]


def test_a_file_is_read_again_only_once_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    from aebench.datasets import files

    np.save("one.npy", GREY)
    before = grid_of("one.npy")[0].info.name
    with monkeypatch.context() as patched:
        patched.setattr(files, "read", lambda path: pytest.fail("read again"))
        assert grid_of("one.npy")[0].info.name == before
    np.save("one.npy", GREY[:30])
    assert grid_of("one.npy")[0].info.name != before


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("hub", [False, True])
def test_parquet_of_encoded_images_with_a_declared_split(hub: bool) -> None:
    encoded = [png(image) for image in COLOUR]
    cells = [{"bytes": e, "path": "a.png"} for e in encoded] if hub else encoded
    split = ["test" if i % 4 == 0 else "train" for i in range(40)]
    pq.write_table(pa.table({"image": cells, "label": LABELS, "split": split}), "mine.parquet")
    loaded, _ = grid_of("mine.parquet")
    wanted = COLOUR.transpose(0, 3, 1, 2)
    assert np.array_equal(loaded.test, wanted[::4])
    assert len(loaded.train) == 30
    assert loaded.test_labels.tolist() == LABELS[::4].tolist()


class Evil:
    """Leaves a trace if it is ever loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def _objects(name: str) -> None:
    np.savez(name, train=np.array([Evil()], dtype=object), test=GREY)


def _pickle(name: str) -> None:
    import pickle

    Path(name).write_bytes(pickle.dumps(Evil()))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a.npz", _objects, "holds Python objects"),
        ("a.npy", _pickle, "holds Python objects"),
        ("a.npz", lambda name: np.savez(name, weights=GREY), "holds weights; expected train"),
        ("a.npz", lambda name: np.savez(name, train=GREY / 1.0, test=GREY), "train: floats from"),
        ("a.npy", lambda name: Path(name).write_bytes(b"no array"), "damaged, or no NumPy|objects"),
        ("a.npy", lambda name: Path(name).mkdir(), "no file"),
        ("a.npy", lambda name: None, "cannot be read|not found"),
        ("a.parquet", lambda name: Path(name).write_bytes(b"no table"), "no Parquet file"),
        ("a.parquet", lambda name: pq.write_table(pa.table({"a": [1]}), name), r"a \(int64\)"),
        ("a.parquet", lambda name: pq.write_table(pa.table({"image": ["x"]}), name), "not encoded"),
        (
            "a.parquet",
            lambda name: pq.write_table(pa.table({"image": [png(GREY[0]), b"x"]}), name),
            "row 1 .from 0. is no readable image",
        ),
        (
            "a.parquet",
            lambda name: pq.write_table(
                pa.table({"image": [png(GREY[0])] * 2, "split": ["train", "dev"]}), name
            ),
            "dev, train; expected train and test",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(
    name: str, make: Callable[[str], None], said: str
) -> None:
    make(name)
    with pytest.raises(RequestError, match=said):
        own.find(name, Path())
    assert not Path("executed").exists()


def test_the_command_says_what_is_wrong_and_keeps_paths_out_of_records(
    invoke: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    np.save(tmp_path / "mine.npy", GREY / 1.0)
    words = ["run", "--architecture", "mlp", "--latent", "2", "--batch-size", "9", "--plan"]
    code, _, err = invoke(*words, "--dataset", "mine.npy")
    assert code == 2
    assert "divide by 255" in err
    np.save(tmp_path / "mine.npy", GREY)
    code, out, err = invoke(*words, "--dataset", str(tmp_path / "mine.npy"))
    assert code == 0, err
    assert "file:mine-" in out
    from aebench.cli import axes

    path = str(tmp_path / "mine.npy")
    sys.argv = ["aebench", "run", "--dataset", path]
    assert str(tmp_path) not in axes.command(path, [path], None)
