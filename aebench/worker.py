"""One job, from its description to its stored record.

`run_job` walks a job through its phases (data, build, compile, warm-up, train with validation
after each epoch, test, samples, baselines, probes) with the clock, watches what disturbs the
training, and turns however it ends into a record. Where this runs, and what becomes of a worker
that dies, is the executor's business.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import torch

from aebench import architectures, datasets, engines, interference, machine, presence
from aebench.architectures.autoencoder import build
from aebench.datasets import pool
from aebench.endings import Diverged, Implausible, ending
from aebench.engines import calibration
from aebench.engines.clock import PhaseClock
from aebench.engines.precision import read_precision, set_precision
from aebench.errors import RequestError
from aebench.evaluation import appearance, baselines, errors, probes, rates, samples
from aebench.evaluation.curves import Split
from aebench.job import Job
from aebench.records import Circumstances, starting_row
from aebench.store import Record, Row

OnEpoch = Callable[[int, float, float], None]
"""Called after each epoch with its number, mean training loss and validation MSE."""


_warmer = calibration.Warmer()  # knows when this process last kept a GPU busy


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
    calibration.peak_gflops(device, job.precision)  # once in this process


def run_job(
    job: Job,
    where: Circumstances | None = None,
    on_epoch: OnEpoch | None = None,
) -> Record:
    """Run one job in this process and return its record, whatever happens to it.

    Only `KeyboardInterrupt` and its like pass through; every other exception, `SystemExit` too,
    becomes a record with status `failed`, `out_of_memory` or `diverged` and its reason.
    """
    where = where or Circumstances(device=job.device)
    with presence.computing():
        try:
            prepare(job, where)
        except Exception as error:
            return unprepared(job, where, error)
        under_way = _UnderWay(job, where)
        try:
            with torch.random.fork_rng(devices=under_way.gpus):
                under_way.run(on_epoch)
        except (Exception, SystemExit) as error:
            under_way.row |= ending(error)
        return under_way.record()


def unprepared(job: Job, where: Circumstances, error: BaseException) -> Record:
    """The record of a job that could not begin, or that `error` took out of its phases."""
    row = starting_row(job, where) | machine.describe(torch.device("cpu"))
    return Record(job=row | ending(error) | {"total_s": 0.0})


class _UnderWay:
    """A job under way: the row grows as things become known, so a failure keeps the rest."""

    def __init__(self, job: Job, where: Circumstances) -> None:
        self.job, self.where, self.device = job, where, torch.device(where.device)
        on_gpu = self.device.type == "cuda"
        self.gpus = [self.device] if on_gpu else []
        self.clock = PhaseClock(
            synchronize=(lambda: torch.cuda.synchronize(self.device)) if on_gpu else (lambda: None)
        )
        self.watch = interference.Watch()
        self.row: Row = starting_row(job, where)
        self.epochs: list[Row] = []
        self.samples: list[Row] = []
        self.baselines: list[Row] = []
        self.probes: list[Row] = []
        self._peak_device_bytes: int | None = None

    def run(self, on_epoch: OnEpoch | None) -> None:
        """Take the job through every phase.

        Raises:
            Diverged, Implausible, RequestError, torch.OutOfMemoryError, whatever a model raises.
        """
        job, device, clock = self.job, self.device, self.clock
        self._look_around()
        with clock.phase("data"):
            self._load()
        with clock.phase("build"):
            engine = self._build()
        with clock.phase("data"):
            engine.load()
        with clock.phase("compile"):
            engine.compile()
        with clock.phase("warmup"):
            engine.warm_up()
            self._validate(errors.STUDY_BATCH)
        self.row |= {
            "engine_note": getattr(engine, "note", ""),
            "skipped_flops_per_step": getattr(engine, "skipped_flops_per_step", 0),
            "kernels": getattr(engine, "kernels", "torch"),
        }
        with self._aside():
            _warmer.warm(device)
            noise_before_s = calibration.noise_probe(device)
        # A model that draws random numbers as it trains, such as one with dropout, draws the
        # same ones whatever ran in this process before.
        torch.manual_seed(job.seed)
        device_clock = calibration.DeviceClock(device)
        with self.watch.training():
            for epoch in range(1, job.epochs + 1):
                with self.watch.epoch(), clock.phase("train"), device_clock.span():
                    mean_loss = engine.train_epoch()
                self._after_epoch(epoch, float(mean_loss), device_clock.last_s, on_epoch)
        with self._aside():
            noise_after_s = calibration.noise_probe(device)
        _warmer.was_busy(device)
        self.row |= {
            "noise_before_s": noise_before_s,
            "noise_after_s": noise_after_s,
            "loading_s": getattr(engine, "loading_s", None),
        }
        self._rate(engines.steps_taken(engine))
        with clock.phase("eval"):
            self._test()
        with clock.phase("samples"):
            self.samples = samples.strips(self.model, self.test, device)
        with clock.phase("baseline"):
            self._compare_with_baselines()
        with clock.phase("probe"):
            self._probe()
        self.row |= {"status": "ok", "reason": ""}

    def _look_around(self) -> None:
        """Note who else computes here, what this machine is, and get ready to watch it."""
        self._note_company()
        self.row |= machine.describe(self.device)
        self.row |= {
            "threads": torch.get_num_threads(),
            "precision_read": read_precision(self.job.precision),
        }
        if self.gpus:
            torch.cuda.reset_peak_memory_stats(self.device)
            # torch leaves out how NVIDIA begins its names.
            uuid = f"GPU-{torch.cuda.get_device_properties(self.device).uuid}"
            self.watch = interference.Watch(gpu=interference.nvidia(uuid))

    def _note_company(self) -> None:
        """Mark the job as one whose time cannot be compared if others of ours compute now."""
        self.row["concurrent"] = self.row["concurrent"] or presence.others() > 0

    def _load(self) -> None:
        """Have the data in memory, and validation and test images on the device."""
        self.splits = pool.load(self.job.dataset, self.job.seed, self.where.data)
        datasets.check_pixels(self.job, self.splits.pool.sha256)
        self.images = self.splits.train
        self.validation = self.splits.validation.to(self.device)
        self.test = self.splits.pool.test.to(self.device)
        self.row |= {
            "data_source": self.splits.pool.source,
            "data_sha256": self.splits.pool.sha256,
            "train_images": len(self.images),
        }

    def _build(self) -> engines.Engine:
        """Build and measure the model, and the engine that is to train it."""
        job, images = self.job, self.images
        architectures.check_code(job)
        shape = (images.shape[1], images.shape[2], images.shape[3])
        model, size = build(job, shape)
        self.model = model.to(self.device)
        setup = engines.Setup(job, self.model, images, self.device)
        if setup.steps_per_epoch == 0:
            raise RequestError(
                f"batch_size {job.batch_size} is more than the {setup.count} training"
                f" images of {job.dataset}; no full batch is left"
            )
        self.planned_steps = setup.steps_per_epoch * job.epochs
        self.row |= {
            "input_size": prod(shape),
            "parameters": size.parameters,
            "bottleneck": size.bottleneck,
            "compression": prod(shape) / size.bottleneck,
            "flops_per_step": size.flops * job.batch_size,
        }
        return engines.create(setup)

    def _validate(self, images: int | None = None) -> errors.Errors:
        """Errors over the first `images` of the validation split; over all without a number."""
        return errors.measure(self.model, self.validation[:images], self.device)

    def _after_epoch(
        self, epoch: int, train_mse: float, device_train_s: float | None, tell: OnEpoch | None
    ) -> None:
        """Note an epoch and its validation.

        Raises:
            Diverged: its mean training loss is no finite number.
        """
        train_s = self.clock.last_s
        if not math.isfinite(train_mse):
            raise Diverged(f"the mean training loss of epoch {epoch} is {train_mse}")
        with self.clock.phase("eval"):
            val = self._validate()
        self.epochs.append(
            {
                "epoch": epoch,
                "train_mse": train_mse,
                "val_mse": val.mse,
                "train_s": train_s,
                "device_train_s": device_train_s,
                "val_s": self.clock.last_s,
            }
        )
        self.row |= {"train_mse": train_mse, "val_mse": val.mse}
        self._note_company()
        if tell:
            tell(epoch, train_mse, val.mse)

    def _rate(self, taken: int | None) -> None:
        """Say how fast it was; `taken` are training steps, None where nobody counted them.

        Raises:
            Implausible: faster than the arithmetic allows, or fewer steps than planned.
        """
        row, implausible = rates.measure(
            self.job,
            self.model,
            self.device,
            train_s=self.clock.seconds["train"],
            flops_per_step=self.row["flops_per_step"] - self.row["skipped_flops_per_step"],
            taken=self.planned_steps if taken is None else taken,
            planned=self.planned_steps,
        )
        self.row |= row
        if implausible:
            raise Implausible(implausible)

    def _test(self) -> None:
        """Measure the errors of the trained model.

        Raises:
            Diverged: they are no finite numbers; the last step may do this, unseen by any loss.
        """
        found = errors.measure(self.model, self.test, self.device)
        if not math.isfinite(found.mse):
            raise Diverged(f"the test error after the last epoch is {found.mse}")
        self.row |= {
            "study_error": None if math.isnan(found.study_error) else found.study_error,
            "mse": found.mse,
            "psnr_db": found.psnr_db,
        }

    def _compare_with_baselines(self) -> None:
        """Set the model beside the mean image and PCA of the very images it was trained on."""
        directory = self.where.data or datasets.cache_directory()
        # The seed and how many images are held out say which of the pixels are fitted to.
        fitted = Split(self.splits.pool.sha256, self.job.seed, len(self.images))
        curve = baselines.curve(self.images, self.splits.pool.test, fitted, directory, self.device)
        self.row |= {
            "mean_mse": float(curve[0]),
            "pca_mse": float(curve[min(self.row["bottleneck"], len(curve) - 1)]),
        }
        self.baselines = [
            {"dataset": self.job.dataset, "seed": self.job.seed, "components": k, "mse": float(e)}
            for k, e in enumerate(curve)
        ]

    def _probe(self) -> None:
        """See what the model makes of noise and of images from elsewhere."""
        self.row |= appearance.measure(self.model, self.test, self.device)
        subject = probes.Subject(
            self.model, self.job.dataset, self.test, self.splits.mean, self.device
        )
        for rows, pictures in (
            probes.denoising(subject),
            probes.strangers(subject, self.where.data),
        ):
            self.probes += rows
            self.samples += pictures

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Measure something of the device, whose memory is not the job's."""
        self._see_peak()
        yield
        if self.gpus:
            torch.cuda.reset_peak_memory_stats(self.device)

    def _see_peak(self) -> None:
        """Note the most memory held on the device since the last look."""
        if self.gpus:
            now = torch.cuda.max_memory_allocated(self.device)
            self._peak_device_bytes = max(now, self._peak_device_bytes or 0)

    def record(self) -> Record:
        """The record as it stands, times included."""
        self._see_peak()
        seconds: dict[str, Any] = {f"{phase}_s": s for phase, s in self.clock.seconds.items()}
        cold = ("build_s", "compile_s", "warmup_s", "train_s")
        device_s = [row["device_train_s"] for row in self.epochs]
        self.row |= seconds | self.watch.columns()
        self.row |= {
            "cold_s": sum(seconds[phase] for phase in cold),
            "device_train_s": sum(device_s) if device_s and None not in device_s else None,
            "total_s": self.clock.total_s(),
            "peak_host_bytes": machine.peak_host_bytes(),
            "peak_device_bytes": self._peak_device_bytes,
        }
        key = {"key": self.job.key}
        return Record(
            job=self.row,
            epochs=[key | row for row in self.epochs],
            samples=[key | row for row in self.samples],
            baselines=self.baselines,
            probes=[key | row for row in self.probes],
        )
