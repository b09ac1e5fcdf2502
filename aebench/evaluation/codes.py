"""What a code holds: how well labels can be read off it, and, where it has two numbers, its map.

A linear probe (G. Alain, Y. Bengio, Understanding intermediate layers using linear classifier
probes, arXiv:1610.01644, 2016) is fitted to the codes of training images and judged on those of
the whole test set; PCA's code of the same size is probed alike. It is logistic regression as
scikit-learn's, whose import would take longer than the probe: the loss is convex, so that any
solver comes to the same one. What fails in a user's encoder or decoder is told, and loses no job.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aebench import schema
from aebench.architectures.autoencoder import reconstruction_of
from aebench.datasets.pool import Labels, Splits
from aebench.engines.device import ieee_float32
from aebench.engines.training import unit
from aebench.errors import printable
from aebench.evaluation import accuracies, baselines
from aebench.evaluation.reconstruction import STUDY_BATCH, png

FITTED_IMAGES = 10_000  # the first so many of the training split, or all of a smaller one
MOST_NUMBERS = 1_024  # of a code that is probed; fitting takes as long as it has numbers
MAPPED_IMAGES = 2_000  # points of a map: the first so many of the test set
GRID = 15  # codes on each side of the grid that is decoded,
MOST_DRAWN = 180_000  # or as many as make pictures of so many numbers together
LEVELS = 32  # of each colour in its picture, which takes half the room of one with 256
PERCENTILES = (2, 98)  # between these of the training codes it lies
INVERSE_PENALTY = 0.1  # scikit-learn's C
MOST_ITERATIONS = 100
# The largest gradient at which a fit ends. A tenth of it, scikit-learn's, takes three times as long
# and moves accuracies by 0.002 at most, less than the error of a share of 10,000 images.
TOLERANCE = 1e-3
# A number that varies less than so much, beside its mean or the others' variation, is rounding.
_ROUNDING = 1e-6

Row = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """What was seen of a code: columns of `jobs`, and rows of `samples` and `codes` without key."""

    columns: Row = field(default_factory=dict)
    pictures: list[Row] = field(default_factory=list)
    points: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """A trained model on `device`, its measured bottleneck, and the images of its seed.

    `split` says what these images are, for what is kept in the data cache `directory`.
    """

    model: nn.Module
    bottleneck: int
    splits: Splits
    split: baselines.Split
    directory: Path
    device: torch.device

    @property
    def fitted(self) -> Tensor:
        """Places in the pool of the images that a probe is fitted to."""
        return self.splits.indices[:FITTED_IMAGES]


def look(subject: Subject) -> Look:
    """Probe the model's code, and draw it where it has two numbers.

    `code_note` says in words what could not be done, and why.
    """
    notes: list[str] = []
    columns: Row = {"code_accuracy": None, "pca_code_accuracy": None, "code_note": ""}
    made = Look(columns)
    numbers = subject.splits.pool.test[0].numel()
    if subject.bottleneck * schema.COMPRESSES > numbers:
        notes = [f"{subject.bottleneck} numbers are more than two thirds of the image's {numbers}"]
    elif subject.bottleneck > MOST_NUMBERS:
        notes = [f"{subject.bottleneck} numbers are more than the {MOST_NUMBERS} that are probed"]
    else:
        with _told("not read", notes):
            train = encode(
                subject.model, subject.splits.pool.images[subject.fitted], subject.device
            )
            test = encode(subject.model, subject.splits.pool.test, subject.device)
            _look(subject, train, test, made, notes)
    columns["code_note"] = "; ".join(notes)
    return made


def _look(subject: Subject, train: Tensor, test: Tensor, made: Look, notes: list[str]) -> None:
    """Fill in what the codes `train` and `test`, [N, ...], show."""
    labels = subject.splits.pool.labels
    if isinstance(labels, str):
        notes.append(f"not probed: {labels}")
    else:
        with _told("not probed", notes):
            fitted = labels.images[subject.fitted]
            accuracy = linear_probe(train.flatten(1), fitted, test.flatten(1), labels.test)
            made.columns["code_accuracy"] = accuracy
            made.columns["pca_code_accuracy"] = pca_accuracy(subject, labels)
    if test[0].numel() != 2:
        return
    made.points.extend(_points(schema.CODE_OF_IMAGE, _rounded(test[:MAPPED_IMAGES])))
    if isinstance(labels, Labels):
        for point, label in zip(made.points, labels.test.tolist(), strict=False):
            point["label"] = label
    with _told("no grid", notes):
        grid = grid_of(train, side_of(subject.splits.pool.test[0].numel()))
        made.pictures.append(_decoded(subject, grid))
        made.points.extend(_points(schema.CODE_OF_GRID, grid))


@contextlib.contextmanager
def _told(what: str, notes: list[str]) -> Iterator[None]:
    """Note what goes wrong inside: the model's code is its author's, and may raise anything."""
    try:
        yield
    except Unsuitable as error:
        notes.append(f"{what}: {error}")
    except (Exception, SystemExit) as error:
        notes.append(f"{what}: {printable(f'{type(error).__name__}: {error}')}")


class Unsuitable(Exception):
    """There is nothing to be probed, or drawn; the text says why."""


def encode(model: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """The codes of `images`, uint8 [N, C, H, W]: float32 [N, ...] on `device`.

    Raises:
        Unsuitable: a code is no single tensor, or not of finite numbers.
    """
    encoder = model.eval().get_submodule("encoder")
    parts = []
    for part in images.split(STUDY_BATCH):
        with torch.inference_mode(), ieee_float32():
            code = encoder(unit(part.to(device)))
        if not isinstance(code, Tensor) or len(code) != len(part):
            raise Unsuitable("the encoder gives no single tensor with a code for each image")
        parts.append(code.float())
    codes = torch.cat(parts).clone()
    if not codes.isfinite().all():
        raise Unsuitable("some of the codes are no finite numbers")
    return codes.unsqueeze(1) if codes.dim() == 1 else codes


# The linear probe


def linear_probe(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Share of the codes `test` [M, k] whose label a probe fitted to `train` [N, k] names.

    Raises:
        Unsuitable: the training images have one label only.
    """
    return float((predicted(train, labels, test).cpu() == test_labels).double().mean())


def predicted(train: Tensor, labels: Tensor, test: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """Labels that logistic regression fitted to `train` [N, k] and `labels` [N] gives `test`.

    Multinomial, on codes of mean 0 and variance 1, with penalty |w|^2 / 2 beside
    `INVERSE_PENALTY` times the summed cross-entropy (no penalty on intercepts), by L-BFGS until
    no gradient of the mean is above `tolerance`, at most `MOST_ITERATIONS`: what scikit-learn's
    LogisticRegression(C=0.1) finds with its default solver.

    Raises:
        Unsuitable: there is one label only.
    """
    names, classes = labels.unique(return_inverse=True)
    if len(names) < 2:
        raise Unsuitable(f"the training images have {len(names)} label")
    mean, spread = train.double().mean(0), train.double().std(0, correction=0)
    least = _ROUNDING * torch.maximum(mean.abs(), spread.max())
    scale = torch.where(spread > least, 1 / spread, 0)
    x, classes = ((train - mean) * scale).float(), classes.to(train.device)
    weights = x.new_zeros(x.shape[1] + 1, len(names), requires_grad=True)
    penalty = 1 / (2 * INVERSE_PENALTY * len(x))
    solver = torch.optim.LBFGS(
        [weights],
        max_iter=MOST_ITERATIONS,
        tolerance_grad=tolerance,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        solver.zero_grad()
        scores = torch.addmm(weights[-1], x, weights[:-1])
        value = nn.functional.cross_entropy(scores, classes)
        value = value + penalty * weights[:-1].square().sum()
        value.backward()
        return value

    with torch.enable_grad(), ieee_float32():
        solver.step(loss)
    with torch.no_grad(), ieee_float32():
        scores = ((test - mean) * scale).float() @ weights[:-1] + weights[-1]
    best: Tensor = names.to(scores.device)[scores.argmax(1)]
    return best


def pca_accuracy(subject: Subject, labels: Labels) -> float:
    """What the same probe makes of PCA's code of as many numbers, fitted to the training split.

    Kept in the data cache; what is not whole there, or of something else, is computed anew.
    """
    belongs = _identity(subject, labels)
    stored = accuracies.read(subject.directory, belongs)
    if stored is not None:
        return stored
    pool, device = subject.splits.pool, subject.device
    found = baselines.components(subject.splits.train, subject.split, subject.directory, device)
    mean = torch.from_numpy(found.mean).to(device)
    directions = torch.from_numpy(found.directions[:, : subject.bottleneck]).to(device)
    train, test = (
        torch.cat([(unit(p.to(device)).flatten(1) - mean) @ directions for p in images.split(4096)])
        for images in (pool.images[subject.fitted], pool.test)
    )
    accuracy = linear_probe(train, labels.images[subject.fitted], test, labels.test)
    accuracies.write(subject.directory, belongs, accuracy)
    return accuracy


def _identity(subject: Subject, labels: Labels) -> Row:
    """All that an accuracy of PCA depends on."""
    both = torch.cat([labels.images, labels.test]).numpy().tobytes()
    probe = [INVERSE_PENALTY, MOST_ITERATIONS, TOLERANCE, FITTED_IMAGES]
    return {
        **asdict(subject.split),
        "labels_sha256": hashlib.sha256(both).hexdigest(),
        "numbers": subject.bottleneck,
        "probe": probe,
    }


# The map of a code of two numbers


def side_of(numbers: int) -> int:
    """How many codes a side of the grid has whose pictures have so many numbers each."""
    return max(2, min(GRID, math.isqrt(MOST_DRAWN // numbers)))


def grid_of(codes: Tensor, side: int) -> Tensor:
    """A square grid of codes, [side * side, ...], between percentiles of `codes`, [N, ...].

    Row by row as a chart has them: the first number rises to the right, the second upwards.
    """
    flat = codes.flatten(1).double()
    shares = torch.tensor(PERCENTILES, dtype=torch.float64, device=flat.device) / 100
    low, high = flat.quantile(shares, dim=0)
    steps = torch.linspace(0, 1, side, dtype=torch.float64, device=flat.device)
    first = low[0] + steps * (high[0] - low[0])
    second = low[1] + steps.flip(0) * (high[1] - low[1])
    grid = torch.stack([first.repeat(side), second.repeat_interleave(side)], dim=1)
    return grid.to(codes.dtype).reshape(-1, *codes.shape[1:])


def _decoded(subject: Subject, grid: Tensor) -> Row:
    """The row of `samples` with the grid as the model's decoder draws it.

    Raises:
        Unsuitable: it has none, or one that makes no images of codes.
    """
    decoder: Any = getattr(subject.model, "decoder", None)
    if not isinstance(decoder, nn.Module):
        raise Unsuitable("the model has no `decoder` module")
    with torch.inference_mode(), ieee_float32():
        images = reconstruction_of(decoder(grid.clone())).float()
    shape = subject.splits.pool.test.shape[1:]
    if images.shape != (len(grid), *shape):
        raise Unsuitable(f"the decoder makes {list(images.shape)} of {len(grid)} codes")
    images = (images.clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)
    rows = [torch.cat(list(row), dim=2) for row in images.split(math.isqrt(len(grid)))]
    return {
        "kind": schema.DECODED_GRID,
        "images": len(grid),
        "output_png": png(torch.cat(rows, dim=1)[None]),
    }


def _points(kind: str, codes: Tensor) -> list[Row]:
    """Rows of the table `codes`, without key."""
    pairs = codes.flatten(1).tolist()
    return [{"kind": kind, "place": i, "first": a, "second": b} for i, (a, b) in enumerate(pairs)]


def _rounded(codes: Tensor) -> Tensor:
    """To four digits, more than a map shows: so they take half the room in the store."""
    return torch.tensor([[float(f"{x:.3e}") for x in code] for code in codes.flatten(1).tolist()])
