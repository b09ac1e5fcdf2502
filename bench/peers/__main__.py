"""Run the peers in turn, each in a fresh process, and print what they took beside aebench.

Blocks of all peers are repeated, and each block has its own random order, so that drift of the
machine falls on nobody in particular. Ratios are taken within a block.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from aebench.engines import ENGINES, choose
from bench.peers.ours import ENGINE
from bench.peers.task import AUTOCAST, MODELS, Task, arguments, read_answer
from bench.ratios import table

BASELINE = "aebench eager"
SAME_ERROR = 0.01  # study errors further apart than this are not of the same training
PROCESS_TIMEOUT_S = 3600
ROOT = Path(__file__).resolve().parents[2]

# JAX 0.10.2 took 9.0 s for one step on two quiet AMD EPYC cores: more than an hour an epoch.
_JAX_HOPELESS = {"conv-64-deep": "left out: an epoch of it takes more than an hour on a CPU"}


@dataclass(frozen=True)
class Peer:
    """A program that trains the job; `needs` is a module that it cannot do without.

    `hopeless` says of a model why nobody waits for it on a CPU.
    """

    module: str
    needs: str = "torch"
    environment: Mapping[str, str] = field(default_factory=dict)
    hopeless: Mapping[str, str] = field(default_factory=dict)

    def why_not(self, model: str, device: str) -> str:
        """Why it cannot train `model` here, and what to do; empty if it can."""
        if not importlib.util.find_spec(self.needs):
            return f"{self.needs} is not installed (pip install -e '.[peers]')"
        return self.hopeless.get(model, "") if device == "cpu" else ""


def known_peers(engines: Sequence[str]) -> dict[str, Peer]:
    """Every peer by the name it has in the table, aebench's engines first."""
    ours = {f"aebench {e}": Peer("bench.peers.ours", environment={ENGINE: e}) for e in engines}
    return ours | {
        "plain PyTorch": Peer("bench.peers.plain"),
        "plain PyTorch, bf16": Peer("bench.peers.plain", environment={AUTOCAST: "1"}),
        "Lightning": Peer("bench.peers.with_lightning", "lightning"),
        "Keras (torch)": Peer("bench.peers.with_keras", "keras"),
        "JAX": Peer("bench.peers.with_jax", "optax", hopeless=_JAX_HOPELESS),
    }


@dataclass
class Result:
    """What a peer has left of one model: seconds by block, its last error, why it failed."""

    train_s: dict[int, float] = field(default_factory=dict)
    study_error: float | None = None
    threads: float | str = ""
    failure: str = ""


def run_peer(peer: Peer, task: Task, into: Result, block: int) -> None:
    """Run `peer` once; it stays in this process's group, so one Ctrl-C ends everything."""
    command = [sys.executable, "-m", peer.module, *arguments(task)]
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if task.device == "cpu" else {}
    environment = os.environ | hidden | peer.environment
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True,
            timeout=PROCESS_TIMEOUT_S,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
            raise ValueError(f"exit status {done.returncode}: {last}")
        found = read_answer(done.stdout)
    except (ValueError, subprocess.TimeoutExpired) as error:
        into.failure = str(error)
        return
    into.train_s[block] = float(found["train_s"])
    into.study_error = float(found["study_error"])
    into.threads = found.get("threads", "")


def rows(results: Mapping[str, Result]) -> list[list[str]]:
    """Cells of one model's table: seconds, ratio to the baseline with its range, error, remarks."""
    base = results[BASELINE]
    cells = []
    for name, result in results.items():
        if not result.train_s:
            cells.append([name, "", "", "", "", result.failure])
            continue
        ratios = [s / base.train_s[b] for b, s in result.train_s.items() if b in base.train_s]
        remarks = [result.failure] if result.failure else []
        assert result.study_error is not None
        if base.study_error and abs(result.study_error / base.study_error - 1) > SAME_ERROR:
            off = result.study_error / base.study_error - 1
            remarks.append(f"ERROR DIFFERS by {off:+.1%}: times not comparable")
        if base.threads != result.threads:
            remarks.append(f"{result.threads} threads, not {base.threads}")
        cells.append(
            [
                name,
                f"{median(result.train_s.values()):.2f}",
                f"{median(ratios):.2f}" if ratios else "",
                f"{min(ratios):.2f}..{max(ratios):.2f}" if ratios else "",
                f"{result.study_error:.4g}",
                "; ".join(remarks),
            ]
        )
    return cells


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--epochs", type=int, default=2, help="15 for the real thing [2]")
    parser.add_argument("--repeats", type=int, default=3, help="blocks; 6 to publish [3]")
    parser.add_argument("--model", choices=MODELS, action="append", help="[all]")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        action="append",
        help="beside eager [reference, and what auto means]",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="[AEBENCH_DEVICE, else cpu]")
    parser.add_argument("--seed", type=int, default=0, help="of weights, split and order [0]")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the tables to FILE too")
    options = parser.parse_args()
    options.device = options.device or os.environ.get("AEBENCH_DEVICE") or "cpu"
    if min(options.epochs, options.repeats) < 1 or options.seed < 0:
        parser.error("epochs and repeats start at 1, seed at 0")
    return options


def prepare(folder: Path, seed: int) -> None:
    """Put MNIST and the split where every peer finds them."""
    import numpy as np

    from aebench import datasets
    from bench import idx

    data = datasets.load("mnist")
    idx.write(data, folder)
    train, _ = datasets.split(len(data.train), data.info.validation_images, seed)
    np.save(folder / "train.npy", train)


def main() -> int:
    options = read_options()
    import torch

    from bench import machine

    if options.device == "cuda" and not torch.cuda.is_available():
        print("bench.peers: skipped, torch finds no CUDA device here", file=sys.stderr)
        return 0
    usual = ["reference", choose("mlp", options.device, 1).engine]
    engines = list(dict.fromkeys(["eager", *(options.engine or usual)]))
    peers = known_peers(engines)
    models = options.model or list(MODELS)
    results = {
        model: {name: Result(failure=p.why_not(model, options.device)) for name, p in peers.items()}
        for model in models
    }
    pairs = [
        (m, name) for m, found in results.items() for name, r in found.items() if not r.failure
    ]
    order = random.Random(options.seed)
    head = machine.sentence(options.device)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.seed)
        for block in range(options.repeats):
            turns = order.sample(pairs, len(pairs))
            for model, name in turns:
                began = time.monotonic()
                task = Task(Path(folder), model, options.epochs, options.seed, options.device)
                run_peer(peers[name], task, results[model][name], block)
                took = time.monotonic() - began
                print(f"block {block + 1}: {model} {name}, {took:.0f} s", file=sys.stderr)
    text = "\n".join([head, "", *report(results, options.epochs, options.repeats)]) + "\n"
    print(text, end="")
    if options.summary:
        options.summary.write_text(text, encoding="utf-8")
    return int(any(results[model][name].failure for model, name in pairs))


def report(results: Mapping[str, Mapping[str, Result]], epochs: int, repeats: int) -> list[str]:
    """The tables, one a model, and how to read them."""
    lines = []
    for model, found in results.items():
        lines.append(f"mnist {model}: {epochs} epochs, batch 128, Adam 1e-4, {repeats} blocks")
        head = ["", "train, s", f"times {BASELINE}", "range", "study error", "remarks"]
        # The remarks are the last column and the only long one: set left, by hand.
        (*body,) = rows(found)
        cut = table(head[:5], [row[:5] for row in body], 1)
        remarks = ["", "", *(row[5] for row in body)]
        lines += [
            f"{line:{len(cut[1])}}  {note}".rstrip()
            for line, note in zip(cut, remarks, strict=True)
        ]
        lines.append("")
    lines += [
        "Medians over blocks; ratios are taken within a block, their range is least to most.",
        f"Only equal errors make times comparable: more than {SAME_ERROR:.0%} apart is flagged.",
        "Same images, split and order everywhere; same initial weights in all but Keras.",
        "aebench is charged its warm-up, for the first steps of the others are slow ones too.",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
