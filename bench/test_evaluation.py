"""What surrounds training: measuring errors on the test set, and having the data at hand.

Both run beside what a user of torchvision writes for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from aebench import datasets
from aebench.architectures.autoencoder import build
from aebench.datasets import Dataset
from aebench.evaluation import reconstruction
from bench import idx
from bench.conftest import SideBySide
from bench.test_training import BATCH, CASES


@pytest.fixture(scope="module")
def torchvision_folder(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return idx.write(mnist, tmp_path_factory.mktemp("torchvision"))


@pytest.mark.parametrize("case", CASES)
def test_evaluation(
    case: str,
    device: torch.device,
    mnist: Dataset,
    torchvision_folder: Path,
    side_by_side: SideBySide,
) -> None:
    """Study error and MSE of 10,000 test images, beside a loop over a DataLoader."""
    model = build(CASES[case].job("eager"), (1, 28, 28)).model.to(device)
    test = torch.from_numpy(mnist.test.copy()).to(device)
    theirs = torchvision.datasets.MNIST(torchvision_folder, train=False, transform=ToTensor())
    found: dict[str, float] = {}

    def loop() -> None:
        total = 0.0
        with torch.no_grad():
            for image, _ in DataLoader(theirs, batch_size=BATCH, drop_last=True):
                image = image.to(device)
                total += mse_loss(model(image), image).item()
        found["loop"] = total

    def ours() -> None:
        found["ours"] = reconstruction.measure(model, test, device).study_error

    side_by_side(
        ("evaluation", case, "reconstruction.measure", "DataLoader loop"),
        ours,
        loop,
        unit="images",
        units=len(test),
        device=device,
    )
    assert found["ours"] == pytest.approx(found["loop"], rel=1e-4)


def test_data_start_up(
    device: torch.device, mnist: Dataset, torchvision_folder: Path, side_by_side: SideBySide
) -> None:
    """From the cache to a split that lies on the device, beside torchvision's two constructors."""

    def ours() -> None:
        data = datasets.load("mnist")
        train, _ = datasets.split(len(data.train), data.info.validation_images, 0)
        torch.from_numpy(data.train[train]).to(device)
        torch.from_numpy(data.test.copy()).to(device)

    def constructors() -> None:
        for train in (True, False):
            torchvision.datasets.MNIST(torchvision_folder, train=train)

    side_by_side(
        ("data start-up", "mnist", "datasets.load", "torchvision MNIST"),
        ours,
        constructors,
        unit="images",
        units=len(mnist.train) + len(mnist.test),
        device=device,
    )
