"""Datasets of the cache on their way to the cache of another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from aebench import datasets
from aebench.datasets import shipping
from aebench.errors import RequestError


@pytest.fixture
def sent(tmp_path: Path) -> tuple[shipping.Parcel, dict[str, bytes]]:
    datasets.load("digits", tmp_path / "here")
    folder = datasets.cached_folder("digits", tmp_path / "here")
    assert folder is not None
    return shipping.pack(folder)


def test_what_arrives_is_the_dataset_with_its_labels(
    sent: tuple[shipping.Parcel, dict[str, bytes]], tmp_path: Path
) -> None:
    parcel, files = sent
    assert shipping.unpack(parcel, lambda: files, tmp_path / "there")
    there = datasets.cached("digits", tmp_path / "there")
    assert there is not None
    assert (there.train == datasets.load("digits", tmp_path / "here").train).all()
    assert there.train_labels is not None


def test_what_is_there_whole_is_not_fetched(
    sent: tuple[shipping.Parcel, dict[str, bytes]], tmp_path: Path
) -> None:
    parcel, files = sent
    shipping.unpack(parcel, lambda: files, tmp_path / "there")
    assert not shipping.unpack(parcel, lambda: pytest.fail("fetched"), tmp_path / "there")


@pytest.mark.parametrize("how", ["damaged", "removed", "unfinished"])
def test_what_is_there_in_part_is_fetched_again(
    sent: tuple[shipping.Parcel, dict[str, bytes]], tmp_path: Path, how: str
) -> None:
    parcel, files = sent
    shipping.unpack(parcel, lambda: files, tmp_path / "there")
    name = "meta.json" if how == "unfinished" else "train.npy"
    path = tmp_path / "there" / "digits" / name
    if how == "damaged":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    else:
        path.unlink()
    assert shipping.unpack(parcel, lambda: files, tmp_path / "there")
    assert datasets.cached("digits", tmp_path / "there") is not None


def test_what_comes_damaged_is_not_kept(
    sent: tuple[shipping.Parcel, dict[str, bytes]], tmp_path: Path
) -> None:
    parcel, files = sent
    damaged = files | {"test.npy": files["test.npy"][:-1]}
    with pytest.raises(RequestError, match=r"test\.npy of digits came damaged"):
        shipping.unpack(parcel, lambda: damaged, tmp_path / "there")
    assert datasets.cached("digits", tmp_path / "there") is None
