"""One job, from its description to its stored record.

`run_job` walks a job through its phases (data, build, compile, warm-up, train with validation
after each epoch, test, samples, baselines, probes) with the clock, watches what disturbs the
training, and turns however it ends into a record. Where this runs, and what becomes of a worker
that dies, is the executor's business.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from aebench import datasets, engines, interference, machine
from aebench.architectures.autoencoder import build
from aebench.engines import calibration
from aebench.engines.clock import PhaseClock
from aebench.engines.precision import read_precision, set_precision
from aebench.errors import RequestError
from aebench.evaluation import appearance, baselines, errors, probes, samples
from aebench.job import Job
from aebench.records import Circumstances, starting_row
from aebench.store import Record, Row

OnEpoch = Callable[[int, float, float], None]
"""Called after each epoch with its number, mean training loss and validation MSE."""


class Diverged(Exception):
    """The training loss is no longer a finite number."""


class Implausible(Exception):
    """The job ended, but cannot have done what it was asked to."""


@dataclass(frozen=True)
class _Splits:
    train: Tensor
    validation: Tensor
    test: Tensor
    source: str
    sha256: str

    @cached_property
    def mean(self) -> Tensor:
        """The mean training image, float64 [C, H, W], pixels in [0, 1]."""
        return self.train.sum(0, dtype=torch.int64).double() / (255 * len(self.train))


@lru_cache(maxsize=2)  # a worker meets the same few splits again and again; two fit any memory
def _splits(name: str, seed: int, directory: Path | None) -> _Splits:
    data = datasets.load(name, directory)
    train, validation = datasets.split(len(data.train), data.info.validation_images, seed)
    return _Splits(
        train=torch.from_numpy(data.train[train]),
        validation=torch.from_numpy(data.train[validation]),
        test=torch.from_numpy(data.test.copy()),
        source=data.source,
        sha256=data.sha256,
    )


def warm_process() -> None:
    """Prepare this process for jobs, once, so that no job pays for it or profits by coming later.

    The C library's allocator is told to keep freed memory rather than return it to the system:
    otherwise every step of a conv takes thousands of page faults, half of its time. This holds
    for all engines alike. torch then loads what it needs to measure a model, some four seconds, and
    scikit-learn what it needs to open a photograph, two.
    """
    if sys.platform == "linux":
        keep, trim_threshold, mmap_threshold = 1 << 30, -1, -3  # names and numbers: malloc.h
        with contextlib.suppress(OSError, AttributeError):  # a C library without mallopt
            libc = ctypes.CDLL(None)
            libc.mallopt(trim_threshold, keep)
            libc.mallopt(mmap_threshold, keep)
    build(Job("conv", "digits", latent=1), (1, 8, 8))
    probes.photo(probes.PHOTOS[0], channels=1)


_warmer = calibration.Warmer()  # knows when this process last kept a GPU busy


def run_job(
    job: Job,
    where: Circumstances | None = None,
    on_epoch: OnEpoch | None = None,
) -> Record:
    """Run one job in this process and return its record, whatever happens to it.

    Only `KeyboardInterrupt` and its like pass through; every other exception becomes a record
    with status `failed`, `out_of_memory` or `diverged` and its reason.
    """
    where = where or Circumstances()
    device = torch.device(where.device)
    on_gpu = device.type == "cuda" and torch.cuda.is_available()
    clock = PhaseClock(
        synchronize=(lambda: torch.cuda.synchronize(device)) if on_gpu else (lambda: None)
    )
    progress = _Progress(job, where, device, clock, on_epoch)
    try:
        with torch.random.fork_rng(devices=[device] if on_gpu else []):
            progress.run()
        progress.row |= {"status": "ok", "reason": ""}
    except Diverged as error:
        progress.row |= {"status": "diverged", "reason": str(error)}
    except (torch.OutOfMemoryError, MemoryError) as error:
        progress.row |= {"status": "out_of_memory", "reason": _first_line(error)}
    except (Implausible, RequestError) as error:
        progress.row |= {"status": "failed", "reason": str(error)}
    except Exception as error:
        memory = "can't allocate memory" in str(error)
        status = "out_of_memory" if memory else "failed"
        progress.row |= {"status": status, "reason": _describe(error)}
    return progress.record()


class _Progress:
    """A job under way: the row grows as things become known, so a failure keeps the rest."""

    def __init__(
        self,
        job: Job,
        where: Circumstances,
        device: torch.device,
        clock: PhaseClock,
        on_epoch: OnEpoch | None,
    ) -> None:
        self.job, self.where, self.device = job, where, device
        self.clock, self.on_epoch = clock, on_epoch
        self.watch = interference.Watch()
        self.peak_device_bytes: int | None = None
        self.row: Row = starting_row(job, where)
        self.epochs: list[Row] = []
        self.samples: list[Row] = []
        self.baselines: list[Row] = []
        self.probes: list[Row] = []

    def run(self) -> None:
        """Take the job through every phase.

        Raises:
            Diverged, Implausible, RequestError, torch.OutOfMemoryError: see `run_job`.
        """
        job, device, clock = self.job, self.device, self.clock
        if device.type == "cuda":
            if not torch.cuda.is_available():
                raise RequestError("no CUDA device that this torch can use; try --device cpu")
            torch.cuda.reset_peak_memory_stats(device)
            self.watch = interference.Watch(gpu=_gpu(device))
        if self.where.threads:
            torch.set_num_threads(self.where.threads)
        set_precision(job.precision)
        self.row |= machine.describe(device)
        self.row |= {
            "threads": torch.get_num_threads(),
            "precision_read": read_precision(job.precision),
        }
        with self._aside():
            calibration.peak_gflops(device, job.precision)  # once in this process
        with clock.phase("data"):
            splits = _splits(job.dataset, job.seed, self.where.data)
            validation, test = splits.validation.to(device), splits.test.to(device)
        self.row |= {
            "data_source": splits.source,
            "data_sha256": splits.sha256,
            "train_images": len(splits.train),
        }
        shape = (splits.train.shape[1], splits.train.shape[2], splits.train.shape[3])
        with clock.phase("build"):
            model, size = build(job, shape)
            setup = engines.Setup(job, model.to(device), splits.train, device)
            if setup.steps_per_epoch == 0:
                raise RequestError(
                    f"batch_size {job.batch_size} is more than the {len(splits.train)} training"
                    f" images of {job.dataset}; no full batch is left"
                )
            engine = engines.create(setup)
        steps = setup.steps_per_epoch * job.epochs
        self.row |= {
            "input_size": prod(shape),
            "parameters": size.parameters,
            "bottleneck": size.bottleneck,
            "compression": prod(shape) / size.bottleneck,
            "flops_per_step": size.flops * job.batch_size,
        }
        with clock.phase("data"):
            engine.load()
        with clock.phase("warmup"):
            engine.warm_up()
            self.row["kernels"] = getattr(engine, "kernels", "torch")
            errors.measure(model, validation[: errors.STUDY_BATCH], device, job.precision)
        with self._aside():
            _warmer.warm(device)
            self.row["noise_before_s"] = calibration.noise_probe(device)
        # A model that draws random numbers as it trains, such as one with dropout, draws the
        # same ones whatever ran in this process before.
        torch.manual_seed(job.seed)
        with self.watch.training():
            self._train(engine, model, validation)
        with self._aside():
            self.row["noise_after_s"] = calibration.noise_probe(device)
        _warmer.was_busy(device)
        taken = engines.steps_taken(engine)
        self.row["loading_s"] = getattr(engine, "loading_s", None)
        self._rates(model, steps, steps if taken is None else taken, size.flops * job.batch_size)
        with clock.phase("eval"):
            found = errors.measure(model, test, device, job.precision)
        if not math.isfinite(found.mse):  # the last step may do this, and no loss follows it
            raise Diverged(f"the test error after the last epoch is {found.mse}")
        self.row |= {
            "study_error": found.study_error,
            "mse": found.mse,
            "psnr_db": found.psnr_db,
        }
        with clock.phase("samples"):
            self.samples = samples.strips(model, test, device, job.precision)
        with clock.phase("baseline"):
            self._baselines(splits, size.bottleneck)
        with clock.phase("probe"):
            self._probe(model, test, splits.mean)

    def _train(self, engine: engines.Engine, model: nn.Module, validation: Tensor) -> None:
        device_clock = calibration.DeviceClock(self.device)
        for epoch in range(1, self.job.epochs + 1):
            with self.watch.epoch(), self.clock.phase("train"), device_clock.span():
                mean_loss = engine.train_epoch()
            train_s, train_mse = self.clock.last_s, float(mean_loss)
            if not math.isfinite(train_mse):
                raise Diverged(f"the mean training loss of epoch {epoch} is {train_mse}")
            with self.clock.phase("eval"):
                val = errors.measure(model, validation, self.device, self.job.precision)
            self.epochs.append(
                {
                    "epoch": epoch,
                    "train_mse": train_mse,
                    "val_mse": val.mse,
                    "train_s": train_s,
                    "device_train_s": device_clock.last_s,
                    "val_s": self.clock.last_s,
                }
            )
            self.row |= {"train_mse": train_mse, "val_mse": val.mse}
            if self.on_epoch:
                self.on_epoch(epoch, train_mse, val.mse)

    def _rates(self, model: nn.Module, planned: int, taken: int, flops_per_step: int) -> None:
        """Say how fast it was.

        Raises:
            Implausible: faster than the arithmetic allows, or fewer steps than planned.
        """
        train_s = self.clock.seconds["train"]
        flops = taken * flops_per_step
        self.row |= {
            "steps": taken,
            "images_per_s": taken * self.job.batch_size / train_s,
            "gflops": flops / train_s / 1e9,
        }
        if taken != planned:
            raise Implausible(
                f"{taken} training steps taken, {planned} planned: a defect of engine"
                f" {self.job.engine}"
            )
        allowed = calibration.MARGIN * calibration.conv_saving(model)
        for again in (False, True):  # a peak measured in a disturbed moment condemns nobody
            peak = calibration.peak_gflops(self.device, self.job.precision, again=again)
            floor_s = flops / peak / 1e9
            self.row |= {
                "peak_gflops": peak,
                "flop_floor_s": floor_s,
                "roofline_fraction": floor_s / train_s,
            }
            if floor_s / train_s <= allowed:
                return
        raise Implausible(
            f"training took {train_s:.3g} s, but its arithmetic alone takes {floor_s:.3g} s at the"
            f" {peak:,.0f} GFLOP/s measured here: not all of it was done, or the clock is wrong"
        )

    def _baselines(self, splits: _Splits, bottleneck: int) -> None:
        folder = (self.where.data or datasets.cache_directory()) / "baselines"
        # The seed and how many images are held out say which of the pixels are fitted to.
        cache = folder / f"pca-{splits.sha256[:16]}-{len(splits.train)}-{self.job.seed}.npy"
        curve = baselines.curve(splits.train, splits.test, cache, self.device)
        self.row |= {
            "mean_mse": float(curve[0]),
            "pca_mse": float(curve[min(bottleneck, len(curve) - 1)]),
        }
        self.baselines = [
            {"dataset": self.job.dataset, "seed": self.job.seed, "components": k, "mse": float(e)}
            for k, e in enumerate(curve)
        ]

    def _probe(self, model: nn.Module, test: Tensor, mean: Tensor) -> None:
        job = self.job
        self.row |= appearance.measure(model, test, self.device, job.precision)
        subject = probes.Subject(model, job.dataset, test, mean, self.device, job.precision)
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
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def _see_peak(self) -> None:
        if self.device.type == "cuda" and torch.cuda.is_available():
            now = torch.cuda.max_memory_allocated(self.device)
            self.peak_device_bytes = max(now, self.peak_device_bytes or 0)

    def record(self) -> Record:
        """The record as it stands, times included."""
        self._see_peak()
        self.row |= {f"{phase}_s": s for phase, s in self.clock.seconds.items()}
        self.row |= {
            "total_s": self.clock.total_s(),
            "cold_s": sum(self.clock.seconds[p] for p in ("build", "compile", "warmup", "train")),
            "peak_host_bytes": machine.peak_host_bytes(),
            "peak_device_bytes": self.peak_device_bytes,
        }
        device_s = [row["device_train_s"] for row in self.epochs]
        self.row["device_train_s"] = sum(device_s) if device_s and None not in device_s else None
        self.row |= self.watch.columns()
        key = {"key": self.job.key}
        return Record(
            job=self.row,
            epochs=[key | row for row in self.epochs],
            samples=[key | row for row in self.samples],
            baselines=self.baselines,
            probes=[key | row for row in self.probes],
        )


def _gpu(device: torch.device) -> interference.Gpu | None:
    """The driver's view of a CUDA device; torch leaves out how NVIDIA begins its names."""
    return interference.nvidia(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _describe(error: BaseException) -> str:
    """Type, message and the place in the code, on one line: enough to find a defect."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" ({Path(code.co_filename).name}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {_first_line(error)}{place}"
