"""One job, from its description to its stored record.

`_phases` walks a job through its phases with the clock, and what it learns goes into `Known`;
`run_job` turns however it ends into a record of what is known by then. Where this runs, and what
becomes of a worker that dies, is the executor's business.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aebench import architectures, datasets, host, interference, machine
from aebench.architectures import Size
from aebench.architectures.autoencoder import build, own_loss
from aebench.datasets import pool
from aebench.datasets.pool import Splits
from aebench.engines import device as devices
from aebench.engines import training
from aebench.engines.device import DeviceClock, PhaseClock, read_precision, set_precision
from aebench.engines.training import Engine, Setup, Work
from aebench.errors import RequestError
from aebench.evaluation import baselines, codes, probes, rates, reconstruction, speed
from aebench.evaluation.reconstruction import STUDY_BATCH, Errors, psnr_db
from aebench.evaluation.speed import Speed
from aebench.job import Job
from aebench.models import weights
from aebench.models.checkpoints import Checkpoints
from aebench.records import Circumstances, Diverged, Epoch, Implausible, ending, starting_row
from aebench.schema import COLD_PHASES
from aebench.store import Record, Row

OnEpoch = Callable[[int, float, float], None]
"""Called after each epoch with its number, mean training loss and validation MSE."""

_warmer = devices.Warmer()  # knows when this process last kept a GPU busy


def prepare(job: Job, where: Circumstances) -> None:
    """Measure what this process needs to know before the job, so that no job pays for it.

    Raises:
        RequestError: the device is one that this torch cannot use.
    """
    device = torch.device(where.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RequestError("no CUDA device that this torch can use; try --device cpu")
    if where.threads:
        torch.set_num_threads(where.threads)
    set_precision(job.precision)
    devices.peak_gflops(device, job.precision)  # once in this process


def run_job(
    job: Job,
    where: Circumstances | None = None,
    on_epoch: OnEpoch | None = None,
    results: Path | None = None,
) -> Record:
    """Run one job in this process and return its record, whatever happens to it.

    Weights and checkpoints lie in the folder `results`; without it, none are kept, and the job is
    trained from its start.

    Only `KeyboardInterrupt` and its like pass through; every other exception, `SystemExit` too,
    becomes a record with status `failed`, `out_of_memory` or `diverged` and its reason.
    """
    where = where or Circumstances(device=job.device)
    with interference.computing():
        try:
            prepare(job, where)
        except Exception as error:
            return unprepared(job, where, error)
        known = Known(job, where, results)
        try:
            with torch.random.fork_rng(devices=[known.device] if known.on_gpu else []):
                _phases(job, where, known, on_epoch)
                end: Row = {"status": "ok", "reason": ""}
        except (Exception, SystemExit) as error:
            end = ending(error)
        return known.record(end)


def unprepared(job: Job, where: Circumstances, error: BaseException) -> Record:
    """The record of a job that could not begin, or that `error` took out of its phases."""
    row = starting_row(job, where) | host.describe(torch.device("cpu"))
    return Record(job=row | ending(error) | {"total_s": 0.0})


def _phases(job: Job, where: Circumstances, known: Known, on_epoch: OnEpoch | None) -> None:
    """Take the job through every phase.

    Raises:
        Diverged, Implausible, RequestError, torch.OutOfMemoryError, whatever a model raises.
    """
    device, clock = known.device, known.clock
    known.look_around()
    with clock.phase("data"):
        known.splits = splits = pool.load(job.dataset, job.seed, where.data)
        datasets.check_pixels(job, splits.pool.sha256)
        validation, test = splits.validation.to(device), splits.pool.test.to(device)
    with clock.phase("build"):
        setup, known.size = _build(job, splits, device)
        known.go_on(setup.model)
        engine, model = training.create(setup), setup.model
    with clock.phase("data"):
        engine.load()
    with clock.phase("compile"):
        engine.compile()
    with clock.phase("warmup"):
        engine.warm_up()
        reconstruction.measure(model, validation[:STUDY_BATCH], device)
    known.work = engine.work()
    with known.aside():
        _warmer.warm(device)
        known.noise_before_s = devices.noise_probe(device)
    # A model that draws random numbers as it trains, such as one with dropout, draws the same ones
    # whatever ran in this process before.
    torch.manual_seed(job.seed)
    known.checkpoints.resume_training(engine, device)
    device_clock = DeviceClock(device)
    with known.watch.training():
        for epoch in range(len(known.epochs) + 1, job.epochs + 1):
            with known.watch.epoch(), clock.phase("train"), device_clock.span():
                mean_loss = engine.train_epoch()
            train_s, train_loss = clock.last_s, float(mean_loss)
            if not math.isfinite(train_loss):
                raise Diverged(f"the mean training loss of epoch {epoch} is {train_loss}")
            with clock.phase("eval"):
                val_mse = reconstruction.measure(model, validation, device).mse
            times = (train_s, device_clock.last_s, clock.last_s)
            train_mse = None if own_loss(model) else train_loss
            known.epochs.append(Epoch(epoch, train_mse, train_loss, val_mse, *times))
            known.note_company()
            if on_epoch:
                on_epoch(epoch, train_loss, val_mse)
            known.save(engine, model)
    with known.aside():
        known.noise_after_s = devices.noise_probe(device)
    _warmer.was_busy(device)
    known.work = known.checkpoints.all_work(engine.work())
    known.speed, implausible = speed.measure(
        setup, known.work, clock.seconds["train"], known.size.flops * job.batch_size
    )
    if implausible:
        raise Implausible(implausible)
    with clock.phase("eval"):
        errors = reconstruction.measure(model, test, device)
        if not math.isfinite(errors.mse):  # the last step may do this, unseen by any loss
            raise Diverged(f"the test error after the last epoch is {errors.mse}")
        known.errors = errors
    with clock.phase("samples"):
        known.samples = reconstruction.strips(model, test, device)
    with clock.phase("baseline"):
        folder = datasets.cache_directory(where.data)
        # The seed and how many images are held out say which of the pixels are fitted to.
        train, code = splits.train, known.size.bottleneck
        fitted = baselines.Split(splits.pool.sha256, job.seed, len(train))
        known.curve = baselines.curve(train, splits.pool.test, fitted, folder, device)
        images = rates.Images.of(validation, test)
    with known.aside(), clock.phase("baseline"):
        known.rates = rates.baseline(train, images, fitted, code, folder)
    with known.aside(), clock.phase("probe"):
        rows, known.rates_note = rates.of_model(model, images, code)
        known.rates += rows
        known.look = codes.look(codes.Subject(model, code, splits, fitted, folder, device))
    with clock.phase("probe"):
        known.appearance = reconstruction.appearance(model, test, device)
        subject = probes.Subject(model, job.dataset, test, splits.mean, device)
        for rows, pictures in (probes.denoising(subject), probes.strangers(subject, where.data)):
            known.probes += rows
            known.samples += pictures
    if where.keep_weights and known.results:
        known.kept = weights.keep(known.results, job, model, splits.pool.shape)


def _build(job: Job, splits: Splits, device: torch.device) -> tuple[Setup, Size]:
    """Build and measure the model, and set it before its training split."""
    architectures.check_code(job)
    images = splits.train
    model, size = build(job, splits.pool.shape)
    setup = Setup(job, model.to(device), images, device)
    if setup.steps_per_epoch == 0:
        raise RequestError(
            f"batch_size {job.batch_size} is more than the {len(images)} training"
            f" images of {job.dataset}; no full batch is left"
        )
    return setup, size


@dataclass
class Known:
    """What is known of a job under way. Parts come as the phases do, so a failure keeps the rest.

    `curve` are the errors of the exact baselines (see `baselines.curve`).
    """

    job: Job
    where: Circumstances
    results: Path | None = None
    surroundings: Row = field(default_factory=dict)  # machine, threads, precision
    splits: Splits | None = None
    size: Size | None = None
    work: Work | None = None
    noise_before_s: float | None = None
    noise_after_s: float | None = None
    epochs: list[Epoch] = field(default_factory=list)
    speed: Speed | None = None
    errors: Errors | None = None
    curve: NDArray[np.float64] | None = None
    appearance: dict[str, float | None] = field(default_factory=dict)
    probes: list[Row] = field(default_factory=list)
    rates: list[Row] = field(default_factory=list)
    rates_note: str | None = None
    samples: list[Row] = field(default_factory=list)
    look: codes.Look = field(default_factory=codes.Look)
    peak_device_bytes: int | None = None
    kept: Row = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start the clock."""
        self.device = torch.device(self.where.device)
        self.on_gpu = self.device.type == "cuda"
        wait = (lambda: torch.cuda.synchronize(self.device)) if self.on_gpu else (lambda: None)
        self.clock = PhaseClock(synchronize=wait)
        self.watch = interference.Watch()
        self.start = starting_row(self.job, self.where)
        self.concurrent = self.where.concurrent
        self.checkpoints = Checkpoints(self.results, self.job, self.where.checkpoint_s)

    def go_on(self, model: nn.Module) -> None:
        """Give the model the weights of the job's checkpoint, and this its errors and seconds."""
        past = self.checkpoints.resume(model, str(self.surroundings["machine_id"]))
        if past:
            self.epochs = [Epoch(**row) for row in past.epochs]
            self.clock.go_on(past.seconds, past.total_s)
            self.concurrent = self.concurrent or past.concurrent

    def save(self, engine: Engine, model: nn.Module) -> None:
        """Store a checkpoint, if it is time to."""
        if self.checkpoints.due():
            rows = [asdict(epoch) for epoch in self.epochs]
            self.checkpoints.save(engine, model, rows, self.clock, self.concurrent)

    def look_around(self) -> None:
        """Note who else computes here, what this machine is, and get ready to watch it."""
        self.note_company()
        self.surroundings = host.describe(self.device) | {
            "threads": torch.get_num_threads(),
            "precision_read": read_precision(self.job.precision, self.job.engine),
        }
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
            # torch leaves out how NVIDIA begins its names.
            uuid = f"GPU-{torch.cuda.get_device_properties(self.device).uuid}"
            self.watch = interference.Watch(gpu=interference.nvidia(uuid))

    def note_company(self) -> None:
        """Mark the job as one whose time cannot be compared if others of ours compute now."""
        self.concurrent = self.concurrent or interference.others() > 0

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Measure something of the device, whose memory is not the job's."""
        self._see_peak()
        yield
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)

    def _see_peak(self) -> None:
        """Note the most memory held on the device since the last look."""
        if self.on_gpu:
            now = torch.cuda.max_memory_allocated(self.device)
            self.peak_device_bytes = max(now, self.peak_device_bytes or 0)

    def record(self, end: Row) -> Record:
        """The record of what is known, of a job that ended so, in the columns of the tables."""
        self._see_peak()
        seconds = {f"{phase}_s": s for phase, s in self.clock.seconds.items()}
        device_s = [e.device_train_s for e in self.epochs if e.device_train_s is not None]
        row = self.start | self.surroundings | end | seconds
        row |= self.checkpoints.columns(self.watch.columns(), self.kept)
        row |= self.appearance | self.look.columns
        row |= {
            "rates_note": self.rates_note,
            "concurrent": self.concurrent,
            "noise_before_s": self.noise_before_s,
            "noise_after_s": self.noise_after_s,
            "cold_s": sum(seconds[f"{p}_s"] for p in COLD_PHASES),
            "device_train_s": sum(device_s) if len(device_s) == len(self.epochs) > 0 else None,
            "total_s": self.clock.total_s(),
            "peak_host_bytes": machine.peak_host_bytes(),
            "peak_device_bytes": self.peak_device_bytes,
        }
        splits, size = self.splits, self.size
        if splits:
            row |= {
                "data_source": splits.pool.source,
                "data_sha256": splits.pool.sha256,
                "train_images": len(splits.train),
            }
        if splits and size:
            input_size = splits.train[0].numel()
            row |= {
                "input_size": input_size,
                "parameters": size.parameters,
                "bottleneck": size.bottleneck,
                "compression": input_size / size.bottleneck,
                "flops_per_step": size.flops * self.job.batch_size,
            }
        if work := self.work:
            row |= {
                "engine_note": work.note,
                "kernels": work.kernels,
                "skipped_flops_per_step": work.skipped_flops_per_step,
                "loading_s": work.loading_s if self.speed else None,
            }
        if self.epochs:
            row |= {n: getattr(self.epochs[-1], n) for n in ("train_mse", "train_loss", "val_mse")}
        row |= asdict(self.speed) if self.speed else {}
        if errors := self.errors:
            sums = None if math.isnan(errors.study_error) else errors.study_error
            row |= {"study_error": sums, "mse": errors.mse, "psnr_db": psnr_db(errors.mse)}
        best: list[Row] = []
        of = {"dataset": self.job.dataset, "seed": self.job.seed}
        if self.curve is not None and size:
            row["mean_mse"] = float(self.curve[0])
            row["pca_mse"] = float(self.curve[min(size.bottleneck, len(self.curve) - 1)])
            best = [of | {"components": k, "mse": float(e)} for k, e in enumerate(self.curve)]
        key = {"key": self.job.key}
        return Record(
            job=row,
            epochs=[key | asdict(epoch) for epoch in self.epochs],
            samples=[key | sample for sample in (*self.samples, *self.look.pictures)],
            baselines=best,
            probes=[key | probe for probe in self.probes],
            rates=[of | (key if row["codec"] == "model" else {}) | row for row in self.rates],
            codes=[key | point for point in self.look.points],
        )
