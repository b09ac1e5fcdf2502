"""Kill real runs at random moments, go on with them, and see that nothing was lost or changed.

    python tests/kills.py --rounds 100 --seed 1     a campaign; says each round, exit 1 if one fails
    python tests/kills.py --only 17 --seed 1        the 17th round of it once more

A round is a folder in which one run, or two at once, are killed: the whole process group, the
parent alone, a worker, a worker before it is ready, its keeper, or all amid a fold. Then the same
command runs to its end.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from command_line import COMMAND, environment

from aebench import machine
from aebench.grid import load_grid
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Store, kept
from aebench.worker import run_job

WHOM = ("group", "parent", "worker", "starting worker", "keeper", "folding group")
ROUNDS = [(runs, whom) for runs in (1, 2) for whom in WHOM]
AXES = {"dataset": "digits", "architecture": "mlp", "latent": [2, 3, 4, 5], "epochs": 3}
WORDS = (
    "run --dataset digits --architecture mlp --latent 2..5 --epochs 3 --engine eager --device cpu"
)
GONE_S = 3.0  # a worker may outlive its parent by two seconds
END_S = 240.0
_MARK = "AEBENCH_KILLS"
Figures = dict[str, tuple[float, float, float]]


def jobs() -> Sequence[Job]:
    """The jobs of every round."""
    return load_grid(None, AXES | {"engine": "eager", "device": "cpu"}).jobs


def undisturbed() -> Figures:
    """The errors of every job, by key, as this process finds them."""
    found = {}
    for job in jobs():
        row = run_job(job, Circumstances(threads=machine.cores())).job
        found[job.key] = (row["mse"], row["study_error"], row["val_mse"])
    return found


@dataclasses.dataclass
class Round:
    """One folder; `failures` says in sentences what did not hold."""

    folder: Path
    draw: random.Random
    mark: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)
    failures: list[str] = dataclasses.field(default_factory=list)
    killed: int = 0  # workers and keepers; at the end of a run there may be none to kill

    @property
    def store(self) -> Store:
        return Store(self.folder / "results")

    def start(self) -> Run:
        return Run(self, self.folder / f"{uuid.uuid4().hex}.log")

    def processes(self) -> list[psutil.Process]:
        """All processes that this round has started, and theirs, that are still at work."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get(_MARK) == self.mark
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def finished(self) -> dict[str, str]:
        """When each finished job started, by key."""
        survey = self.store.survey()
        self.failures += map(str, survey.problems)
        if not survey.jobs["key"].is_unique:
            self.failures.append("a key has two rows")
        good = survey.jobs[survey.jobs["status"] == "ok"]
        return dict(zip(good["key"], good["started_at"], strict=True))

    def lost(self, before: dict[str, str]) -> None:
        """Note what was finished before and is no more, or was run again."""
        now = self.finished()
        for key, started in before.items():
            if now.get(key) != started:
                self.failures.append(f"finished job {key}: started {started}, now {now.get(key)}")

    def end_all(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


class Run:
    """One `aebench run` in a process group of its own."""

    def __init__(self, around: Round, log: Path) -> None:
        self.around, self.log = around, log
        words = [
            *WORDS.split(),
            "--device",
            "cpu",
            "--results",
            str(around.store.path),
            "--retry-failed",
            "--keep-weights",
            "--checkpoint",
            "0.001s",
        ]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*COMMAND, *words],
                cwd=around.folder,
                env=environment(**{_MARK: around.mark}),
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def workers(self, keepers: bool = False) -> list[psutil.Process]:
        """Worker processes, or the keepers that these were forked from."""
        found = []
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                ours = "aebench.executors.child" in " ".join(process.cmdline())
                if ours and keepers == (process.ppid() == self.process.pid):
                    found.append(process)
        return found

    def ended(self) -> int:
        """Its exit code, once it has ended; it is killed if it does not."""
        try:
            return self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.around.failures.append(f"did not end in {END_S:g} s: {self.said[-500:]}")
            self.kill("group")
            return self.process.wait()

    def kill(self, whom: str) -> None:
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            if whom.endswith("group"):
                os.killpg(self.process.pid, signal.SIGKILL)
            elif whom == "parent":
                os.kill(self.process.pid, signal.SIGKILL)
            else:
                for process in self.workers(keepers=whom == "keeper")[:1]:
                    process.kill()
                    self.around.killed += 1

    def wait_for(self, whom: str) -> None:
        """Let it come to the moment at which it is to be killed."""
        if whom == "starting worker":
            self._until(lambda: bool(self.workers()))
        elif whom == "folding group":
            parts = self.around.store.parts
            before = set(parts.glob("pack-*"))
            self._until(lambda: bool(set(parts.glob("pack-*")) - before))
            time.sleep(self.around.draw.uniform(0, 0.02))
        else:
            # From before the first import to after the last job, without a clock: so many jobs
            # have ended, and a little later.
            wanted = self.around.draw.randrange(-1, len(jobs()))
            if wanted >= 0:
                self._until(lambda: bool(self.workers()))
                self._until(lambda: len(finished_lines(self.said)) >= wanted)
            time.sleep(self.around.draw.uniform(0, 0.5))

    def _until(self, reached) -> None:
        begun = time.monotonic()
        while self.process.poll() is None and not reached():
            if time.monotonic() - begun > END_S:
                return
            time.sleep(0.002)


def finished_lines(said: str) -> list[str]:
    """Names of the jobs that a run says it has finished."""
    return re.findall(r"^\[\d+/\d+\] (.+?): study error", said, re.MULTILINE)


def disturbed(around: Round, runs: int, whom: str) -> None:
    """Start `runs` runs, kill one of them, or its worker, and let the other end."""
    before = around.finished() if around.store.exists else {}
    started = [around.start() for _ in range(runs)]
    victim = around.draw.choice(started)
    victim.wait_for(whom)
    victim.kill(whom)
    code = victim.ended()
    alone = whom not in ("parent", "folding group", "group")
    if alone and code not in (0, 1):
        around.failures.append(f"exit {code} after a worker was killed: {victim.said[-800:]}")
    if runs == 1 and not alone:
        gone(around)
    for other in started:
        if other is victim or other.ended() == 0:
            continue
        # It may have met the record of a job whose worker was killed, and that is no success.
        if not alone or "by another run on the same folder: killed" not in other.said:
            around.failures.append(f"the other run did not finish: {other.said[-800:]}")
    for run in started:
        if "Traceback" in run.said:
            around.failures.append(f"a traceback: {run.said[-1500:]}")
    if runs > 1:
        gone(around)
    around.lost(before)


def gone(around: Round) -> None:
    """Note processes that have outlived their run."""
    deadline = time.monotonic() + GONE_S
    while (left := around.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        around.failures.append(f"{len(left)} processes are left {GONE_S:g} s after their parent")
        around.end_all()


def resumed(around: Round, runs: int, expected: Figures) -> None:
    """Run to the end, `runs` at once, and compare with what an undisturbed run finds."""
    before = around.finished() if around.store.exists else {}
    started = [around.start() for _ in range(runs)]
    codes = [run.ended() for run in started]
    if any(codes):
        around.failures.append(f"exit {codes}: {[run.said[-800:] for run in started]}")
    trained = Counter(name for run in started for name in finished_lines(run.said))
    if runs > 1 and trained and max(trained.values()) > 1:
        around.failures.append(f"trained by more than one run: {dict(trained)}")
    gone(around)
    around.lost(before)
    found = around.store.read()
    around.failures += map(str, found.problems)
    rows = found.jobs.set_index("key")
    if sorted(rows.index) != sorted(expected):
        around.failures.append(f"{len(rows)} rows for {len(expected)} jobs")
        return
    sums = dict(zip(rows.index, rows["weights_sha256"], strict=True))
    around.failures += map(str, kept.problems(around.store.path, sums))
    if bare := [key for key, known in sums.items() if not known]:
        around.failures.append(f"jobs without weights: {bare}")
    if left := kept.keys(around.store.path, kept.CHECKPOINTS):
        around.failures.append(f"checkpoints of finished jobs: {sorted(left)}")
    for key, figures in expected.items():
        row = rows.loc[key]
        if (row["mse"], row["study_error"], row["val_mse"]) != figures:
            around.failures.append(f"job {key} ended {row['status']} with other figures")
        if (found.epochs["key"] == key).sum() != AXES["epochs"]:
            around.failures.append(f"job {key} lacks epochs, or has some twice")


@contextlib.contextmanager
def round_of(seed: object) -> Iterator[Round]:
    with tempfile.TemporaryDirectory() as folder:
        around = Round(Path(folder), random.Random(str(seed)))
        try:
            yield around
        finally:
            around.end_all()


def campaign(rounds: Sequence[int], seed: int) -> int:
    """Play `rounds`; how many of them failed."""
    expected = undisturbed()
    failed = 0
    for number in rounds:
        runs, whom = ROUNDS[number % len(ROUNDS)]
        with round_of((seed, number)) as around:
            for _ in range(around.draw.choice((1, 1, 2))):
                disturbed(around, runs, whom)
            resumed(around, runs, expected)
            failed += bool(around.failures)
            said = "; ".join(around.failures) or "held"
            print(f"round {number}, {runs} run(s), {whom}: {said}", file=sys.stderr, flush=True)
    print(f"{len(rounds) - failed} of {len(rounds)} rounds held (seed {seed})", flush=True)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="number of the one round to play, from 0")
    given = parser.parse_args()
    chosen = range(given.rounds) if given.only is None else [given.only]
    sys.exit(1 if campaign(chosen, given.seed) else 0)
