"""Classes of torchvision as data sets."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_datasets_own import GREY, LABELS, grid_of

from aebench.datasets import own
from aebench.errors import RequestError


class Made:
    """A class as torchvision's are, which remembers what it was made with."""

    def __init__(self, root: str, train: bool = True, download: bool = False, **more: Any) -> None:
        assert download
        part = slice(30) if train else slice(30, 40)
        self.items = [
            (Image.fromarray(image), int(label))
            for image, label in zip(GREY[part], LABELS[part], strict=True)
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.items[i]


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEBENCH_DATA", str(tmp_path / "data"))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """torchvision's module of datasets, to which tests add classes of their own."""
    import torchvision.datasets as module

    def add(name: str, made: type) -> None:
        real = type(name, (made, module.VisionDataset), {})
        monkeypatch.setattr(module, name, real, raising=False)

    monkeypatch.setattr(module, "add", add, raising=False)
    return module


def test_a_class_of_torchvision_by_name(
    known: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.add("Mine", Made)
    loaded, _ = grid_of("torchvision:Mine")
    assert loaded.info.name.startswith("torchvision:Mine-")
    assert np.array_equal(loaded.test, GREY[30:, None])
    assert loaded.train_labels.tolist() == LABELS[:30].tolist()
    assert loaded.source == "torchvision Mine"
    monkeypatch.delattr(known, "Mine")  # from the cache, without torchvision
    assert grid_of("torchvision:Mine")[0].sha256 == loaded.sha256
    assert grid_of(loaded.info.name)[0].sha256 == loaded.sha256


def _class(**changes: Any) -> type:
    return type("Changed", (Made,), changes)


def _needs(self: Any, root: str, split: str, download: bool = False) -> None: ...


def _alone(self: Any, root: str, download: bool = False) -> None: ...


def _fails(self: Any, root: str, train: bool = True) -> None:
    raise RuntimeError("Dataset not found\nYou can use download=True")


def _offline(self: Any, root: str, train: bool = True) -> None:
    raise OSError("no route to host")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_class(__init__=_needs), "needs split, and aebench gives no arguments"),
        (_class(__init__=_alone), "no training and test images"),
        (_class(__init__=_fails), "RuntimeError: Dataset not found"),
        (_class(__init__=_offline), "could not be had .no route to host"),
        (_class(__getitem__=lambda self, i: ("a text", 3)), "holds str, not single images"),
        (_class(__len__=lambda self: 0), "holds no images"),
    ],
)
def test_a_class_that_cannot_be_taken_is_refused(
    known: types.ModuleType, made: type, said: str
) -> None:
    known.add("Mine", made)
    with pytest.raises(RequestError, match=said):
        own.find("torchvision:Mine", Path())


@pytest.mark.parametrize(
    ("name", "said"),
    [("SVHM", "SVHN"), ("a b", "named like torchvision:SVHN"), ("EMNIST", "needs split"),
     ("wrap_dataset_for_transforms_v2", "unknown"), ("FakeData", "no training and test")],
)  # fmt: skip
def test_real_classes_are_told_apart(name: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        own.find(f"torchvision:{name}", Path())


def test_what_a_label_is_no_number_of_is_left_out(known: types.ModuleType) -> None:
    box = _class(__getitem__=lambda self, i: (self.items[i][0], {"boxes": []}))
    known.add("Mine", box)
    assert grid_of("torchvision:Mine")[0].train_labels is None
