"""What codes hold: a probe as scikit-learn's, labels that belong to the pixels, maps and grids."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import aebench
from aebench import datasets, schema
from aebench.architectures.autoencoder import Autoencoder
from aebench.datasets import cache, pool, sources
from aebench.datasets.pool import Labels, Splits
from aebench.evaluation import accuracies, baselines, codes
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Record, Store
from aebench.worker import run_job

CPU = torch.device("cpu")
MNIST_TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data cache."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def digits(folder: Path) -> Splits:
    return pool.load("digits", 3, folder)


def numbers_of(images: Tensor) -> NDArray[np.float64]:
    return images.flatten(1).numpy() / 255.0


def labels_of(splits: Splits) -> Labels:
    assert isinstance(splits.pool.labels, Labels)
    return splits.pool.labels


def subject(splits: Splits, model: nn.Module, bottleneck: int, folder: Path) -> codes.Subject:
    split = baselines.Split(splits.pool.sha256, 3, len(splits.train))
    return codes.Subject(model, bottleneck, splits, split, folder, CPU)


def linear(numbers: int, decoder: nn.Module | None = None) -> nn.Module:
    """A linear model of digits that was never trained."""
    torch.manual_seed(1)
    up = nn.Sequential(nn.Linear(numbers, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
    return Autoencoder(nn.Sequential(nn.Flatten(), nn.Linear(64, numbers)), decoder or up)


def scikit() -> LogisticRegression:
    return LogisticRegression(C=codes.INVERSE_PENALTY, max_iter=2_000, tol=1e-7)


# The probe


def test_the_probe_is_scikit_learns(digits: Splits, folder: Path) -> None:
    """On codes computed apart from ours, in float64."""
    model, labels = linear(12), labels_of(digits)
    layer = model.get_submodule("encoder")[1]  # type: ignore[index]
    weight, bias = (t.detach().double().numpy() for t in (layer.weight, layer.bias))
    train = numbers_of(digits.train) @ weight.T + bias
    test = numbers_of(digits.pool.test) @ weight.T + bias
    names = labels.images[digits.indices].numpy()
    oracle = make_pipeline(StandardScaler(), scikit()).fit(train, names)

    ours = [codes.encode(model, images, CPU) for images in (digits.train, digits.pool.test)]
    assert np.allclose(ours[1].numpy(), test, atol=1e-5)
    found = codes.predicted(ours[0], torch.from_numpy(names), ours[1], tolerance=1e-6)
    assert (found.numpy() == oracle.predict(test)).mean() > 0.995

    made = codes.look(subject(digits, model, 12, folder)).columns
    assert made["code_accuracy"] == pytest.approx(oracle.score(test, labels.test.numpy()), abs=0.01)
    assert 0.5 < made["code_accuracy"] < made["pca_code_accuracy"]
    assert made["code_note"] == ""


def test_pca_codes_are_probed_alike_and_once(
    digits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, asked = labels_of(digits), subject(digits, linear(6), 6, tmp_path)
    names = labels.images[digits.indices].numpy()
    oracle = make_pipeline(PCA(6, svd_solver="full"), StandardScaler(), scikit())
    oracle.fit(numbers_of(digits.train), names)
    expected = oracle.score(numbers_of(digits.pool.test), labels.test.numpy())
    accuracy = codes.pca_accuracy(asked, labels)
    assert accuracy == pytest.approx(expected, abs=0.01)

    (path,) = (tmp_path / "baselines").glob("probe-*.json")
    assert accuracies.verify(tmp_path) == {path.name: ""}
    probe = codes.linear_probe
    monkeypatch.setattr(codes, "linear_probe", lambda *_: pytest.fail("it was kept"))
    assert codes.pca_accuracy(asked, labels) == accuracy
    monkeypatch.setattr(codes, "linear_probe", probe)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"accuracy": 0.999}))
    assert accuracies.verify(tmp_path) == {path.name: "its checksum differs"}
    assert codes.pca_accuracy(asked, labels) == accuracy
    assert accuracies.verify(tmp_path) == {path.name: ""}
    # Other labels of the same images are another question.
    others = Labels(labels.images, labels.test.flip(0))
    assert codes.pca_accuracy(asked, others) < accuracy - 0.2


def test_shuffled_labels_are_not_read(digits: Splits) -> None:
    labels = labels_of(digits)
    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(0))
    names = labels.images[digits.indices]
    train, test = (images.flatten(1) / 255 for images in (digits.train, digits.pool.test))
    assert codes.linear_probe(train, names, test, labels.test) > 0.85
    assert codes.linear_probe(train, names[order], test, labels.test) == pytest.approx(
        0.1, abs=0.07
    )


def test_rounding_in_a_number_that_never_changes_is_no_sign_of_anything() -> None:
    labels = torch.arange(200) % 2
    code = torch.stack([labels * 2.0 - 1, torch.full((200,), 1000.0)], dim=1)
    code[:, 1] += 1e-4 * (1 - labels)  # a unit or two in the last place of 1000
    right = codes.predicted(code, labels, code)
    assert (right == labels).all()
    code[:, 0] = 0
    blind = codes.predicted(code, labels, code)
    assert len(blind.unique()) == 1


def test_labels_need_not_be_0_to_9() -> None:
    labels = torch.tensor([-7, 300]).repeat(50)
    code = (labels[:, None] > 0).float()
    assert codes.predicted(code, labels, code).tolist() == labels.tolist()
    # One that no training image has is never named, and counts as not read.
    strange = labels.clone()
    strange[:50] = 12
    assert codes.linear_probe(code, labels, code, strange) == 0.5


# Labels


def test_labels_belong_to_their_pixels(digits: Splits) -> None:
    """The mean images of classes tell images apart, which they would not in another order."""
    labels = labels_of(digits)
    train, names = numbers_of(digits.pool.images), labels.images.numpy()
    test = numbers_of(digits.pool.test)
    means = np.stack([train[names == k].mean(0) for k in range(10)])
    nearest = ((test[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == labels.test.numpy()).mean() > 0.8
    assert np.bincount(names).sum() + len(test) == 1797


@pytest.mark.network
def test_mnists_labels_are_as_many_as_published() -> None:
    data = datasets.load("mnist")
    assert data.test_labels is not None
    assert np.bincount(data.test_labels).tolist() == MNIST_TEST_COUNTS
    one = data.test[data.test_labels == 1].mean() < data.test[data.test_labels == 0].mean() / 2
    assert one  # a one takes less ink than a zero


def test_a_cache_of_pixels_alone_gives_null_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched while a job waits."""
    datasets.load("digits", tmp_path)
    meta = json.loads((tmp_path / "digits" / "meta.json").read_text())
    whole = dict(meta["files"])
    meta["files"] = {name: said for name, said in whole.items() if "labels" not in name}
    (tmp_path / "digits" / "meta.json").write_text(json.dumps(meta))
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "_fetched", lambda *_: pytest.fail("it was fetched"))
        patch.setattr(sources, "obtain", lambda *_: pytest.fail("it was fetched"))
        old = pool.load("digits", 0, tmp_path)
    made = codes.look(subject(old, linear(2), 2, tmp_path))
    assert made.columns["code_accuracy"] is made.columns["pca_code_accuracy"] is None
    assert "`aebench data fetch digits` adds them" in made.columns["code_note"]
    assert {point.get("label") for point in made.points} == {None}
    assert len(made.pictures) == 1  # a picture needs no labels

    assert datasets.load("digits", tmp_path).train_labels is not None  # as the command asks
    assert cache.read_meta(tmp_path / "digits")["files"].keys() == whole.keys()


def test_damaged_labels_lose_no_job(tmp_path: Path) -> None:
    datasets.load("digits", tmp_path)
    path = tmp_path / "digits" / "test_labels.npy"
    path.write_bytes(path.read_bytes()[:-3])
    record = run_job(small(2), Circumstances(data=tmp_path))
    assert record.job["status"] == "ok", record.job["reason"]
    assert "test images of digits in the data cache are damaged" in record.job["code_note"]
    assert record.job["code_accuracy"] is None


def small(latent: int, **more: object) -> Job:
    return Job.create(
        **{"architecture": "mlp", "dataset": "digits", "latent": latent, "epochs": 1} | more
    )


# What codes cannot be probed, and why


class Broken(nn.Module):
    def __init__(self, give: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.give = give

    def forward(self, images: Tensor) -> object:
        return self.give(images)


def _raises(_: Tensor) -> object:
    raise SystemExit("no more images, please")


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda x: (x.flatten(1)[:, :4], x.flatten(1)[:, :4]), "no single tensor"),
        (lambda x: x.flatten(1)[:1, :8], "no single tensor with a code for each image"),
        (lambda x: x.flatten(1)[:, :8] / 0, "no finite numbers"),
        (_raises, "SystemExit: no more images, please"),
    ],
)
def test_a_code_that_cannot_be_read_is_told(
    give: Callable[[Tensor], object], said: str, digits: Splits, folder: Path
) -> None:
    model = Autoencoder(Broken(give), nn.Identity())
    made = codes.look(subject(digits, model, 8, folder))
    assert made.columns["code_accuracy"] is made.columns["pca_code_accuracy"] is None
    assert said in made.columns["code_note"]


@pytest.mark.parametrize(
    ("bottleneck", "said"),
    [(43, "43 numbers are more than two thirds of the image's 64"), (42, "no more images")],
)
def test_a_code_that_hardly_compresses_is_not_looked_at(
    bottleneck: int, said: str, digits: Splits, folder: Path
) -> None:
    model = Autoencoder(Broken(_raises), nn.Identity())
    assert said in codes.look(subject(digits, model, bottleneck, folder)).columns["code_note"]


def test_a_code_of_too_many_numbers_is_not_looked_at(digits: Splits, folder: Path) -> None:
    wide = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    splits = replace(digits, pool=replace(digits.pool, test=wide))
    model = Autoencoder(Broken(_raises), nn.Identity())
    assert (
        "1025 numbers are more than the 1024"
        in (codes.look(subject(splits, model, 1025, folder)).columns["code_note"])
    )


def test_labels_that_are_all_alike_are_told(digits: Splits, folder: Path) -> None:
    same = Labels(torch.zeros(len(digits.pool.images)).long(), torch.zeros(360).long())
    splits = replace(digits, pool=replace(digits.pool, labels=same))
    made = codes.look(subject(splits, linear(3), 3, folder))
    assert made.columns["code_note"] == "not probed: the training images have 1 label"


# Maps and grids


def test_a_grid_is_what_the_decoder_makes_of_its_codes(digits: Splits, folder: Path) -> None:
    model = linear(2)
    made = codes.look(subject(digits, model, 2, folder))
    grid = [point for point in made.points if point["kind"] == schema.CODE_OF_GRID]
    assert [point["place"] for point in grid] == list(range(225))
    given = torch.tensor([[point["first"], point["second"]] for point in grid])
    with torch.no_grad():
        images = model.get_submodule("decoder")(given)
    (picture,) = made.pictures
    assert (picture["kind"], picture["images"]) == (schema.DECODED_GRID, 225)
    shown = np.asarray(Image.open(io.BytesIO(picture["output_png"])))
    assert shown.shape == (120, 120)
    tiles = shown.reshape(15, 8, 15, 8).transpose(0, 2, 1, 3).reshape(225, 8, 8)
    exact = (images[:, 0].numpy() * 31).round() / 31 * 255
    assert np.abs(tiles - exact).max() <= 0.51

    # As in a chart: to the right, and upwards, between percentiles of the training codes.
    train = codes.encode(model, digits.train, CPU).numpy()
    low, high = np.percentile(train, codes.PERCENTILES, axis=0)
    corners = given.numpy()[[0, 14, 210, 224]]
    expected = [(low[0], high[1]), high, low, (high[0], low[1])]
    assert np.allclose(corners, expected, rtol=1e-4, atol=1e-5)


def test_a_grid_of_large_pictures_has_fewer() -> None:
    assert [codes.side_of(numbers) for numbers in (64, 784, 3 * 32 * 32)] == [15, 15, 7]
    assert codes.side_of(10**6) == 2
    given = torch.rand(500, 2, generator=torch.Generator().manual_seed(0))
    assert len(codes.grid_of(given, 7).unique(dim=0)) == 49


def test_a_map_has_codes_of_test_images_and_their_labels(
    digits: Splits, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "MAPPED_IMAGES", 50)
    model = linear(2)
    points = codes.look(subject(digits, model, 2, folder)).points
    shown = [point for point in points if point["kind"] == schema.CODE_OF_IMAGE]
    expected = codes.encode(model, digits.pool.test[:50], CPU)
    found = np.array([(p["first"], p["second"]) for p in shown])
    assert np.allclose(found, expected.numpy(), rtol=6e-4, atol=0)
    assert [p["label"] for p in shown] == labels_of(digits).test[:50].tolist()


@pytest.mark.parametrize(
    ("decoder", "said"),
    [
        (Broken(_raises), "no grid: SystemExit: no more images, please"),
        (nn.Identity(), "no grid: the decoder makes [225, 2] of 225 codes"),
        (None, "no grid: the model has no `decoder` module"),
    ],
)
def test_a_decoder_that_cannot_draw_loses_nothing_else(
    decoder: nn.Module | None, said: str, digits: Splits, folder: Path
) -> None:
    model = linear(2, decoder)
    if decoder is None:
        del model.decoder
    made = codes.look(subject(digits, model, 2, folder))
    assert made.columns["code_accuracy"] > 0.1
    assert (made.columns["code_note"], made.pictures) == (said, [])
    assert {point["kind"] for point in made.points} == {schema.CODE_OF_IMAGE}


# A job


@pytest.fixture(scope="module")
def record(folder: Path) -> Record:
    """Of a job whose code has two numbers."""
    return run_job(small(2, architecture="conv-bottleneck"), Circumstances(data=folder))


def test_a_job_leaves_what_its_code_holds(record: Record, tmp_path: Path) -> None:
    assert record.job["status"] == "ok", record.job["reason"]
    assert record.job["bottleneck"] == 2
    assert 0.1 < record.job["code_accuracy"] < 0.9
    assert 0.4 < record.job["pca_code_accuracy"] < 0.7
    assert (record.job["code_note"], len(record.codes)) == ("", 360 + 225)
    Store(tmp_path).write(record)
    for _ in range(2):
        found = aebench.read(tmp_path)
        assert len(found.codes) == 585
        assert set(found.codes["key"]) == {record.job["key"]}
        assert found.codes["label"].notna().sum() == 360
        (png,) = found.samples.loc[found.samples["kind"] == schema.DECODED_GRID, "output_png"]
        assert Image.open(io.BytesIO(png)).size == (120, 120)
        Store(tmp_path).compact()


def test_a_code_of_more_numbers_leaves_no_map(folder: Path) -> None:
    made = run_job(small(4), Circumstances(data=folder))
    assert made.job["code_accuracy"] > 0.1
    assert made.codes == []
    assert schema.DECODED_GRID not in {sample["kind"] for sample in made.samples}


def test_data_without_labels_are_no_error(folder: Path) -> None:
    def halves() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        whole = datasets.load("digits", folder)
        return whole.train[:, :, :4], whole.test[:, :, :4]

    info = datasets.info("digits")
    datasets.register(
        replace(
            info, name="halves", height=4, train_sha256="", test_sha256="",
            train_labels_sha256="", test_labels_sha256="",
        ),
        halves,
    )  # fmt: skip
    made = run_job(small(4, dataset="halves"), Circumstances(data=folder))
    assert made.job["status"] == "ok", made.job["reason"]
    assert made.job["code_accuracy"] is None
    assert made.job["code_note"] == "not probed: halves has no labels"
