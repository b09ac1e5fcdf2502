"""Codes as compression: what a model and PCA make of quantized codes, and who is not judged."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from aebench import datasets, schema
from aebench.architectures.autoencoder import Autoencoder
from aebench.evaluation import baselines, rates, reconstruction
from aebench.evaluation.baselines import Split
from aebench.evaluation.quantizing import quantizer
from aebench.evaluation.rates import Images
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Record, Store
from aebench.store.merging import merge
from aebench.worker import run_job

CPU = torch.device("cpu")
SPLIT = Split("0123456789abcdef" * 4, seed=0, train_images=1000)
COLUMNS = {column.name for column in schema.RATES}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Images]:
    """Real images, uint8 [N, 1, 8, 8]: a training split, and what codes are judged on."""
    data = datasets.load("digits")
    train = torch.from_numpy(data.train.copy())
    return train[:1000], Images.of(train[1000:], torch.from_numpy(data.test.copy()))


@pytest.fixture(scope="module")
def images(digits: tuple[Tensor, Images]) -> Images:
    return digits[1]


class Rows(nn.Module):
    """The means of every second row and the one below: a code of 32 numbers."""

    def forward(self, images: Tensor) -> Tensor:
        return images.unflatten(2, (4, 2)).mean(3)


class Twice(nn.Module):
    """Each row of a code [N, C, 4, 8] twice: an image again."""

    def forward(self, codes: Tensor) -> Tensor:
        return codes.repeat_interleave(2, dim=2)


def test_a_code_as_it_is_takes_four_bytes_a_number_and_loses_what_the_model_does(
    images: Images,
) -> None:
    model = Autoencoder(Rows(), Twice())
    rows, note = rates.of_model(model, images, 32)
    assert note == ""
    assert [row["bits"] for row in rows] == [32, 8, 6, 4, 2]
    assert all(set(row) <= COLUMNS for row in rows)
    assert {(row["codec"], row["bottleneck"], row["images"]) for row in rows} == {
        ("model", 32, 360)
    }
    assert rows[0]["bytes_per_image"] == rows[0]["fixed_bytes_per_image"] == 128
    assert rows[0]["mse"] == pytest.approx(reconstruction.measure(model, images.test, CPU).mse)
    assert [row["fixed_bytes_per_image"] for row in rows] == [128, 32, 24, 16, 8]
    for more, less in pairwise(rows):
        assert less["bytes_per_image"] < more["bytes_per_image"]
        assert less["mse"] > more["mse"] * 0.99
        assert less["ssim"] < more["ssim"] + 0.01
    assert rows[-1]["mse"] > 1.2 * rows[0]["mse"]
    # Corners that are always dark cost nothing, and half a byte is more than most others need.
    assert rows[3]["bytes_per_image"] < 0.8 * rows[3]["fixed_bytes_per_image"]


def test_what_is_scored_is_decoded_from_the_quantized_code(images: Images) -> None:
    seen: list[Tensor] = []

    class Spy(Twice):
        def forward(self, codes: Tensor) -> Tensor:
            seen.append(codes.clone())
            return super().forward(codes)

    rows, _ = rates.of_model(Autoencoder(Rows(), Spy()), images, 32)
    last = torch.cat(seen[-3:])  # 360 images in batches of 128, in 2 bits
    assert last.shape == (360, 1, 4, 8)
    assert all(len(last[:, 0, i, j].unique()) <= 4 for i in range(4) for j in range(8))
    clean = images.test.double() / 255
    again = float((Twice()(last.double()) - clean).square().mean())
    assert rows[-1]["mse"] == pytest.approx(again, rel=1e-6)


def test_decoder_bytes_are_those_of_its_weights(images: Images) -> None:
    decoder = nn.Sequential(nn.Linear(10, 64), nn.Unflatten(1, (1, 8, 8)))
    model = Autoencoder(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), decoder)
    rows, _ = rates.of_model(model, images, 10)
    assert {row["decoder_bytes"] for row in rows} == {4 * (10 * 64 + 64)}


def test_pca_is_that_of_scikit_learn_and_of_the_curve(
    digits: tuple[Tensor, Images], tmp_path: Path
) -> None:
    from sklearn.decomposition import PCA

    train, images = digits
    rows = rates.baseline(train, images, SPLIT, 12, tmp_path)
    pca = [row for row in rows if row["codec"] == "pca"]
    assert [row["bits"] for row in pca] == [32, 8, 6, 4, 2]
    assert {row["decoder_bytes"] for row in pca} == {4 * 64 * 13}
    curve = baselines.curve(train, images.test)
    assert pca[0]["mse"] == pytest.approx(curve[12], rel=1e-4)
    # Eight bits of codes of known range, by hand: steps so small that they hardly matter.
    assert pca[1]["mse"] == pytest.approx(curve[12], rel=0.02)
    fit = PCA(12, svd_solver="full").fit(train.flatten(1).double().numpy() / 255)
    codes = fit.transform(images.validation.flatten(1).double().numpy() / 255)
    edges = [np.linspace(c.min(), c.max(), 257) for c in codes.T]
    counts = [np.histogram(c, e)[0] + 0.5 for c, e in zip(codes.T, edges, strict=True)]
    entropy = sum(-(n / n.sum() * np.log2(n / n.sum())).sum() for n in counts)
    assert pca[1]["bytes_per_image"] == pytest.approx(entropy / 8, rel=0.05)
    assert {row["codec"] for row in rows} == {"pca", "jpeg", "webp", "png"}
    assert all(set(row) <= COLUMNS for row in rows)


def test_components_are_kept_and_those_that_are_not_whole_found_anew(
    digits: tuple[Tensor, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, _ = digits
    found = baselines.components(train, SPLIT, tmp_path)
    assert found.directions.shape == (64, 42)
    path = baselines.components_path(tmp_path, SPLIT)
    assert baselines.verify(tmp_path) == {path.name: ""}
    with monkeypatch.context() as patch:
        patch.setattr(baselines, "_principal", lambda *_: pytest.fail("they were not taken"))
        again = baselines.components(train, SPLIT, tmp_path)
        np.testing.assert_array_equal(again.directions, found.directions)
        other = baselines.components_path(tmp_path, Split("f" * 64, 0, 1000))
        path.rename(other)
        with pytest.raises(pytest.fail.Exception):
            baselines.components(train, SPLIT, tmp_path)
        other.rename(path)
    whole = path.read_bytes()
    place = len(whole) // 2  # amid the directions
    changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    for spoilt in (changed, whole[:3000], b"", b"PK", b"text"):
        path.write_bytes(spoilt)
        assert "no components" in baselines.verify(tmp_path)[path.name]
        again = baselines.components(train, SPLIT, tmp_path)
        np.testing.assert_array_equal(again.directions, found.directions)
        assert path.read_bytes() == whole  # and mended


class Lost(nn.Module):
    """An autoencoder whose parts are not under the names that are known."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Rows()

    def forward(self, images: Tensor) -> Tensor:
        return Twice()(self.encoder(images))


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return Rows()(images), images[:, :, :0]


class First(nn.Module):
    def forward(self, codes: Any) -> Tensor:
        return Twice()(codes[0])


class Doubled(Autoencoder):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


class Moody(Twice):
    """A decoder that breaks at what it is not used to."""

    def __init__(self, fails: BaseException) -> None:
        super().__init__()
        self.fails = fails

    def forward(self, codes: Tensor) -> Tensor:
        if len(codes) < 128:
            raise self.fails
        return super().forward(codes)


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError


class Overflowing(Rows):
    def forward(self, images: Tensor) -> Tensor:
        code = super().forward(images)
        return code / 0 if len(images) < 128 else code


@pytest.mark.parametrize(
    ("model", "bottleneck", "said"),
    [
        (Autoencoder(Rows(), Twice()), 43, "a code of 43 for 64 numbers compresses too little"),
        (Lost(), 32, "the model has no `decoder` module"),
        (Autoencoder(Pair(), First()), 32, "the code is a tuple, not one tensor of real numbers"),
        (Autoencoder(Rows(), Twice()), 31, r"of 128 images the code is \[128, 1, 4, 8\]"),
        (Doubled(Rows(), Twice()), 32, "the decoder makes something else of the code than"),
        (
            Autoencoder(Rows(), Moody(RuntimeError("odd\nnumber"))),
            32,
            "RuntimeError in encoder or decoder: odd$",
        ),
        (Autoencoder(Rows(), Moody(SystemExit(3))), 32, "SystemExit in encoder or decoder: 3"),
        (Autoencoder(Rows(), Moody(Speechless())), 32, "Speechless .*: it cannot be put into"),
        (Autoencoder(Overflowing(), Twice()), 32, "some numbers of the code are not finite"),
    ],
)
def test_what_cannot_be_judged_has_no_rows_and_is_told(
    images: Images, model: nn.Module, bottleneck: int, said: str
) -> None:
    rows, note = rates.of_model(model, images, bottleneck)
    assert rows == []
    assert pd.Series([note]).str.match(said).all(), note


def test_of_very_long_codes_fewer_images_are_learned_from(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def spy(codes: Tensor, bits: int) -> Any:
        seen.append(len(codes))
        return quantizer(codes, bits)

    monkeypatch.setattr(rates, "quantizer", spy)
    for most in (2**25, 100 * 32, 3):
        monkeypatch.setattr(rates, "_MOST_LEARNED", most)
        assert rates.of_model(Autoencoder(Rows(), Twice()), images, 32)[1] == ""
    assert seen == [437] * 4 + [100] * 4 + [1] * 4


def test_without_validation_images_there_is_nothing_to_learn_from(
    digits: tuple[Tensor, Images], tmp_path: Path
) -> None:
    train, images = digits
    bare = Images(images.validation[:0], images.test)
    rows, note = rates.of_model(Autoencoder(Rows(), Twice()), bare, 32)
    assert (rows, note) == ([], "there are no validation images to learn the quantizer from")
    rows = rates.baseline(train, bare, SPLIT, 32, tmp_path)
    assert {row["codec"] for row in rows} == {"jpeg", "webp", "png"}


def test_two_thirds_are_the_limit_for_pca_too(
    digits: tuple[Tensor, Images], tmp_path: Path
) -> None:
    assert rates.compresses(42, 64)
    assert not rates.compresses(43, 64)
    assert rates.baseline(*digits, SPLIT, 43, tmp_path) == []


def test_a_model_may_write_into_what_it_is_given(images: Images) -> None:
    class Greedy(Rows):
        def forward(self, images: Tensor) -> Tensor:
            code = super().forward(images)
            images.zero_()
            return code

    class GreedyToo(Twice):
        def forward(self, codes: Tensor) -> Tensor:
            made = super().forward(codes)
            codes.zero_()
            return made

    rows, note = rates.of_model(Autoencoder(Greedy(), GreedyToo()), images, 32)
    assert note == ""
    assert rows == rates.of_model(Autoencoder(Rows(), Twice()), images, 32)[0]


def test_a_decoder_is_run_as_in_use(images: Images) -> None:
    dropout = nn.Sequential(Twice(), nn.Dropout(0.5)).train()
    rows, note = rates.of_model(Autoencoder(Rows(), dropout), images, 32)
    assert note == ""
    assert rows == [
        row | {"codec": "model"}
        for row in rates.of_model(Autoencoder(Rows(), Twice()), images, 32)[0]
    ]


def test_colour_is_judged_over_all_channels() -> None:
    generator = torch.Generator().manual_seed(0)
    test = torch.randint(256, (20, 3, 8, 8), generator=generator).to(torch.uint8)
    made = (test / 255).double()
    made[:, 1] += 0.3
    found = rates.distortion(test, made.float())
    assert found["mse"] == pytest.approx(0.03, rel=1e-4)
    grey = [rates.distortion(test[:, [c]], made[:, [c]].float())["ssim"] for c in range(3)]
    assert found["ssim"] == pytest.approx(sum(grey) / 3, abs=1e-6)
    assert rates.distortion(test[..., :2], made[..., :2].float())["ssim"] is None


@pytest.mark.cuda
def test_a_gpu_finds_the_same(digits: tuple[Tensor, Images], tmp_path: Path) -> None:
    train, images = digits
    there = Images(images.validation.cuda(), images.test.cuda())
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(10, 64), nn.Unflatten(1, (1, 8, 8)), nn.Sigmoid())
    model = Autoencoder(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), decoder)
    for one, other in (
        (rates.of_model(model, images, 10)[0], rates.of_model(model.cuda(), there, 10)[0]),
        (
            rates.baseline(train, images, SPLIT, 12, tmp_path / "a"),
            rates.baseline(train, there, SPLIT, 12, tmp_path / "b"),
        ),
    ):
        assert len(one) > 4
        for here, far in zip(one, other, strict=True):
            assert {n: far[n] for n in far if isinstance(far[n], int | str)} == {
                n: here[n] for n in here if isinstance(here[n], int | str)
            }
            for name in ("bytes_per_image", "mse", "ssim"):
                assert far[name] == pytest.approx(here[name], rel=0.01, abs=1e-9)


# In a job, and in the store


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Two real jobs of one split, and one whose code is larger than the image."""
    data = tmp_path_factory.mktemp("data")
    jobs = [Job.create(architecture="mlp", dataset="digits", latent=n, epochs=1) for n in (4, 6)]
    jobs.append(Job.create(architecture="conv", dataset="digits", latent=2, epochs=1))
    return [run_job(job, Circumstances(threads=1, data=data)) for job in jobs]


def test_a_job_leaves_rates_of_its_model_and_of_what_needs_none(recorded: list[Record]) -> None:
    made, _, wide = recorded
    assert (made.job["status"], made.job["rates_note"]) == ("ok", "")
    assert all(set(row) <= COLUMNS for row in made.rates)
    assert {(row["dataset"], row["seed"]) for row in made.rates} == {("digits", 0)}
    mine = [row for row in made.rates if row.get("key")]
    assert {(row["key"], row["codec"], row["bottleneck"]) for row in mine} == {
        (made.job["key"], "model", 4)
    }
    assert mine[0]["mse"] == pytest.approx(made.job["mse"], rel=1e-5)  # 360 test images in all
    others = [row for row in made.rates if not row.get("key")]
    assert {row["codec"] for row in others} == {"pca", "jpeg", "webp", "png"}
    assert others[0]["mse"] == pytest.approx(made.job["pca_mse"], rel=1e-4)
    assert wide.rates == []
    assert wide.job["rates_note"] == "a code of 72 for 64 numbers compresses too little"


def test_the_store_keeps_what_is_no_job_s_once_for_each_split(
    recorded: list[Record], tmp_path: Path
) -> None:
    results = Store(tmp_path / "a")
    for made in recorded:
        results.write(made)
    later = Store(tmp_path / "b")
    later.write(recorded[1])  # again, in another folder
    for _ in range(2):
        found = results.read().rates
        assert found.groupby("codec")["mse"].size().to_dict() == {
            "model": 10, "pca": 10, "jpeg": 6, "webp": 7, "png": 1,
        }  # fmt: skip
        assert found["key"].isna().equals(found["codec"].ne("model"))
        results.compact()
    merge([later.path, results.path], into=tmp_path / "c")
    merged = Store(tmp_path / "c").read()
    order = ["codec", "bottleneck", "bits", "quality"]
    pd.testing.assert_frame_equal(
        merged.rates.sort_values(order, ignore_index=True),
        found.sort_values(order, ignore_index=True),
    )
    assert not merged.problems


def test_of_two_machines_pictures_one_whole_set_counts(
    recorded: list[Record], tmp_path: Path
) -> None:
    """Whichever way they come together: files of two versions of a codec are never mixed."""
    one, other, _ = recorded
    changed = [
        row | {"bytes_per_image": row["bytes_per_image"] * (0.9 if row["quality"] == 10 else 1.1)}
        if row["codec"] == "jpeg"
        else row
        for row in other.rates
    ]
    found = []
    for name, records in (("a", (one, other)), ("b", (other, one))):
        results = Store(tmp_path / name)
        for n, made in enumerate(records):
            results.write(Record(made.job, rates=changed if made is other else one.rates))
            if n == 0:
                results.compact()
        results.compact()
        rows = results.read().rates
        found.append(rows[rows["codec"] == "jpeg"].sort_values("quality", ignore_index=True))
    pd.testing.assert_frame_equal(*found)
    sizes = found[0]["bytes_per_image"].tolist()
    whole = [
        [row["bytes_per_image"] for row in rows if row["codec"] == "jpeg"]
        for rows in (one.rates, changed)
    ]
    assert sizes in whole
    assert len(sizes) == 6
    assert all(map(math.isfinite, sizes))
