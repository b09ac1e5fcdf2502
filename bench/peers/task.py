"""What every peer is given and what it gives back: the arguments, the data, the last line.

A peer is a program of its own, so that its libraries' import, threads and memory are its own.
The images are in `folder` as torchvision's MNIST class reads them, beside the split.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODELS = {
    "mlp-512": ("mlp", 512, 1),
    "conv-16": ("conv", 16, 1),
    "conv-64-deep": ("conv", 64, 2),
    "conv-bottleneck-32": ("conv-bottleneck", 32, 1),
}
"""Architecture, latent size and depth."""
BATCH_SIZE = 128
AUTOCAST = "BENCH_PEERS_AUTOCAST"  # the environment variable; 1 for bfloat16 in plain PyTorch
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Task:
    """One job of the study. `folder` holds MNIST and `train.npy`, indices of the split, int64."""

    folder: Path
    model: str
    epochs: int
    seed: int
    device: str

    @property
    def split(self) -> Path:
        """File with the indices of the training split in their order."""
        return self.folder / "train.npy"


def read_arguments() -> Task:
    """The task that the command line describes."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    return Task(**vars(parser.parse_args()))


def arguments(task: Task) -> list[str]:
    """The command line that describes `task`."""
    return [word for name, value in vars(task).items() for word in (f"--{name}", str(value))]


def answer(train_s: float, study_error: float, **more: float | str) -> None:
    """Print the result as the last line of stdout: seconds of training, study error."""
    print(json.dumps({"train_s": train_s, "study_error": study_error, **more}), flush=True)


def read_answer(output: str) -> Mapping[str, float | str]:
    """The result in what a peer has printed, whatever its libraries have printed before.

    Raises:
        ValueError: there is none.
    """
    lines = output.strip().splitlines()
    if not lines:
        raise ValueError("it printed nothing")
    try:
        found = json.loads(lines[-1])
        return {"train_s": float(found["train_s"]), "study_error": float(found["study_error"])} | {
            name: value for name, value in found.items() if name not in ("train_s", "study_error")
        }
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"its last line is no result: {lines[-1][:80]!r}") from error
