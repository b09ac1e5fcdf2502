"""Checkpoints: all that a job in training needs to go on, stored at the end of an epoch.

A job that is continued takes the same steps, to the same bits on the same machine, as one that was
never interrupted: a checkpoint holds parameters and buffers, the optimizer's state, the state of
torch's random numbers, and the errors and seconds of every epoch so far. Rates and order follow
from the job and the epoch. When to look for one, and what a record says, is the worker's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from aebench.disk import write_whole
from aebench.engines.device import PhaseClock
from aebench.engines.resuming import optimizer_state, restore_optimizer
from aebench.engines.training import Engine, Work
from aebench.errors import printable
from aebench.job import Job
from aebench.models.tensors import Misfit, Unreadable, check_fit, decode, encode, of_model
from aebench.store import Row, kept

_FORMAT = 1
_MODEL, _OPTIMIZER, _RANDOM = "model/", "optimizer/", "random/"


@dataclass(frozen=True)
class Past:
    """What a job under way knows besides its tensors.

    `epochs` are its rows of that table so far, `seconds` those of the phases that add up, and
    `total_s` all that it took. `resumed` is that column of its record; `machine_id` tells where
    it ran last.
    """

    epochs: Sequence[Row]
    seconds: Mapping[str, float]
    total_s: float
    loading_s: float
    concurrent: bool
    resumed: str
    machine_id: str


class Checkpoints:
    """The checkpoint of one job in the folder `results`, written every `every_s` seconds if at all.

    What cannot be read or written is noted for the record, and never ends the job.
    """

    def __init__(
        self,
        results: Path | None,
        job: Job,
        every_s: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job, self.every_s, self._now = job, every_s, now
        self._path = results and kept.checkpoint(results, job.key)
        self._written = now()
        self._past: Past | None = None
        self._tensors: Mapping[str, Tensor] = {}
        self._resumed = self._machine = ""
        self._unused = self._unwritten = ""  # what the record says of this

    def resume(self, model: nn.Module, machine_id: str) -> Past | None:
        """Set the model's parameters and buffers to those of the job's checkpoint, in place.

        None where there is no checkpoint, or none of use; the model is then as it was.
        """
        self._machine = machine_id
        try:
            if self._path is None or (read := _read(self._path, self.job)) is None:
                return None
            past, self._tensors = read
            saved = self._part(_MODEL)
            check_fit(model, saved)
        except (Unreadable, Misfit) as error:
            self._unused = f"checkpoint not used, trained anew: {printable(error, 200)}"
            return None
        with torch.no_grad():
            for name, tensor in of_model(model).items():
                tensor.copy_(saved[name])
        moved = "" if past.machine_id == machine_id else f" on machine {past.machine_id}"
        now = f"after epoch {len(past.epochs)}{moved}"
        self._past, self._resumed = past, "; ".join(filter(None, (past.resumed, now)))
        return past

    def resume_training(self, engine: Engine, device: torch.device) -> None:
        """After `resume`: set the engine's optimizer and epoch, and torch's random numbers."""
        if self._past is None:
            return
        if engine.optimizer is not None:
            restore_optimizer(engine.optimizer, self._part(_OPTIMIZER))
        engine.epoch = len(self._past.epochs)
        random = self._part(_RANDOM)
        torch.set_rng_state(random["cpu"])
        if device.type == "cuda" and "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], device)
        self._tensors = {}

    def due(self) -> bool:
        """Whether it is time to write one."""
        late = self.every_s is not None and self._now() - self._written >= self.every_s
        return self._path is not None and late

    def save(
        self,
        engine: Engine,
        model: nn.Module,
        epochs: Sequence[Row],
        clock: PhaseClock,
        concurrent: bool,
    ) -> None:
        """Write a checkpoint of a job that has finished `epochs`."""
        assert self._path is not None, "`due` says whether there is a place for one"
        past = Past(
            epochs=epochs,
            seconds={phase: clock.seconds[phase] for phase in ("train", "eval")},
            total_s=clock.total_s(),
            loading_s=self.all_work(engine.work()).loading_s or 0.0,
            concurrent=concurrent,
            resumed=self._resumed,
            machine_id=self._machine,
        )
        tensors = {_MODEL + name: tensor for name, tensor in of_model(model).items()}
        if engine.optimizer is not None:
            state = optimizer_state(engine.optimizer)
            tensors |= {_OPTIMIZER + name: tensor for name, tensor in state.items()}
        tensors[_RANDOM + "cpu"] = torch.get_rng_state()
        if engine.setup.device.type == "cuda":
            tensors[_RANDOM + "cuda"] = torch.cuda.get_rng_state(engine.setup.device)
        about = {"format": _FORMAT, "key": self.job.key, "past": asdict(past)}
        try:
            write_whole(self._path, encode(tensors, about))
            self._unwritten = ""
        except Exception as error:  # of the disk, or of numbers of a kind that cannot be stored
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._unwritten = f"no checkpoint after epoch {len(epochs)}: {printable(why, 200)}"
        self._written = self._now()

    def all_work(self, work: Work) -> Work:
        """`work` with what was done for the same job before the checkpoint."""
        before = self._past.loading_s if self._past else 0.0
        if work.loading_s is None:
            return work
        return replace(work, loading_s=work.loading_s + before)

    def columns(self, watched: Row, weights: Row) -> Row:
        """What the record says: `watched` of the machine, which saw the last part alone, if that.

        And what became of checkpoints and weights.
        """
        row = dict.fromkeys(watched) if self._resumed else watched
        notes = (self._unused, self._unwritten, weights.get("keeping_note"))
        note = "; ".join(filter(None, notes))
        return row | weights | {"resumed": self._resumed, "keeping_note": note}

    def _part(self, prefix: str) -> dict[str, Tensor]:
        found = self._tensors.items()
        return {n.removeprefix(prefix): t for n, t in found if n.startswith(prefix)}


def _read(path: Path, job: Job) -> tuple[Past, dict[str, Tensor]] | None:
    """The checkpoint at `path`; None where there is none.

    Raises:
        Unreadable: it is torn, of another job, or may not be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    tensors, about = decode(content)
    try:
        if (about["format"], about["key"]) != (_FORMAT, job.key):
            raise Unreadable("it is of another job, or written by another aebench")
        return Past(**about["past"]), tensors
    except (KeyError, TypeError) as error:
        raise Unreadable(f"it lacks {error}") from error
